"""When the engine is killed and what hurts it just before: drawn from a seed, nothing else."""

from dataclasses import dataclass
from enum import StrEnum

from allstop.actors.clock import Dice, SeededDice


class Moment(StrEnum):
    """From what the delay counts."""

    SPAWNED = "spawned"  # the interpreter is starting, then the engine is
    ANSWERING = "answering"  # its control socket is there; it reconciles
    TRADING = "trading"  # its gates are open
    BARE = "bare"  # a fill has no stop yet


class Trouble(StrEnum):
    """What the venue does wrong from the moment on at which the engine trades."""

    NONE = "none"
    LOST_ANSWER = "lost answer"  # an order is taken and never acknowledged
    SLOW_ANSWER = "slow answer"  # orders are acknowledged late: a kill falls between sending and answer
    NO_STOP = "no stop"  # the venue drops the stop of the next fills
    STALL = "a stalled loop"  # a handler holds the engine's loop; its threads go on
    STOPPED = "a stopped process"  # SIGSTOP, and SIGCONT later: as a virtual machine that is moved
    CUT = "cut connections"  # every connection is reset
    CUT_AT_BYTE = "a connection cut within a frame"  # of the private socket, on its way to the venue
    HALF_OPEN = "a half-open connection"  # nothing passes on the private socket, and nobody is told


@dataclass(frozen=True, slots=True)
class Kill:
    moment: Moment
    delay_s: float
    trouble: Trouble
    dead_s: float  # until it is started again
    falls: bool  # meanwhile the market falls through every stop

    def __str__(self) -> str:
        falls = ", the market falls" if self.falls else ""
        trouble = "" if self.trouble is Trouble.NONE else f" with {self.trouble}"
        return f"{self.delay_s:.2f} s after {self.moment}{trouble}, dead for {self.dead_s:.2f} s{falls}"


# How late after each moment, at most: a start takes about a second, a reconciliation half of one.
DELAY_MAX_S = {Moment.SPAWNED: 2.0, Moment.ANSWERING: 0.8, Moment.TRADING: 3.0, Moment.BARE: 0.2}
_SHARES = (
    (0.20, Moment.SPAWNED, Trouble.NONE),
    (0.35, Moment.ANSWERING, Trouble.NONE),
    (0.45, Moment.TRADING, Trouble.NONE),
    (0.59, Moment.TRADING, Trouble.LOST_ANSWER),
    (0.72, Moment.TRADING, Trouble.SLOW_ANSWER),
    (0.78, Moment.TRADING, Trouble.STALL),
    (0.84, Moment.TRADING, Trouble.STOPPED),
    (0.89, Moment.TRADING, Trouble.CUT),
    (0.94, Moment.TRADING, Trouble.CUT_AT_BYTE),
    (1.00, Moment.TRADING, Trouble.HALF_OPEN),
)


# A remedy costs the guardian's key eight calls with the start before it, of 20 that come back at one a second. A fill
# without a stop at every start would be more than the venue lets anybody answer.
BARE_EVERY = 3
DEAD_MAX_S = 2.0


def plan_kills(seed: int, kills: int) -> tuple[Kill, ...]:
    """The kills of one story, always the same for a seed; a longer story begins as the shorter one does."""
    dice = SeededDice(f"kill:{seed}")
    return tuple(_kill(dice, bare=number % BARE_EVERY == 1) for number in range(kills))


def _kill(dice: Dice, *, bare: bool) -> Kill:
    share, delay, dead, falls = (dice.draw() for _ in range(4))
    moment, trouble = next((m, t) for upto, m, t in _SHARES if share < upto)
    if bare:
        moment, trouble = Moment.BARE, Trouble.NO_STOP
    delay_s = delay * DELAY_MAX_S[moment]
    if moment is Moment.SPAWNED:
        delay_s = max(0.3, delay_s)  # before that it is an interpreter that imports
    return Kill(moment, delay_s, trouble, dead * DEAD_MAX_S, falls < 0.2)
