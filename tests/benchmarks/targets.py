"""What each figure must reach (a floor: `make bench` fails below it) and what we are after (a goal).

A ratio is ours to theirs, above 1 where we are better, whichever way the unit goes; so a latency that may be at most
0.8 of BEAM's has the floor 1.25. An absolute target has no peer: its floor and goal are values that must not be passed.
"""

from dataclasses import dataclass
from enum import StrEnum

from tests.benchmarks.harness import BEAM, CAPTURING, PYKKA, RAW

BEST = "best Python peer"  # of those that were measured, whichever it is in that run


class Verdict(StrEnum):
    GOAL = "goal met"
    FLOOR = "floor held"
    BELOW = "BELOW FLOOR"
    SHORT = "short of goal"  # there is no floor
    ABSENT = "absent"


@dataclass(frozen=True)
class Target:
    id: str
    text: str
    workload: str
    measure: str
    peer: str  # "": absolute
    floor: float | None
    goal: float
    stretch: float | None = None
    quietest: bool = (
        False  # the floor is that of the run's quietest slice: a host adds waits, and never takes one away
    )

    @property
    def absolute(self) -> bool:
        return not self.peer

    def reached(self, value: float, bound: float) -> bool:
        return value <= bound if self.absolute else value >= bound

    def verdict(self, value: float | None, least: float | None = None) -> Verdict:
        """What to say of a ratio, or of our own value if the target is absolute. None: nothing was measured.

        `least` is the lowest of our values, by which the floor is judged if the target says so."""
        if value is None:
            return Verdict.ABSENT
        if self.reached(value, self.goal):
            return Verdict.GOAL
        if self.floor is None:
            return Verdict.SHORT
        judged = least if self.quietest and least is not None else value
        return Verdict.FLOOR if self.reached(judged, self.floor) else Verdict.BELOW


