"""Shrinking a plan: it goes on failing, it gets smaller, and the search ends."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from allstop.supervisors.simulation.faults import Fault, problems
from allstop.supervisors.simulation.plan import QUIET_S, FaultPlan, make_plan
from allstop.supervisors.simulation.shrink import Shrinking, shrunk


def has(plan: FaultPlan, *kinds: str) -> bool:
    return set(kinds) <= {fault.kind for fault in plan.faults}


def hell(*kinds: str) -> FaultPlan:
    """A long plan with these kinds in it."""
    return next(plan for seed in range(500) for plan in [make_plan(seed, "hell", 900.0)] if has(plan, *kinds))


def test_only_the_faults_that_matter_are_left() -> None:
    plan = hell("link.half_open", "venue.drop_reply")

    found = shrunk(plan, lambda other: has(other, "link.half_open", "venue.drop_reply"))

    assert sorted(fault.kind for fault in found.plan.faults) == ["link.half_open", "venue.drop_reply"]
    assert len(plan.faults) > 20


def test_the_run_is_cut_down_to_its_faults() -> None:
    plan = hell("link.half_open")

    found = shrunk(plan, lambda other: has(other, "link.half_open")).plan

    assert found.duration_s < 60.0
    assert found.faults[0].at_s <= 1.0
    assert found.duration_s - found.quiet_from_s == QUIET_S


def test_numbers_become_the_simplest_with_which_it_fails() -> None:
    def fails(other: FaultPlan) -> bool:
        return any(
            fault.kind == "venue.drop_reply" and fault.params["executed"] is True for fault in other.faults
        )

    plan = next(plan for seed in range(500) for plan in [make_plan(seed, "hell", 900.0)] if fails(plan))

    (fault,) = shrunk(plan, fails).plan.faults
    assert fault.params == {"method": "add_order", "n": 1, "executed": True}
    assert fault.at_s == round(fault.at_s)


def test_a_number_that_matters_is_kept_near_where_it_matters() -> None:
    fault = Fault(at_s=10.0, kind="link.half_open", target="rest", lasts_s=11.0)
    plan = FaultPlan(seed=1, profile="x", duration_s=100.0, quiet_from_s=55.0, faults=(fault,))

    (left,) = shrunk(plan, lambda other: any(one.lasts_s > 4 for one in other.faults)).plan.faults

    assert 4 < left.lasts_s < 8


def test_a_plan_that_fails_without_any_fault_ends_empty() -> None:
    found = shrunk(hell("link.cut"), lambda _plan: True)

    assert found.plan.faults == ()


def test_a_plan_of_which_nothing_can_be_left_out_stays_as_it_is() -> None:
    plan = hell("link.cut")

    assert shrunk(plan, lambda _plan: False).plan == plan


@given(st.integers(0, 500), st.sets(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_what_is_found_fails_and_the_tries_are_bounded_and_never_the_same_twice(
    seed: int, matter: set[int], tries_max: int
) -> None:
    plan = make_plan(seed, "hell", 600.0)
    needed = {plan.faults[n % len(plan.faults)].kind for n in matter} if plan.faults else set[str]()
    tried: list[FaultPlan] = []
    told: list[Shrinking] = []

    def fails(other: FaultPlan) -> bool:
        tried.append(other)
        return has(other, *needed)

    found = shrunk(plan, fails, tries_max=tries_max, on_try=told.append)

    assert has(found.plan, *needed)
    assert len(tried) == found.tries <= tries_max
    assert len({(other.duration_s, str(other.faults)) for other in tried}) == len(tried)
    assert [one.tries for one in told] == list(range(1, len(tried) + 1))
    assert all(len(later.plan.faults) <= len(one.plan.faults) for one, later in itertools.pairwise(told))
    for other in tried:
        assert [str(problem) for fault in other.faults for problem in problems(fault)] == []
        assert all(fault.at_s <= other.quiet_from_s for fault in other.faults)


def test_the_same_search_finds_the_same() -> None:
    plan = hell("actor.kill", "link.cut")

    assert shrunk(plan, lambda p: has(p, "actor.kill", "link.cut")) == shrunk(
        plan, lambda p: has(p, "actor.kill", "link.cut")
    )
