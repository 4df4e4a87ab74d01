"""Kraken's names, against the full list of pairs that it gave on 2021-04-17."""

import json
from pathlib import Path

import pytest

from allstop.actors.protocols.kraken import instruments, names

CAPTURES = Path(__file__).parents[2] / "captures/kraken/rest"
PAIRS = json.loads((CAPTURES / "rec_AssetPairs_full_2021-04-17.json").read_text())["result"]


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("XXBT", "BTC"),
        ("XBT", "BTC"),
        ("XXDG", "DOGE"),
        ("XDG", "DOGE"),
        ("ZUSD", "USD"),
        ("XETH", "ETH"),
        ("XTZ", "XTZ"),
        ("ZRX", "ZRX"),
        ("USDT", "USDT"),
        ("ETH2.S", "ETH2.S"),
        ("XBT.M", "BTC.M"),
        ("USD.M", "USD.M"),
    ],
)
def test_an_asset_has_one_name(code: str, ours: str):
    assert names.asset(code) == ours


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("XBT/USD", "BTC/USD"),
        ("BTC/USD", "BTC/USD"),
        ("XXBTZUSD", "BTC/USD"),
        ("XBTUSD", "BTC/USD"),
        ("XBTUSDT", "BTC/USDT"),
        ("USDTUSD", "USDT/USD"),
        ("USDTZUSD", "USDT/USD"),
        ("XTZUSD", "XTZ/USD"),
        ("XDG/EUR", "DOGE/EUR"),
        ("XETHXXBT", "ETH/BTC"),
        ("USD", "USD"),
        ("", ""),
    ],
)
def test_a_pair_has_one_name(name: str, ours: str):
    assert names.pair(name) == ours


def test_each_recorded_pair_is_read_off_its_altname_and_its_internal_name():
    for internal, pair in PAIRS.items():
        if "wsname" in pair:
            ours = names.pair(pair["wsname"])
            assert names.pair(pair["altname"]) == ours
            assert names.pair(internal) == ours, internal


def test_each_recorded_pair_finds_its_way_back():
    for pair in PAIRS.values():
        if "wsname" in pair:
            ours = names.pair(pair["wsname"])
            assert names.v1_name(ours) == pair["wsname"]
            assert names.rest_name(ours) == pair["altname"]


def test_each_recorded_asset_code_is_the_asset_of_its_pair():
    for pair in PAIRS.values():
        if "wsname" in pair:
            base, quote = names.pair(pair["wsname"]).split("/")
            assert (names.asset(pair["base"]), names.asset(pair["quote"])) == (base, quote)


def test_what_the_venue_listed_beats_what_can_be_read_off():
    known = instruments.pair_names({"ODDNAME": dict(PAIRS["XXBTZUSD"], wsname="ODD/NAME", altname="ODDN")})

    assert names.pair("ODDNAME", known) == "ODD/NAME"
    assert names.pair("ODDN", known) == "ODD/NAME"
