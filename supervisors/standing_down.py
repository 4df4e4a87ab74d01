"""An orderly stop that leaves no entry behind, or nothing at all: proven by what the venue tells, before the tree ends.

It is the way of a halt without its latch: nobody enters any more, each account's guardian cancels by id what is not
protective, and reads until the list says so. Where the policy is to leave flat, each position is then left as an operator
leaves one, by an exit of its guardian, until none is left; those of which only dust is left count as left. Else positions
stay, and in any case their stops do. What could not be proven in time is said in words, and the tree stops all the same:
whoever asked for the stop has to look.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from allstop.actors.commands import BeginExit, CoverView, GetCover, HaltProof, PairCover, ProveHalt
from allstop.actors.errors import Refused
from allstop.actors.intents import OrderIntent, OrderType, Side
from allstop.actors.levels import ROOT, CastVote, IntentKind, Level, Origin, Vote
from allstop.actors.runtime import ActorDead, CallTimeout, MailboxFull, Ref

PROVE_S: Final = 20.0  # of all accounts together; a halt takes five seconds of a venue that answers
FLAT_S: Final = 20.0  # of all accounts together; an exit takes cover_s, and what a thin market left, another
AGAIN_S: Final = 0.5
ANSWER_S: Final = 5.0  # a guardian answers at once, or its disk hangs
BY: Final = "an orderly stop"


class OnStop(StrEnum):
    """What becomes of entries and positions at the venue when an engine is stopped."""

    KEEP = "keep"  # they stay, and the next process works them
    CANCEL = "cancel"  # entries are cancelled, and that is proven; positions and their stops stay
    FLATTEN = "flatten"  # and positions are left at market, and that is proven

    @property
    def lasts_s(self) -> float:
        """Seconds that it may take before the tree stops."""
        return {OnStop.KEEP: 0.0, OnStop.CANCEL: PROVE_S, OnStop.FLATTEN: PROVE_S + FLAT_S}[self]


async def stand_down(
    root: Ref, guardians: Sequence[tuple[str, Ref]], reason: str, *, flatten: bool = False
) -> list[str]:
    """Cancels all entries of these accounts, and with `flatten` leaves their positions. What is not proven, in words;
    empty: no entry rests any more (and nothing is held)."""
    if not root.is_alive():  # it halted as its last act, and nothing of the tree runs any more
        return [f"{account}: the root has ended: its entries were not cancelled" for account, _ in guardians]
    root.tell(CastVote(Vote(BY, ROOT, Level.READ_ONLY, reason)))
    troubles = await _all(_proven(account, guardian, reason) for account, guardian in guardians)
    if flatten:  # also where entries could not be cancelled: what they fill is left as well
        troubles += await _all(_flat(account, guardian) for account, guardian in guardians)
    return troubles


async def _all(stages: Iterable[Coroutine[Any, Any, str]]) -> list[str]:
    return [trouble for trouble in await asyncio.gather(*stages) if trouble]


async def _proven(account: str, guardian: Ref, reason: str) -> str:
    """Asks until it is proven or time is up. "", or what is in the way."""
    trouble = "its guardian did not answer"
    try:
        async with asyncio.timeout(PROVE_S):
            while True:
                asking = guardian.call(ProveHalt(reason=reason), timeout_s=PROVE_S)
                (answer,) = await asyncio.gather(asking, return_exceptions=True)
                if isinstance(answer, HaltProof):
                    return ""
                trouble = f"{type(answer).__name__}: {answer}"
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        return f"{account}: entries may still rest at the venue: {trouble}"


async def _flat(account: str, guardian: Ref) -> str:
    """Leaves what is held until nothing is or time is up. "", or what is in the way."""
    trouble = "its guardian did not answer"
    try:
        async with asyncio.timeout(FLAT_S):
            while True:
                try:
                    view: CoverView = await guardian.call(GetCover(), timeout_s=ANSWER_S)
                except (ActorDead, CallTimeout, MailboxFull) as error:
                    trouble = str(error)
                else:
                    held = [one for one in view.pairs if one.net and one.state != "dust"]
                    if not held and view.audited and view.reachable and not view.unresolved:
                        return ""
                    left = [await _left(guardian, one) for one in held]
                    trouble = ", ".join(left) or "the venue was not read to the end"
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        return f"{account}: positions may still be held, under their stops: {trouble}"


async def _left(guardian: Ref, held: PairCover) -> str:
    """Begins to leave all of it, at market. What is held, and why that does not end at once."""
    intent = OrderIntent(
        id=guardian.system.ids.new(),
        pair=held.pair,
        side=Side.SELL if held.net > 0 else Side.BUY,
        qty=abs(held.net),
        order_type=OrderType.MARKET,
        kind=IntentKind.REDUCE,
    )
    until_ns = guardian.system.clock.wall_ns() + int(ANSWER_S * 1e9)
    what = f"{held.net} of {held.pair}"
    try:
        await guardian.call(
            BeginExit(intent=intent, origin=Origin.OPERATOR, until_ns=until_ns), timeout_s=ANSWER_S
        )
    except (Refused, ActorDead, CallTimeout, MailboxFull) as error:
        # An exit is under way already, the key has no calls now, or the guardian starts again: it is asked again.
        return f"{what} ({error})"
    return what
