"""The catalogue of faults: each kind says what it acts on, and knows its own mistakes."""

import re

import pytest

from allstop.actors.errors import BadInput
from allstop.actors.simulated.kraken.faults import KINDS
from allstop.supervisors.simulation.faults import (
    CATALOGUE,
    Between,
    Fault,
    OneOf,
    Pair,
    Target,
    kind_of,
    problems,
)

# issue and reference name these; each is some kind here
ASKED = {
    "latency and jitter": "link.delay",
    "loss of a connection": "link.cut",
    "at any byte": "link.cut_at_byte",
    "half-open": "link.half_open",
    "slow reader": "link.slow_reader",
    "DNS down": "link.dns",
    "TLS error": "link.tls",
    "a slow disk": "disk.slow",
    "a full disk": "disk.full",
    "a torn last write": "disk.torn",
    "loss of what was not fsynced": "process.power_cut",
    "a flipped bit": "disk.flip",
    "a failing fsync": "disk.fsync",
    "process death at any await point": "process.kill",
    "a stepping clock": "clock.step",
    "a drifting clock": "clock.drift",
    "reply lost after execution": "venue.drop_reply",
    "the HTML 520 page": "venue.http_520",
    "cancel_only": "venue.cancel_only",
    "post_only": "venue.post_only",
    "maintenance": "venue.maintenance",
    "rate limits": "venue.rate_limited",
    "bans": "venue.ban",
    "token expiry": "venue.expire_tokens",
    "sequence gaps": "venue.sequence_gap",
    "acked subscription that stays silent": "venue.silent_subscription",
    "duplicate events": "venue.duplicate_execution",
    "out-of-order events": "venue.out_of_order",
    "wrong checksum": "venue.corrupt_checksum",
    "kill": "actor.kill",
    "crash": "actor.crash",
    "hang": "actor.hold",
}


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_what_was_asked_for_is_a_kind(asked: str) -> None:
    assert kind_of(ASKED[asked]).name == ASKED[asked]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_kind_is_named_by_its_family_and_says_what_it_does(name: str) -> None:
    kind = CATALOGUE[name]

    assert re.fullmatch(r"(link|disk|process|clock|operator|actor|venue)\.[a-z0-9_]+", name)
    assert len(kind.says) > 5
    assert kind.on in Target


@pytest.mark.parametrize("name", [name for name, kind in CATALOGUE.items() if kind.on is Target.VENUE])
def test_a_fault_of_the_venue_is_one_that_the_simulated_venue_knows_with_the_same_fields(name: str) -> None:
    kind = CATALOGUE[name]
    fields = set(KINDS[kind.word])

    assert set(kind.params) <= fields
    assert (kind.lasts is None) or "s" in fields
    required = {field for field, default in KINDS[kind.word].items() if default is None}
    assert required <= set(kind.params) | ({"s"} if kind.lasts is not None else set())


def test_an_unknown_kind_is_bad_input_that_names_those_that_are_there() -> None:
    with pytest.raises(BadInput, match=r"no fault 'link\.bend'; there are actor\.crash, .*venue\.slam"):
        kind_of("link.bend")


def test_both_ends_of_a_range_of_whole_numbers_are_drawn_and_nothing_beyond() -> None:
    die = Between(1, 6, whole=True)

    assert [die.drawn(n / 6) for n in range(6)] == [1, 2, 3, 4, 5, 6]
    assert die.drawn(0.999999) == 6


def test_small_numbers_come_more_often_where_a_range_says_so() -> None:
    few = Between(0, 100, small=True)

    assert [few.drawn(draw) for draw in (0.0, 0.5, 0.9)] == [0.0, 25.0, 81.0]


def test_a_choice_tells_true_from_1() -> None:
    assert OneOf((True, False)).problem(1) is not None
    assert OneOf((True, False)).problem(True) is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(at_s=1, kind="link.bend", target="rest"), "f.kind: no fault 'link.bend'"),
        (Fault(at_s=-1, kind="link.cut", target="rest"), "f.at_s: must be at least 0, not -1"),
        (Fault(at_s=1, kind="link.cut", target="rest", lasts_s=2), "f.lasts_s: link.cut does not last"),
        (Fault(at_s=1, kind="link.dns", target="rest"), "f.lasts_s: must be above 0 and at most 12, not 0"),
        (Fault(at_s=1, kind="link.dns", target="rest", lasts_s=99), "at most 12, not 99"),
        (
            Fault(at_s=1, kind="link.cut", target="rest", params={"way": "up"}),
            "f.params: link.cut has no 'way'; it has none",
        ),
        (Fault(at_s=1, kind="venue.corrupt_checksum", target="k"), "f.params.n: is missing"),
        (
            Fault(at_s=1, kind="venue.corrupt_checksum", target="k", params={"n": 1.5}),
            "f.params.n: must be a whole number, not 1.5",
        ),
        (
            Fault(at_s=1, kind="venue.corrupt_checksum", target="k", params={"n": 9}),
            "f.params.n: must be from 1 to 4, not 9",
        ),
        (
            Fault(at_s=1, kind="link.one_way", target="k", params={"way": "left"}, lasts_s=1),
            "f.params.way: must be one of 'down', 'up', not 'left'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_from_outside_is_told_what_is_wrong_with_it_and_where(fault: Fault, said: str) -> None:
    assert said in "\n".join(str(problem) for problem in problems(fault, "f"))


def test_the_time_until_the_world_is_whole_counts_the_wait_for_a_moment_and_the_time_down() -> None:
    killed = Fault(
        at_s=10, kind="process.kill", target="host", params={"point": "sent", "steps": 1, "down_s": 2.5}
    )

    assert killed.ends_s == 15.5
    assert Fault(at_s=10, kind="link.dns", target="rest", lasts_s=4).ends_s == 14
    assert Pair().problem("BTC") is not None
