"""The small rules, each as a table: strategy, budget, backoff, breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.errors import Fatal
from allstop.actors.exits import KILLED, NORMAL, SHUTDOWN, Exit, crashed, shutdown
from allstop.actors.spec import Backoff, Pause, Restart, Strategy
from allstop.supervisors.backoff import Failures, delay_s, reset_after_s, shortest_span_s
from allstop.supervisors.degrade import REPORTS_MAX, Breaker, BreakerState
from allstop.supervisors.intensity import Intensity
from allstop.supervisors.strategy import group, wants_restart

BOOM = crashed(RuntimeError("boom"))
FATAL = crashed(Fatal("KEY", "refused"))
EXITS = [NORMAL, SHUTDOWN, shutdown("x"), KILLED, BOOM, FATAL]
WANTED = {
    Restart.PERMANENT: [True, True, True, True, True, False],
    Restart.TRANSIENT: [False, False, False, True, True, False],
    Restart.TEMPORARY: [False] * 6,
}


@pytest.mark.req("81")
@pytest.mark.req("82")
@pytest.mark.req("83")
@pytest.mark.parametrize(
    ("restart", "exit_", "wanted"),
    [(r, e, w) for r, row in WANTED.items() for e, w in zip(EXITS, row, strict=True)],
)
def test_who_is_restarted(restart: Restart, exit_: Exit, wanted: bool) -> None:
    assert wants_restart(restart, exit_) is wanted


@pytest.mark.parametrize(
    ("strategy", "members"),
    [(Strategy.ONE_FOR_ONE, "b"), (Strategy.ONE_FOR_ALL, "abc"), (Strategy.REST_FOR_ONE, "bc")],
)
def test_who_goes_with_whom(strategy: Strategy, members: str) -> None:
    assert group(strategy, tuple("abc"), "b") == tuple(members)


class TestIntensity:
    @pytest.mark.req("98")
    @given(
        st.integers(0, 5),
        st.floats(0.5, 10),
        st.lists(st.floats(0, 4, allow_nan=False), max_size=30),
    )
    def test_it_is_exceeded_exactly_when_more_than_max_restarts_lie_within_the_window(
        self, max_restarts: int, max_seconds: float, gaps: list[float]
    ) -> None:
        intensity = Intensity(max_restarts, max_seconds)
        now_s, all_attempts = 0.0, list[float]()
        for gap in gaps:
            now_s += gap
            all_attempts.append(now_s)
            intensity.add(now_s)
            inside = [at for at in all_attempts if now_s - at <= max_seconds]
            assert intensity.exceeded == (len(inside) > max_restarts)
            assert intensity.left(now_s) == max(0, max_restarts - len(inside))

    def test_its_memory_is_bounded(self) -> None:
        intensity = Intensity(3, 1e9)
        for n in range(1000):
            intensity.add(float(n))
        assert len(intensity) == 4


class TestBackoff:
    @pytest.mark.req("228")
    def test_it_doubles_up_to_its_maximum(self) -> None:
        backoff = Backoff(0.5, 30, 0.2)
        assert [delay_s(backoff, n, 0.0) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]

    @given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
    def test_chance_only_lengthens_it_and_by_at_most_its_factor(self, failures: int, draw: float) -> None:
        backoff = Backoff(0.5, 30, 0.2)
        least = delay_s(backoff, failures, 0.0)
        assert least <= delay_s(backoff, failures, draw) <= least * 1.2

    def test_the_default_is_no_delay(self) -> None:
        assert delay_s(Backoff(), 7, 0.9) == 0.0

    def test_a_minimum_without_a_maximum_is_a_constant_delay(self) -> None:
        assert [delay_s(Backoff(2.0), n, 0.0) for n in (1, 2, 9)] == [2.0, 2.0, 2.0]

    @pytest.mark.req("229")
    def test_health_for_long_enough_forgets(self) -> None:
        backoff = Backoff(1, 9)
        assert reset_after_s(backoff) == 5
        failures = Failures().failed(backoff, 0.0).started(1.0)
        assert failures.failed(backoff, 5.9).in_a_row == 2
        assert failures.failed(backoff, 6.0).in_a_row == 1

    @pytest.mark.req("230")
    def test_a_start_that_fails_is_no_health(self) -> None:
        backoff = Backoff(1, 1, reset_after_s=0.0)
        assert Failures().failed(backoff, 0.0).failed(backoff, 100.0).in_a_row == 2

    def test_the_shortest_span_is_the_sum_of_the_delays_without_chance(self) -> None:
        assert shortest_span_s(Backoff(0.5, 30), 3) == 3.5
        assert shortest_span_s(Backoff(0.5, 30), 0) == 0.0
        assert shortest_span_s(Backoff(1, 2), 1_000_000) == 1 + 2 * 999_999


class TestBreaker:
    def breaker(self, **fields: object) -> Breaker:
        return Breaker(Pause(10.0, 2, 3, **fields), forget_after_s=60.0)  # pyright: ignore[reportArgumentType]

    def test_each_trip_in_a_row_doubles_the_cooldown_until_it_latches(self) -> None:
        breaker, waits = self.breaker(), list[float]()
        for _ in range(3):
            breaker = breaker.opened(100.0)
            waits.append(breaker.retry_after_s(100.0))
        assert waits == [10.0, 20.0, float("inf")]
        assert breaker.state is BreakerState.LATCHED

    def test_the_time_to_try_again_shrinks(self) -> None:
        breaker = self.breaker().opened(100.0)
        assert [breaker.retry_after_s(at) for at in (100.0, 104.0, 111.0)] == [10.0, 6.0, 0.0]

    def test_probes_count_only_while_half_open(self) -> None:
        opened = self.breaker().opened(0.0)
        assert opened.probed(1.0) is opened
        half = opened.half_opened(10.0)
        assert half.probed(11.0).state is BreakerState.HALF_OPEN
        assert half.probed(11.0).probed(12.0).state is BreakerState.CLOSED

    def test_successes_do_not_outlive_a_failure(self) -> None:
        breaker = self.breaker().opened(0.0).half_opened(10.0).probed(11.0).opened(12.0).half_opened(32.0)
        assert breaker.probed(33.0).state is BreakerState.HALF_OPEN

    def test_what_it_remembers_is_bounded(self) -> None:
        breaker = self.breaker(window_s=1e9)
        for n in range(REPORTS_MAX + 100):
            breaker = breaker.reported(None, float(n))
        assert len(breaker.reports) == REPORTS_MAX

    def test_a_ratio_needs_its_volume(self) -> None:
        breaker = self.breaker(min_volume=3, failure_ratio=1.0)
        for n in range(2):
            breaker = breaker.reported("TIMEOUT", float(n))
        assert breaker.worn is None
        assert breaker.reported("TIMEOUT", 2.0).worn == "3 of 3 calls failed within 60 s"