TARGETS: tuple[Target, ...] = (
    Target("T1", "tell, one burst, of a deque and a call", "tell", "", RAW, 0.33, 0.50, 0.75),
    Target("T1b", "tell, to gen_server:cast", "tell", "", BEAM, 0.6, 0.9, 1.4),
    Target("T1c", "tell, to pykka", "tell", "", PYKKA, 20, 40, 55),
    Target("T1c", "tell, to the best Python peer", "tell", "", BEST, 4, 8, 11),
    Target("T2", "call of an idle actor, p50, to gen_server:call", "call", "", BEAM, 1 / 0.8, 1 / 0.4),
    Target("T2b", "call through the mailbox, to a raw future", "queued-call", "", RAW, 1 / 2.5, 1 / 1.8),
    Target("T2c", "blocking ask from a thread, to pykka's", "ask", "", PYKKA, 1 / 0.9, 1 / 0.6),
    Target("T3", "fan-out 1,000 x 1,000, to gen_server:cast", "fan-out", "out", BEAM, 1.0, 1.5, 2.5),
    Target("T3", "fan-out 1,000 x 1,000, of raw deques", "fan-out", "out", RAW, 0.40, 0.60),
    Target("T3b", "fan-in 1,000 x 1,000, to gen_server:cast", "fan-out", "in", BEAM, 1.0, 1.5),
    Target("T4", "start, to gen_server:start", "spawn", "start", BEAM, 1.0, 1 / 0.6),
    Target("T4", "stop, to gen_server:stop", "spawn", "stop", BEAM, None, 1.0),
    Target("T4", "memory of an idle actor, bytes", "spawn", "memory", "", 1200, 500),
    Target("T4", "100,000 idle actors, MB", "spawn", "idle", "", None, 100),
    Target("T4b", "start, to pykka", "spawn", "start", PYKKA, 20, 45),
    Target("T4b", "memory of an idle actor, to pykka", "spawn", "memory", PYKKA, 20, 45),
    Target("T4c", "starting 10 times as many actors, times as long", "spawn", "start-10x", "", None, 12),
    Target("T4c", "the same, less the collector's passes", "spawn", "start-10x-own", "", None, 12),
    Target("T4c", "stopping 10 times as many actors, times as long", "spawn", "stop-10x", "", None, 12),
    Target(
        "T5",
        "restart, p50, to an OTP supervisor whose reports are kept",
        "restart",
        "p50",
        CAPTURING,
        1.0,
        2.0,
    ),
    Target("T5", "restart, p50, to one that makes no reports", "restart", "p50", BEAM, None, 1 / 0.5),
    Target("T5", "restart, p99, to one that makes no reports", "restart", "p99", BEAM, None, 1.0),
    Target("T5", "one_for_all of 10, restarts of one", "restart", "group-of-one", "", None, 10),
    Target("T5b", "restart, p50, to pykka by hand", "restart", "p50", PYKKA, 5, 10),
    Target("T5b", "restart, p50, to triotp", "restart", "p50", "triotp", 5, 10),
    Target("T5b", "restart, p50, to otpylib", "restart", "p50", "otpylib", 5, 10),
    Target("T6", "ring of 1,000, to gen_server:cast", "ring", "", BEAM, 1.0, 1.4, 3),
    Target("T6", "ring of 1,000, to the best Python peer", "ring", "", BEST, None, 8),
    Target("T7", "tell from a thread, of SimpleQueue", "thread-tell", "rate", RAW, 0.33, 0.50),
    Target("T7", "tell from a thread, to pykka", "thread-tell", "rate", PYKKA, 15, 30),
    Target(
        "T7b", "thread to actor, p50, to call_soon_threadsafe", "thread-tell", "p50", RAW, 1 / 1.5, 1 / 1.15
    ),
    Target("T8", "pipeline, of plain method calls", "pipeline", "", RAW, 0.45, 0.60, 0.75),
    Target("T8", "pipeline, to gen_servers", "pipeline", "", BEAM, 0.65, 0.9),
    Target("T8", "pipeline, to pykka", "pipeline", "", PYKKA, 4, 6.5),
    Target("T9", "async handlers that do not suspend, of a bare await", "async-tell", "", RAW, 0.20, 0.35),
    Target(
        "T10", "saturated loop: socket readable, p99 us", "saturated", "socket", "", 500, 120, quietest=True
    ),
    Target("T10", "saturated loop: timer late, p99 us", "saturated", "timer", "", 1000, 1000, quietest=True),
    Target(
        "T10",
        "saturated loop: control message, p99 us",
        "saturated",
        "control",
        "",
        1000,
        1000,
        quietest=True,
    ),
    Target(
        "T10",
        "saturated loop: a thread is late, p99 us",
        "saturated",
        "thread",
        "",
        5000,
        2000,
        quietest=True,
    ),
    Target(
        "T10",
        "socket readable, p99, to an equally busy plain loop",
        "saturated",
        "socket",
        RAW,
        0.5,
        1 / 1.15,
    ),
    Target("T10", "timer late, p99, to an equally busy plain loop", "saturated", "timer", RAW, 0.5, 1 / 1.15),
    Target("T10b", "gc pause at 10,000 actors after freeze, us", "gc-pause", "", "", None, 1000),
    Target(
        "T10c",
        "CPU-bound thread: thread to actor, p99 us",
        "cpu-thread",
        "p99",
        "",
        2000,
        2000,
        quietest=True,
    ),
    Target("T11", "10,000 children killed at once: longest hold, ms", "mass-restart", "hold", "", None, 50),
    Target("T12", "import of allstop.actors over asyncio, ms", "import", "actors", "", None, 80),
    Target("T12", "import of allstop.actors.runtime over asyncio, ms", "import", "runtime", "", None, 80),
    Target(
        "T13", "simulate, quiet tree: ms of a core per virtual second", "simulate", "quiet-cost", "", 4, 1
    ),
    Target(
        "T13", "simulate, busy tree, bad day: ms per virtual second", "simulate", "busy-cost", "", 10, 3.3
    ),
)
