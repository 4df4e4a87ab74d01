"""An orderly stop that leaves no entry behind: they are cancelled, and the venue's own lists prove it, before the tree ends.

It is the way of a halt without its latch: nobody enters any more, each account's guardian cancels by id what is not
protective, and reads until the list says so. Stops and positions stay. What could not be proven in time is said in words,
and the tree stops all the same: whoever asked for the stop has to look.
"""

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from allstop.actors.commands import HaltProof, ProveHalt
from allstop.actors.levels import ROOT, CastVote, Level, Vote
from allstop.actors.runtime import Ref

PROVE_S: Final = 20.0  # of all accounts together; a halt takes five seconds of a venue that answers
AGAIN_S: Final = 0.5
BY: Final = "an orderly stop"


class OnStop(StrEnum):
    """What becomes of entries that rest at the venue when an engine is stopped."""

    KEEP = "keep"  # they stay, and the next process works them
    CANCEL = "cancel"  # they are cancelled, and that is proven


async def stand_down(root: Ref, guardians: Iterable[tuple[str, Ref]], reason: str) -> list[str]:
    """Cancels all entries of these accounts. What is not proven, in words; empty: no entry rests any more."""
    if not root.is_alive():  # it halted as its last act, and nothing of the tree runs any more
        return [f"{account}: the root has ended: its entries were not cancelled" for account, _ in guardians]
    root.tell(CastVote(Vote(BY, ROOT, Level.READ_ONLY, reason)))
    proofs = await asyncio.gather(*(_proven(account, guardian, reason) for account, guardian in guardians))
    return [trouble for trouble in proofs if trouble]


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
