"""Which faults belong together: profiles by name, each a table of kinds with how often they come. Pure."""

import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.simulation.faults import CATALOGUE, Between, Param

# They end in a halt, as they should, or with a person who accepts what a disk has lost: a profile for the days after
# which the tree trades again by itself leaves them out.
HALTING = frozenset({"disk.full", "disk.fsync", "disk.flip", "venue.revoke_key", "operator.halt"})
# Added after many seeds were known: these are met by the profile that they are about, and the others' seeds stay theirs.
_NEW = ("venue.plunge", "link.cut_at_order", "actor.kill_at_order")
# What a tree does by itself meets these; a person's halt has a profile of its own.
_ENDING = sorted(HALTING - {"operator.halt"})


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """`kinds` are names with weights: how often a kind is drawn beside the others. Below 1 it is also enabled by fewer
    seeds. `share` of the kinds is enabled by a seed; `together` of the faults come within a second of the last. `narrow` draws a kind's numbers from less
    than its whole range, and `aim` whom it hits from these."""

    name: str
    says: str
    kinds: dict[str, float]
    per_minute: Between
    share: float = 0.5
    together: float = 0.2
    narrow: dict[str, dict[str, Param]] = msgspec.field(default_factory=dict[str, dict[str, Param]])
    aim: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict[str, tuple[str, ...]])


def _of(family: str, weight: float = 1.0) -> dict[str, float]:
    return {name: weight for name, kind in CATALOGUE.items() if kind.family == family and name not in _NEW}


def _but(kinds: dict[str, float], *names: str) -> dict[str, float]:
    return {name: weight for name, weight in kinds.items() if name not in names}


def _each(*names: str, weight: float = 1.0) -> dict[str, float]:
    return dict.fromkeys(names, weight)


_CALLS = _each("venue.drop_reply", "venue.delay", "venue.http_520", "venue.error")

_ALL = (
    Profile(
        name="calm",
        says="a quiet day: a little latency, a connection lost now and then, a checksum that is wrong",
        kinds=_each("link.delay", "link.cut", "venue.corrupt_checksum", "venue.cut", "venue.delay"),
        per_minute=Between(0.0, 1.0),
        together=0.0,
    ),
    Profile(
        name="bad-day",
        says="everything that a long day brings, and after which the tree trades again",
        kinds={
            **_of("link"), **_but(_of("venue"), *HALTING), **_of("actor"),
            **_each("disk.slow", "clock.step", "clock.drift", "process.stall"),
            **_each("process.kill", "process.power_cut", weight=0.5),
        },
        per_minute=Between(2.0, 8.0, small=True),
    ),
    Profile(
        name="hell",
        says="every kind there is, often and together",
        kinds={**_of("link"), **_of("venue"), **_of("actor"), **_of("clock"), **_of("process"), **_of("disk"), **_each(*_ENDING, weight=0.15)},
        per_minute=Between(6.0, 30.0, small=True),
        together=0.4,
    ),
    # -- one for each family of scenarios
    Profile(
        name="submit",
        says="submits whose outcome is not known",
        kinds={**_CALLS, **_each("venue.invalid_nonce", "venue.out_of_order", "link.cut_at_byte", "link.cut", "link.cut_at_order", "link.delay", "link.one_way", "actor.kill_at_order")},
        per_minute=Between(3.0, 12.0),
        share=0.6,
    ),
    Profile(
        name="cancel-amend",
        says="cancels and amends that meet fills and lost replies",
        kinds={**_CALLS, **_each("venue.unknown_order", "venue.duplicate_execution", "venue.out_of_order", "link.cut_at_byte", "link.delay")},
        per_minute=Between(3.0, 12.0),
        share=0.6,
    ),
    Profile(
        name="stop-protection",
        says="what stands between a fill and its stop",
        kinds={
            **_CALLS,
            **_each("venue.plunge", "venue.refuse_closes", "venue.post_only", "venue.pair_status", "actor.kill", "actor.crash", "actor.hold", "process.kill", "process.power_cut", "link.cut_at_byte", "link.half_open"),
        },
        per_minute=Between(2.0, 8.0),
        share=0.6,
    ),
    Profile(
        name="connection",
        says="links, streams and sessions",
        kinds={
            **_of("link"),
            **_each("venue.corrupt_checksum", "venue.corrupt_frame", "venue.sequence_gap", "venue.duplicate_execution", "venue.out_of_order",
                    "venue.silence", "venue.silent_subscription", "venue.refuse_connects", "venue.slam", "venue.cut", "venue.expire_tokens"),
        },
        per_minute=Between(3.0, 15.0),
    ),
    Profile(
        name="auth-clock",
        says="nonces, tokens, keys, and a wall clock that is wrong",
        kinds={**_of("clock"), **_each("venue.invalid_nonce", "venue.expire_tokens", "venue.cut", "process.kill"), **_each("venue.revoke_key", weight=0.2)},
        per_minute=Between(2.0, 8.0),
        share=0.6,
    ),
    Profile(
        name="rate-limits",
        says="limits, bans, and calls that take too long",
        kinds=_each("venue.rate_limited", "venue.ban", "venue.slam", "venue.refuse_connects", "venue.cut", "venue.delay", "actor.kill", "process.kill"),
        per_minute=Between(2.0, 8.0),
        share=0.6,
    ),
    Profile(
        name="venue-state",
        says="maintenance and its phases, pairs that are not to be traded",
        kinds={**_each("venue.maintenance", "venue.cancel_only", "venue.post_only", "venue.phases", "venue.pair_status"), **_CALLS, **_each("venue.cut")},
        per_minute=Between(1.0, 6.0),
        share=0.6,
    ),
    Profile(
        name="process-journal",
        says="the process, its actors and its disk",
        kinds={**_of("process"), **_of("actor"), **_of("disk"), **_each(*(name for name in _ENDING if name.startswith("disk.")), weight=0.2), **_each("link.cut_at_byte")},
        per_minute=Between(2.0, 8.0),
    ),
    Profile(
        name="halts",
        says="a person halts, and then the process, its actors and the venue go on to fail",
        kinds={**_of("process"), **_of("actor"), **_CALLS, **_each("operator.halt", "link.cut", "disk.slow")},
        per_minute=Between(4.0, 12.0),
        share=0.8,
    ),
)  # fmt: skip

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


def profile_of(name: str) -> Profile:
    """The profile of this name. Raises BadInput, naming those that are there."""
    if name not in PROFILES:
        raise BadInput(Problem(f"no fault profile {name!r}; there are {', '.join(PROFILES)}", "--faults"))
    return PROFILES[name]
