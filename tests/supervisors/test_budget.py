"""Budgets that cannot do their work are refused before anything starts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.supervisors.rig import Rig, permanent, spec

from allstop.actors.errors import BadInput
from allstop.actors.spec import Backoff, OnExceeded, Pause, Restart, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.budget import check_budget, check_connect_limit, restarts_at_most, starts_at_most
from allstop.supervisors.errors import InvalidChildSpec
from allstop.supervisors.intensity import Intensity


def test_a_budget_that_its_own_backoff_can_never_spend_is_named_with_the_child() -> None:
    (problem,) = check_budget(
        SupervisorFlags(max_restarts=3, max_seconds=5),
        permanent("feed", backoff=Backoff(5, 60)),
        where="tree.py:7",
    )
    assert str(problem).startswith("tree.py:7: child 'feed': 3 restarts take at least 35 s of backoff")


@pytest.mark.parametrize(
    ("backoff", "restart"),
    [
        (Backoff(), Restart.PERMANENT),
        (Backoff(0.5, 30), Restart.PERMANENT),
        (Backoff(5, 60), Restart.TEMPORARY),
        (Backoff(5, 60, max_consecutive=8), Restart.PERMANENT),
    ],
)
def test_a_budget_that_can_be_spent_is_no_problem(backoff: Backoff, restart: Restart) -> None:
    children = (spec("a", backoff=backoff, restart=restart),)
    assert check_budget(SupervisorFlags(max_restarts=3, max_seconds=5), children) == []


def test_such_a_budget_is_refused_when_the_supervisor_is_built() -> None:
    with pytest.raises(BadInput, match=r"/top: child 'feed'"):
        Rig(SupervisorFlags(max_restarts=3, max_seconds=5), *permanent("feed", backoff=Backoff(5, 60)))


def test_such_a_child_is_refused_at_run_time_too() -> None:
    rig = Rig(SupervisorFlags(max_restarts=3, max_seconds=5))
    with pytest.raises(InvalidChildSpec, match="budget_never_spent"):
        rig.ask(d.AddChild(spec("feed", backoff=Backoff(5, 60))))
    rig.ask(d.AddChild(spec("feed", backoff=Backoff(0.5, 60))))
    with pytest.raises(InvalidChildSpec, match="budget_never_spent"):
        rig.ask(d.Reconfigure(SupervisorFlags(max_restarts=3, max_seconds=3), ()))


@settings(deadline=None)
@given(
    st.integers(0, 6),
    st.floats(0.5, 60),
    st.floats(0, 20),
    st.floats(0, 60),
)
def test_the_check_agrees_with_what_the_core_then_does(
    max_restarts: int, max_seconds: float, least: float, more: float
) -> None:
    """A child that fails at each start at once: the core gives up exactly when the check finds nothing."""
    backoff = Backoff(least, least + more, 0.0)
    flags = SupervisorFlags(max_restarts=max_restarts, max_seconds=max_seconds)
    rig = Rig(SupervisorFlags(max_restarts=0), *permanent("a", backoff=backoff))
    rig.core.flags, rig.core.window = (
        flags,
        Intensity(max_restarts, max_seconds),
    )  # past the check at construction
    rig.now_s = 0.0
    rig.outcomes["a"] = [ValueError("no")] * 200
    rig.end("a")
    rig.advance(100 * (least + more))
    can_be_spent = check_budget(flags, permanent("a", backoff=backoff)) == []
    if can_be_spent:
        assert rig.exit is not None
    elif max_seconds + 1e-6 < sum(min(least + more, least * 2**n) for n in range(max_restarts)):
        assert rig.exit is None


class TestConnectLimit:
    TRADING = SupervisorFlags(
        max_restarts=3, max_seconds=300, on_exceeded=OnExceeded.PAUSE, pause=Pause(15.0, 3, 3)
    )

    def test_the_default_trading_budget_keeps_below_krakens_limit(self) -> None:
        """Kraken: about 150 connections in a rolling 10 minutes per address."""
        assert check_connect_limit([self.TRADING], connections=2, limit=150, per_s=600) == []

    def test_a_budget_that_could_exceed_it_is_a_problem_in_numbers(self) -> None:
        generous = SupervisorFlags(max_restarts=20, max_seconds=60)
        (problem,) = check_connect_limit([generous], connections=2, limit=150, per_s=600, where="tree.py:3")
        assert "could open 442 connections in 600 s where the venue allows 150" in str(problem)

    @pytest.mark.req("111")
    def test_nested_budgets_multiply(self) -> None:
        ten = SupervisorFlags(max_restarts=10, max_seconds=1000)
        assert starts_at_most([ten, ten], within_s=100) == 121

    @settings(deadline=None)
    @given(st.integers(0, 4), st.integers(1, 20), st.integers(1, 100), st.integers(1, 12))
    def test_no_run_of_the_core_exceeds_the_promise(
        self, max_restarts: int, max_seconds: int, within_s: int, gap_tenths: int
    ) -> None:
        """A child that fails steadily, under a supervisor that pauses: never more restarts in a window than said."""
        pause = Pause(cooldown_s=2.0, probes=0, max_trips=3)
        flags = SupervisorFlags(
            max_restarts=max_restarts, max_seconds=max_seconds, on_exceeded=OnExceeded.PAUSE, pause=pause
        )
        rig = Rig(flags, *permanent("a"))
        starts: list[float] = []
        for _ in range(200):
            if "a" in rig.alive:
                before = rig.alive["a"]
                rig.end("a")
                if rig.alive.get("a", before) != before:
                    starts.append(rig.now_s)
            down = "a" not in rig.alive
            rig.advance(gap_tenths / 10)
            if down and "a" in rig.alive:
                starts.append(rig.now_s)
        most = max((sum(1 for s in starts if t <= s <= t + within_s) for t in starts), default=0)
        assert most <= restarts_at_most(flags, within_s)
