"""What the venue lists is read again when a refusal speaks of it, and while a pair is not traded."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from allstop.actors.instruments import Instrument
from allstop.actors.kraken_listing import FRESH_S, GAP_S, URGENT_FRESH_S, URGENT_GAP_S, KrakenListing
from allstop.actors.ports import HttpNoReply, HttpRequest, HttpResponse
from allstop.actors.protocols.kraken.faults import classify
from allstop.actors.runtime import Actor, ActorSystem, Ref
from allstop.actors.venue_mode import VenueMode

pytestmark = pytest.mark.virtual

PAIR = "BTC/USD"
TICK = classify("EOrder:Tick size check failed", write=True)
FUNDS = classify("EOrder:Insufficient funds", write=True)
A_MOMENT_S = 0.1


@dataclass
class PuppetHttp:
    """AssetPairs as it is said to be. `fails`: so many questions get no answer."""

    terms: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    fails: int = 0
    asked: list[str] = field(default_factory=list[str])
    open: int = 0

    async def request(self, request: HttpRequest, **_limits: Any) -> HttpResponse:
        self.asked.append(request.path)
        await asyncio.sleep(0.01)
        if self.fails:
            self.fails -= 1
            raise HttpNoReply("nothing came")
        named = request.path.partition("pair=")[2]
        if named and named not in {row["altname"] for row in self.terms.values()}:
            return self._answer({"error": ["EQuery:Unknown asset pair"]})
        return self._answer({"error": [], "result": self.terms})

    def _answer(self, envelope: dict[str, Any]) -> HttpResponse:
        return HttpResponse(status=200, headers={}, body=json.dumps(envelope).encode())

    async def close(self) -> None:
        self.open -= 1


class Keeper(Actor):
    """Whose task it is, as the reconciler's."""

    def __init__(self, listing: KrakenListing) -> None:
        self._listing = listing

    def on_start(self) -> None:
        self.start_task(self._listing.keep(self), "listing")

    def on_receive(self, message: object) -> None:
        return None


def listed(**terms: Any) -> dict[str, Any]:
    return {
        "altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "lot_decimals": 8, "ordermin": "0.0001",
        "costmin": "0.5", "tick_size": "0.1", "status": "online", **terms,
    }  # fmt: skip


@dataclass
class House:
    http: PuppetHttp
    instruments: dict[str, Instrument]
    listing: KrakenListing
    keeper: Ref

    @property
    def known(self) -> Instrument:
        return self.instruments[PAIR]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    http = PuppetHttp({"XXBTZUSD": listed()})
    instruments = {
        PAIR: Instrument(
            pair=PAIR, venue_name="XBTUSD", tick_size=Decimal("0.1"), lot_size=Decimal("0.00000001"),
            min_qty=Decimal("0.0001"), min_cost=Decimal("0.5"),
        )
    }  # fmt: skip

    def opened() -> PuppetHttp:
        http.open += 1
        return http

    async with ActorSystem() as system:
        listing = KrakenListing(instruments, opened, VenueMode())
        keeper = await system.spawn(Keeper, listing, path="/keeper")
        await asyncio.sleep(A_MOMENT_S)
        yield House(http, instruments, listing, keeper)
    assert http.open == 0


async def test_nothing_is_asked_while_nothing_speaks_against_what_is_known(house: House) -> None:
    house.listing.doubt(FUNDS)
    await asyncio.sleep(FRESH_S - 1)
    assert house.http.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "EOrder:Tick size check failed", "EOrder:Invalid price:XBTUSD price can only be specified up to 0 decimals.",
        "EOrder:Order minimum not met", "EOrder:Cost minimum not met", "EQuery:Unknown asset pair",
        "EService:Market in cancel_only mode", "EService:Market in post_only mode", "EService:Unavailable",
    ],
)  # fmt: skip
async def test_a_refusal_that_speaks_of_the_pair_has_the_list_read_at_once(house: House, text: str) -> None:
    house.http.terms["XXBTZUSD"] = listed(tick_size="1", ordermin="0.001")
    house.listing.doubt(classify(text, write=True))
    await asyncio.sleep(A_MOMENT_S)
    assert house.http.asked == ["/0/public/AssetPairs?pair=XBTUSD"]
    assert (house.known.tick_size, house.known.min_qty) == (1, Decimal("0.001"))


async def test_refusals_one_after_the_other_are_no_stream_of_calls(house: House) -> None:
    for _ in range(100):
        house.listing.doubt(TICK)
        await asyncio.sleep(GAP_S / 10)
    assert 9 <= len(house.http.asked) <= 11


async def test_what_became_finer_is_found_within_the_hour_because_nobody_refuses_it(house: House) -> None:
    house.http.terms["XXBTZUSD"] = listed(tick_size="0.01")
    await asyncio.sleep(FRESH_S + 1)
    assert house.known.tick_size == Decimal("0.01")


