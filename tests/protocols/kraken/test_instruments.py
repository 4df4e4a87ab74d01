"""AssetPairs into instruments."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from allstop.actors.instruments import Instrument
from allstop.actors.protocols.kraken.instruments import (
    decode_asset_pairs,
    known_names,
    pair_names,
)
from allstop.actors.protocols.wire import DecodeError

CAPTURES = Path(__file__).parents[2] / "captures/kraken/rest"


def result(file: str):
    return json.loads((CAPTURES / file).read_text())["result"]


def test_a_documented_pair_is_read_whole():
    found = decode_asset_pairs(result("doc_AssetPairs.json"))

    assert found["BTC/USD"] == Instrument(
        pair="BTC/USD",
        venue_name="XBTUSD",
        tick_size=Decimal("0.1"),
        lot_size=Decimal("0.00000001"),
        min_qty=Decimal("0.0001"),
        min_cost=Decimal("0.5"),
    )
    assert list(found) == ["ETH/BTC", "BTC/USD"]


def test_the_full_recorded_list_of_2021_is_read_though_it_has_no_tick_size():
    recorded = result("rec_AssetPairs_full_2021-04-17.json")

    found = decode_asset_pairs(recorded)

    assert len(found) == sum("wsname" in pair for pair in recorded.values()) > 280
    assert found["BTC/USD"].tick_size == Decimal("0.1")
    assert found["ADA/BTC"].price_decimals == 8
    assert all(instrument.lot_size > 0 for instrument in found.values())


def test_a_dark_pool_is_not_traded():
    assert not any(
        pair.endswith(".d") for pair in decode_asset_pairs(result("rec_AssetPairs_full_2021-04-17.json"))
    )


def test_every_name_of_a_pair_leads_to_ours():
    known = pair_names(result("doc_AssetPairs.json"))

    assert {known[name] for name in ("XXBTZUSD", "XBTUSD", "XBT/USD")} == {"BTC/USD"}
    assert known_names(decode_asset_pairs(result("doc_AssetPairs.json")).values()) == {
        "ETHXBT": "ETH/BTC",
        "XBTUSD": "BTC/USD",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"tick_size": "0"},
        {"tick_size": "NaN"},
        {"ordermin": "Infinity"},
        {"pair_decimals": "1"},
        {"pair_decimals": -1},
        {"lot_decimals": 400},
        {"altname": None},
    ],
)
def test_a_pair_that_cannot_be_is_refused(change: dict[str, object]):
    pairs = result("doc_AssetPairs.json")
    pairs["XXBTZUSD"] |= change

    with pytest.raises(DecodeError):
        decode_asset_pairs(pairs)


@pytest.mark.parametrize("wrong", [None, [], "x", {"XXBTZUSD": None}])
def test_a_list_of_another_kind_is_refused(wrong: object):
    with pytest.raises(DecodeError):
        decode_asset_pairs(wrong)
