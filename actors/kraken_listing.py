"""What Kraken lists of an account's pairs (tick, minimum, status), kept true while the engine runs.

The instruments are learnt when the engine starts. A venue changes them overnight, and takes pairs out of trading or off
its list. A refusal that speaks of the pair is how that shows: then the list is read again, at once, and from there on an
order that the venue would refuse is refused here, before it is written. While a pair is not to be traded the list is
read every few seconds, so that entries pass soon after the venue lets them, and every second while the cover of a
position waits for that; otherwise every hour, because what became finer or smaller is refused by nobody but us.

A reading that fails changes nothing and is tried again. Who reads is the reconciler, which is down while trading is: then
nobody waits here for a pair that was not traded when it was read last. Nothing here stops, cancels or closes anything: the position of
a pair that is not traded any more keeps its stop for as long as the venue does, and a person is told.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from allstop.actors.clock import Clock
from allstop.actors.errors import Fault
from allstop.actors.instruments import Instrument
from allstop.actors.ports import HttpLink, HttpNoReply, HttpNotSent, QueryFailed
from allstop.actors.protocols.kraken import rest
from allstop.actors.protocols.kraken.instruments import (
    changed,
    decode_asset_pairs,
    doubts_listing,
    names_unknown,
)
from allstop.actors.protocols.wire import DecodeError
from allstop.actors.runtime import Actor
from allstop.actors.venue_mode import CLOSED, MATCHING, VenueMode
from allstop.actors.wakeup import Wakeup

TIMEOUT_S: Final = 10.0
GAP_S: Final = 5.0  # between readings: a refusal that has another reason must not become a stream of calls
FRESH_S: Final = 3600.0
# While the cover of a position waits for the pair. Kraken bears one public call a second.
URGENT_GAP_S: Final = 1.0
URGENT_FRESH_S: Final = 1.5  # how long the one before speaks for the present, then


async def read_listing(http: HttpLink, names: tuple[str, ...] = ()) -> dict[str, Instrument]:
    """All instruments that the venue lists, or those with these names of its own. Raises QueryFailed; its `fault` is
    the venue's where it answered."""
    try:
        response = await http.request(
            rest.request(rest.asset_pairs(names)), timeout_s=TIMEOUT_S, pool_timeout_s=TIMEOUT_S
        )
        result, faults = rest.decode_envelope(response.status, response.body)
        if result is None or faults:
            raise QueryFailed("AssetPairs", faults[0]) if faults else QueryFailed("AssetPairs has no result")
        return decode_asset_pairs(result)
    except (HttpNotSent, HttpNoReply, DecodeError) as error:
        raise QueryFailed(f"AssetPairs: {type(error).__name__}: {error}") from error


class KrakenListing:
    """The one writer of `instruments`, which all actors of the account read in passing."""

    def __init__(
        self, instruments: dict[str, Instrument], open_http: Callable[[], HttpLink], mode: VenueMode
    ) -> None:
        self._instruments = instruments
        self._open_http = open_http
        self._mode = mode
        self._doubted = asyncio.Event()
        self._urgent = 0  # who waits in `taken`
        self._hurry = Wakeup()
        self._news = asyncio.Event()
        self._unread = False  # somebody waited in vain: what was read last says nothing about now

    def doubt(self, fault: Fault) -> None:
        """The venue refused an order so. Where that speaks of the pair, the list is read again."""
        if doubts_listing(fault):
            self._doubted.set()

    def untraded(self) -> dict[str, str]:
        """The pairs that take no entries now, each with its status at the venue."""
        return {pair: one.status for pair, one in self._instruments.items() if not one.tradable}

    def matches(self, pair: str) -> bool:
        """See PairTrading."""
        instrument = self._instruments.get(pair)
        return self._mode.matches and (instrument is None or instrument.status in MATCHING)

    def takes(self, pair: str) -> bool:
        """See PairTrading."""
        instrument = self._instruments.get(pair)
        return self._unread or instrument is None or instrument.status not in CLOSED

    async def taken(self, pair: str) -> None:
        """See PairTrading."""
        self._urgent += 1
        self._hurry.ring()
        try:
            while not self.takes(pair):
                await asyncio.wait_for(self._news.wait(), URGENT_FRESH_S)
        except TimeoutError:
            # The reader may be down, or its link: whoever waits is told that nobody knows, and tries.
            self._unread = True
        finally:
            self._urgent -= 1

    async def keep(self, actor: Actor) -> None:
        """The body of a task of the actor: reads whenever there is a reason to, until the actor ends."""
        http = self._open_http()
        try:
            while True:
                await self._due()
                self._doubted.clear()
                try:
                    self._take(await self._read(http), actor)
                    self._unread = False
                    self._news.set()
                    self._news = asyncio.Event()
                except QueryFailed as failed:
                    actor.log.warning("listing.failed", reason=str(failed))
                    self._doubted.set()
                await self._gap(actor.clock)
        finally:
            await http.close()

    async def _gap(self, clock: Clock) -> None:
        """Until the list may be read again."""
        began_s = clock.now_s()
        while (left_s := began_s + (URGENT_GAP_S if self._urgent else GAP_S) - clock.now_s()) > 0:
            self._hurry.clear()
            await self._hurry.sleep(left_s)

    async def _due(self) -> None:
        if self.untraded():
            return
        try:
            await asyncio.wait_for(self._doubted.wait(), FRESH_S)
        except TimeoutError:
            return

    async def _read(self, http: HttpLink) -> dict[str, Instrument]:
        """A single name that the venue does not know fails the question for all: then all that it has is asked for."""
        try:
            return await read_listing(http, tuple(one.venue_name for one in self._instruments.values()))
        except QueryFailed as failed:
            if failed.fault is None or not names_unknown(failed.fault):
                raise
        return await read_listing(http)

    def _take(self, listed: dict[str, Instrument], actor: Actor) -> None:
        for pair, before in self._instruments.items():
            now = changed(before, listed.get(pair))
            if now == before:
                continue
            self._instruments[pair] = now
            if not now.tradable:
                actor.log.error("pair.not_tradable", pair=pair, status=now.status)
            elif not before.tradable:
                actor.log.warning("pair.tradable", pair=pair)
            else:
                actor.log.warning(
                    "pair.changed", pair=pair, tick_size=str(now.tick_size), min_qty=str(now.min_qty)
                )
