"""Plans of faults: the seed decides all of it, and they end in time."""

import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allstop.actors.errors import BadInput
from allstop.supervisors.simulation.faults import CATALOGUE, Between, Fault, OneOf, Param, Target, problems
from allstop.supervisors.simulation.plan import (
    FAULTED_MIN_S,
    QUIET_S,
    FaultPlan,
    Shape,
    in_order,
    make_plan,
)
from allstop.supervisors.simulation.profiles import HALTING, PROFILES, Profile, profile_of

SEEDS = st.integers(min_value=0, max_value=2**31)
# Those of the product: tests/mutants adds profiles of its own in a process that runs both.
OURS = sorted(name for name in PROFILES if not name.startswith("mutants."))
NAMES = st.sampled_from(OURS)
DURATIONS = st.floats(min_value=QUIET_S + FAULTED_MIN_S + 0.01, max_value=2000.0)


@given(SEEDS, NAMES, DURATIONS)
def test_the_same_seed_makes_the_same_plan(seed: int, name: str, duration_s: float) -> None:
    assert make_plan(seed, name, duration_s) == make_plan(seed, name, duration_s)


def test_another_process_with_other_hashes_makes_the_same_plan() -> None:
    code = (
        "import msgspec, sys; from allstop.supervisors.simulation.plan import make_plan;"
        "sys.stdout.write(msgspec.json.encode([make_plan(s, 'hell', 300.0) for s in range(20)]).decode())"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hashes, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]

    assert told[0] == told[1] == msgspec.json.encode([make_plan(s, "hell", 300.0) for s in range(20)])


@given(SEEDS, NAMES, DURATIONS)
@settings(max_examples=300)
def test_every_fault_is_one_of_its_kind_within_its_ranges(seed: int, name: str, duration_s: float) -> None:
    plan = make_plan(seed, name, duration_s)

    assert [str(problem) for fault in plan.faults for problem in problems(fault)] == []


@given(SEEDS, NAMES, DURATIONS)
@settings(max_examples=300)
def test_every_fault_has_healed_before_the_quiet_begins(seed: int, name: str, duration_s: float) -> None:
    plan = make_plan(seed, name, duration_s)

    assert plan.duration_s - plan.quiet_from_s == pytest.approx(QUIET_S, abs=0.001)
    assert all(fault.at_s >= 0 and fault.ends_s <= plan.quiet_from_s for fault in plan.faults)


@given(SEEDS, NAMES)
def test_faults_stand_in_the_order_in_which_they_begin_and_only_the_enabled_kinds_come(
    seed: int, name: str
) -> None:
    plan = make_plan(seed, name, 600.0)

    assert list(plan.faults) == list(in_order(plan.faults))
    assert {fault.kind for fault in plan.faults} <= set(plan.enabled) <= set(PROFILES[name].kinds)


@pytest.mark.parametrize("name", OURS)
def test_each_kind_of_a_profile_comes_with_some_seed_and_not_with_all(name: str) -> None:
    plans = [make_plan(seed, name, 2000.0) for seed in range(150)]
    met = {fault.kind for plan in plans for fault in plan.faults}

    assert met == set(PROFILES[name].kinds)
    for kind in PROFILES[name].kinds:
        assert any(kind not in plan.enabled for plan in plans), kind


def test_hell_has_every_kind_but_a_persons_halt_and_those_that_came_later() -> None:
    # Many of its seeds were known by then: their plans stay what they were.
    later = {"venue.plunge", "link.cut_at_order", "actor.kill_at_order"}
    assert set(PROFILES["hell"].kinds) == set(CATALOGUE) - {"operator.halt", *later}
    assert later - {"venue.plunge"} <= set(PROFILES["submit"].kinds)
    assert "venue.plunge" in PROFILES["stop-protection"].kinds


def test_a_profile_may_aim_a_kind_at_those_that_it_is_about() -> None:
    sessions = "/accounts/*/trading/session"
    profile = Profile(
        name="test",
        says="",
        kinds={"actor.kill": 1.0},
        per_minute=Between(60.0, 60.0),
        aim={"actor.kill": (sessions,)},
    )
    plan = make_plan(1, profile, 100.0)
    assert {fault.target for fault in plan.faults} == {sessions}


def test_a_profile_may_draw_numbers_from_less_than_their_whole_range() -> None:
    narrow: dict[str, dict[str, Param]] = {
        "venue.drop_reply": {"method": OneOf(("amend_order",)), "n": Between(2, 2, whole=True)}
    }
    profile = Profile(
        name="narrow",
        says="one method",
        kinds={"venue.drop_reply": 1.0},
        per_minute=Between(20.0, 30.0),
        narrow=narrow,
    )
    faults = make_plan(1, profile, 120.0).faults

    assert {(fault.params["method"], fault.params["n"]) for fault in faults} == {("amend_order", 2)}
    assert {fault.params["executed"] for fault in faults} == {True, False}


def test_a_bad_day_has_nothing_after_which_trading_stays_halted() -> None:
    assert not HALTING & set(PROFILES["bad-day"].kinds)


@pytest.mark.parametrize("name", OURS)
def test_a_profile_names_kinds_that_are_there_and_its_rates_make_sense(name: str) -> None:
    profile = PROFILES[name]

    assert set(profile.kinds) <= set(CATALOGUE)
    assert all(weight > 0 for weight in profile.kinds.values())
    assert 0 <= profile.per_minute.low < profile.per_minute.high <= 60
    assert profile.says


def test_what_a_world_does_not_have_is_not_planned() -> None:
    bare = Shape(links=(), venues=(), disks=(), hosts=(), actors=("/strategies/*",), pairs=())
    plans = [make_plan(seed, "hell", 600.0, bare) for seed in range(50)]

    assert {CATALOGUE[fault.kind].on for plan in plans for fault in plan.faults} == {Target.ACTOR}
    nothing = make_plan(1, "connection", 600.0, bare)
    assert (nothing.enabled, nothing.faults) == ((), ())


def test_hell_is_worse_than_a_bad_day_and_that_is_worse_than_a_calm_one() -> None:
    counts = [
        sum(len(make_plan(seed, name, 600.0).faults) for seed in range(50))
        for name in ("calm", "bad-day", "hell")
    ]

    assert counts[0] * 5 < counts[1] < counts[2] / 2


def test_a_run_too_short_to_recover_in_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"duration_s: 40 s are too short: 5 s of faults and 45 s to recover"):
        make_plan(1, "calm", 40.0)


def test_an_unknown_profile_is_bad_input_that_names_those_that_are_there() -> None:
    with pytest.raises(BadInput, match="no fault profile 'heaven'; there are calm, bad-day, hell, submit"):
        profile_of("heaven")


def test_a_profile_of_ones_own_makes_plans_too() -> None:
    mine = Profile(name="mine", says="cuts", kinds={"link.cut": 1.0}, per_minute=Between(10, 10.5), share=1.0)

    plan = make_plan(3, mine, 105.0)

    assert plan.kinds == {"link.cut": len(plan.faults)}
    assert len(plan.faults) in (10, 11)


@given(SEEDS, NAMES)
def test_a_plan_survives_json(seed: int, name: str) -> None:
    plan = make_plan(seed, name, 300.0)

    assert msgspec.json.decode(msgspec.json.encode(plan), type=FaultPlan) == plan


def test_a_fault_reads_as_one_line() -> None:
    fault = Fault(at_s=1.5, kind="link.one_way", target="rest", params={"way": "up"}, lasts_s=2.0)

    assert str(fault) == "1.500 s link.one_way rest way=up for 2 s"