async def test_a_pair_that_is_not_traded_is_looked_at_until_it_is(house: House) -> None:
    house.http.terms["XXBTZUSD"] = listed(status="cancel_only")
    house.listing.doubt(classify("EService:Market in cancel_only mode", write=True))
    await asyncio.sleep(10 * GAP_S)
    assert house.listing.untraded() == {PAIR: "cancel_only"}
    assert 9 <= len(house.http.asked) <= 11
    house.http.terms["XXBTZUSD"] = listed()
    await asyncio.sleep(GAP_S + A_MOMENT_S)
    assert house.listing.untraded() == {}
    asked = len(house.http.asked)
    await asyncio.sleep(10 * GAP_S)
    assert len(house.http.asked) == asked


async def test_a_pair_that_is_not_on_the_list_any_more_is_delisted_and_keeps_its_terms(house: House) -> None:
    before = house.known
    house.http.terms = {"XETHZUSD": listed(altname="ETHUSD", wsname="ETH/USD")}
    house.listing.doubt(classify("EQuery:Unknown asset pair", write=True))
    await asyncio.sleep(A_MOMENT_S)
    assert house.http.asked == ["/0/public/AssetPairs?pair=XBTUSD", "/0/public/AssetPairs"]
    assert house.listing.untraded() == {PAIR: "delisted"}
    assert (house.known.tick_size, house.known.min_qty) == (before.tick_size, before.min_qty)


async def test_a_reading_that_fails_changes_nothing_and_is_tried_again(house: House) -> None:
    house.http.terms["XXBTZUSD"] = listed(tick_size="1")
    house.http.fails = 3
    house.listing.doubt(TICK)
    await asyncio.sleep(2 * GAP_S + A_MOMENT_S)
    assert house.known.tick_size == Decimal("0.1")
    await asyncio.sleep(GAP_S + A_MOMENT_S)
    assert house.known.tick_size == 1


async def test_a_doubt_that_comes_while_nobody_keeps_the_list_is_not_forgotten(house: House) -> None:
    house.keeper.stop(block=False)
    await asyncio.sleep(A_MOMENT_S)
    assert house.http.open == 0
    house.http.terms["XXBTZUSD"] = listed(tick_size="1")
    house.listing.doubt(TICK)
    await asyncio.sleep(60)
    assert house.http.asked == []
    await house.keeper.cell.system.spawn(Keeper, house.listing, path="/next")
    await asyncio.sleep(A_MOMENT_S)
    assert house.known.tick_size == 1


async def closed(house: House, status: str = "work_in_progress") -> None:
    house.http.terms["XXBTZUSD"] = listed(status=status)
    house.listing.doubt(classify("EService:Unavailable", write=True))
    await asyncio.sleep(A_MOMENT_S)


@pytest.mark.parametrize("status", ["work_in_progress", "maintenance"])
async def test_who_waits_for_a_pair_to_take_orders_again_knows_within_little_more_than_a_second(
    house: House, status: str
) -> None:
    await closed(house, status)
    assert not house.listing.takes(PAIR)
    waiting = asyncio.create_task(house.listing.taken(PAIR))
    await asyncio.sleep(20.5)
    assert not waiting.done()
    assert 19 <= len(house.http.asked) <= 22  # one a second, and no more
    house.http.terms["XXBTZUSD"] = listed()
    await asyncio.sleep(URGENT_GAP_S + A_MOMENT_S)
    assert waiting.done()
    assert house.listing.takes(PAIR)


@pytest.mark.parametrize(
    "status", ["online", "cancel_only", "post_only", "limit_only", "reduce_only", "delisted"]
)
async def test_a_status_in_which_the_venue_says_no_is_nothing_to_wait_for(house: House, status: str) -> None:
    await closed(house, status)
    async with asyncio.timeout(0):
        await house.listing.taken(PAIR)


async def test_a_list_that_cannot_be_read_keeps_nobody_waiting(house: House) -> None:
    await closed(house)
    house.http.fails = 1000
    async with asyncio.timeout(URGENT_FRESH_S + A_MOMENT_S):
        await house.listing.taken(PAIR)
    assert house.listing.takes(PAIR)  # nobody knows: whoever has to place a stop tries
    house.http.fails = 0
    await asyncio.sleep(GAP_S + A_MOMENT_S)
    assert not house.listing.takes(PAIR)


async def test_a_list_that_nobody_keeps_any_more_keeps_no_stop_waiting(house: House) -> None:
    """Who keeps it is down while trading is, and the guardian is not."""
    await closed(house)
    house.keeper.stop(block=False)
    async with asyncio.timeout(URGENT_FRESH_S + A_MOMENT_S):
        await house.listing.taken(PAIR)
    assert house.listing.takes(PAIR)


async def test_when_nobody_waits_any_more_the_list_is_read_in_its_own_time(house: House) -> None:
    await closed(house)
    waiting = asyncio.create_task(house.listing.taken(PAIR))
    await asyncio.sleep(5)
    waiting.cancel()
    asked = len(house.http.asked)
    await asyncio.sleep(10 * GAP_S)
    assert len(house.http.asked) - asked <= 11
