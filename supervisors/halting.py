"""What a halt root decides and says: requests to it, its status, and the rules by which votes become a halt. Pure."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from allstop.actors.commands import HaltProof
from allstop.actors.errors import ReplyError
from allstop.actors.levels import Level, Vote
from allstop.supervisors.votes import CastVote

WORDS_MAX = 2000  # of a halt's reason: the whole story is in the journal and the crash report
LATCHED_VENUES_MAX = 1  # one latched venue is that venue READ_ONLY; a second one is a HALT

ReadyToResume = Callable[[], Awaitable[Sequence[str]]]
"""Says what is still missing before trading may go on, each in words ("kraken.main: 2 orders unreconciled"); empty
when nothing is. A check that raises counts as missing."""


class Halt(msgspec.Struct, frozen=True):
    """To the root: stop trading, now and until a person resumes. Answered with a HaltStatus."""

    by: str
    reason: str


class Resume(msgspec.Struct, frozen=True):
    """To the root, from a person: trade again. Answered with a HaltStatus, or NotReady naming what is missing."""

    by: str
    reason: str


class Status(msgspec.Struct, frozen=True):
    """To the root: answered with a HaltStatus."""


class NotReady(ReplyError):
    """Trading stays halted: these things are missing."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("not ready to resume: " + "; ".join(missing))
        self.missing = tuple(missing)


class AccountProof(msgspec.Struct, frozen=True, kw_only=True):
    """How far the halt is proven for one account. Until `proof` is there, `trouble` says why: a venue that cannot be
    reached is shown as not proven, for as long as that lasts."""

    account: str
    proof: HaltProof | None = None
    tries: int = 0
    trouble: str = "not asked yet"

    @property
    def in_words(self) -> str:
        if self.proof is None:
            return f"not proven: {self.trouble}"
        return f"proven: {self.proof.canceled} canceled, {self.proof.kept} protective orders kept"


class HaltStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The root as it stands. `on_disk` False: the latch could not be written and lives in memory only."""

    level: Level
    halted: bool
    by: str = ""
    reason: str = ""
    at_ns: int = 0
    on_disk: bool = True
    votes: tuple[Vote, ...] = ()
    latched_venues: tuple[str, ...] = ()
    proofs: tuple[AccountProof, ...] = ()
    children_down: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether the halt is proven for every account."""
        return self.halted and all(account.proof is not None for account in self.proofs)


def latched_venues(latched: Iterable[Vote]) -> tuple[str, ...]:
    """The venues that a latched vote holds at READ_ONLY or worse."""
    return tuple(sorted({vote.scope[0] for vote in latched if vote.scope and vote.level >= Level.READ_ONLY}))


def halts(cast: CastVote, latched: Iterable[Vote]) -> str | None:
    """Why this vote means a halt of everything, given all latched votes with it; None when it does not."""
    if cast.vote.level is Level.HALTED:
        return cast.vote.reason
    venues = too_many_latched(latched)
    if cast.latched and venues:
        return f"latched venues: {', '.join(venues)}; last: {cast.vote.reason}"
    return None


def too_many_latched(latched: Iterable[Vote]) -> tuple[str, ...]:
    """The latched venues when they are so many that everything is halted; empty when they are not."""
    venues = latched_venues(latched)
    return venues if len(venues) > LATCHED_VENUES_MAX else ()


def writable(text: str) -> str:
    """The text as a file can hold it: an error's words may carry half characters, or a whole payload."""
    return text[:WORDS_MAX].encode("utf-8", "replace").decode("utf-8")
