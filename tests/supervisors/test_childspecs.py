"""Every mistake in a spec or in flags has its code, and nothing is started because of one."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from tests.supervisors.rig import Puppet, spec

from allstop.actors.spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    Backoff,
    ChildBudget,
    ChildSpec,
    ChildType,
    Isolation,
    OnChildExceeded,
    OnExceeded,
    Pause,
    Restart,
    Start,
    Stash,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.childspecs import as_child_spec, check_childspecs, check_flags
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags

START = Start(Puppet)
UNHASHABLE: Any = []
WORD: Any = "x"
INFINITE: Any = math.inf


def code_of(value: Any) -> str:
    with pytest.raises(InvalidChildSpec) as caught:
        as_child_spec(value)
    return caught.value.code


@pytest.mark.parametrize(
    ("value", "code"),
    [
        pytest.param({"start": START}, "missing_id", marks=pytest.mark.req("1")),
        pytest.param({}, "missing_id", marks=pytest.mark.req("1")),
        pytest.param({"id": "a"}, "missing_start", marks=pytest.mark.req("2")),
        pytest.param(
            {"id": "a", "start": START, "colour": "red"}, "unknown_key", marks=pytest.mark.req("20")
        ),
        pytest.param("nonsense", "invalid_child_spec", marks=pytest.mark.req("21")),
        pytest.param(spec(None), "missing_id", marks=pytest.mark.req("1")),
        pytest.param(spec(UNHASHABLE), "invalid_id", marks=pytest.mark.req("3")),
        pytest.param(spec("a", start="run()"), "invalid_mfa", marks=pytest.mark.req("14")),
        pytest.param(spec("a", start=Start(WORD)), "invalid_mfa", marks=pytest.mark.req("14")),
        pytest.param(spec("a", start=Start(str)), "invalid_mfa", marks=pytest.mark.req("14")),
        pytest.param(spec("a", gate=""), "invalid_gate"),
        pytest.param(spec("a", gate=7), "invalid_gate"),
        pytest.param(spec("a", simulated_cost_s=-0.1), "invalid_simulated_cost"),
        pytest.param(spec("a", simulated_cost_s=math.nan), "invalid_simulated_cost"),
        pytest.param(spec("a", simulated_cost_s=True), "invalid_simulated_cost"),
        pytest.param(spec("a", simulated_cost_s=WORD), "invalid_simulated_cost"),
        pytest.param(spec("a", restart="sometimes"), "invalid_restart_type", marks=pytest.mark.req("10")),
        pytest.param(spec("a", type="boss"), "invalid_child_type", marks=pytest.mark.req("13")),
        pytest.param(spec("a", shutdown=-0.1), "invalid_shutdown", marks=pytest.mark.req("12")),
        pytest.param(spec("a", shutdown=math.nan), "invalid_shutdown", marks=pytest.mark.req("12")),
        pytest.param(spec("a", shutdown="soon"), "invalid_shutdown", marks=pytest.mark.req("12")),
        pytest.param(spec("a", shutdown=True), "invalid_shutdown", marks=pytest.mark.req("12")),
        pytest.param(spec("a", significant=1), "invalid_significant", marks=pytest.mark.req("16")),
        pytest.param(spec("a", significant=True), "bad_combination", marks=pytest.mark.req("17")),
        (spec("a", backoff=Backoff(5, 1)), "invalid_backoff"),
        (spec("a", backoff=Backoff(-1)), "invalid_backoff"),
        (spec("a", backoff=Backoff(random_factor=-1)), "invalid_backoff"),
        (spec("a", backoff=None), "invalid_backoff"),
        (spec("a", while_down=Stash(0)), "invalid_while_down"),
        (spec("a", start_timeout_s=0.0), "invalid_start_timeout"),
    ],
)
def test_each_mistake_has_its_code(value: Any, code: str) -> None:
    assert code_of(value) == code


@pytest.mark.req("11")
def test_the_valid_combinations_are_valid() -> None:
    shutdowns = (0, 0.5, 30, INFINITY, BRUTAL_KILL, None)
    for restart, kind, shutdown, significant in itertools.product(
        Restart, ChildType, shutdowns, (True, False)
    ):
        if significant and restart is Restart.PERMANENT:
            continue
        given = ChildSpec("a", START, restart=restart, type=kind, shutdown=shutdown, significant=significant)
        assert as_child_spec(given) is given


@pytest.mark.req("4")
@pytest.mark.req("5")
@pytest.mark.req("6")
@pytest.mark.req("7")
@pytest.mark.req("8")
def test_sup_start_map() -> None:
    given = as_child_spec({"id": "a", "start": START})
    assert (given.restart, given.type, given.significant) == (Restart.PERMANENT, ChildType.WORKER, False)
    assert given.effective_shutdown == 5.0
    assert replace(given, type=ChildType.SUPERVISOR).effective_shutdown is INFINITY


@pytest.mark.req("19")
@pytest.mark.req("22")
def test_a_list_is_checked_whole() -> None:
    check_childspecs([spec("a"), spec("b")])
    with pytest.raises(InvalidChildSpec, match="duplicate_child_name: 'a'"):
        check_childspecs([spec("a"), spec("a")])
    with pytest.raises(InvalidChildSpec, match="badarg"):
        check_childspecs("ab")


@pytest.mark.req("18")
@pytest.mark.req("23")
def test_a_significant_child_is_checked_against_auto_shutdown_where_it_is_known() -> None:
    significant = [spec("a", restart=Restart.TRANSIENT, significant=True)]
    check_childspecs(significant)
    check_childspecs(significant, AutoShutdown.ANY_SIGNIFICANT)
    with pytest.raises(InvalidChildSpec, match="bad_combination"):
        check_childspecs(significant, AutoShutdown.NEVER)


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        pytest.param("nonsense", "invalid_type", marks=pytest.mark.req("29")),
        pytest.param({"strategy": "x"}, "invalid_type", marks=pytest.mark.req("29")),
        pytest.param(SupervisorFlags(strategy=WORD), "invalid_strategy", marks=pytest.mark.req("25")),
        pytest.param(SupervisorFlags(max_restarts=-1), "invalid_intensity", marks=pytest.mark.req("26")),
        pytest.param(
            SupervisorFlags(max_restarts=INFINITE), "invalid_intensity", marks=pytest.mark.req("26")
        ),
        pytest.param(SupervisorFlags(max_seconds=0), "invalid_period", marks=pytest.mark.req("27")),
        pytest.param(SupervisorFlags(max_seconds=math.inf), "invalid_period", marks=pytest.mark.req("27")),
        pytest.param(
            SupervisorFlags(auto_shutdown=WORD), "invalid_auto_shutdown", marks=pytest.mark.req("28")
        ),
        (SupervisorFlags(on_exceeded=WORD), "invalid_on_exceeded"),
        (SupervisorFlags(pause=Pause(cooldown_s=0)), "invalid_pause"),
        (SupervisorFlags(pause=Pause(probes=-1)), "invalid_pause"),
        (SupervisorFlags(pause=Pause(max_trips=0)), "invalid_pause"),
        (SupervisorFlags(pause=Pause(min_volume=100_000)), "invalid_pause"),
        (SupervisorFlags(pause=Pause(failure_ratio=1.5)), "invalid_pause"),
        (SupervisorFlags(pause=Pause(thresholds=(("AUTH", 0),))), "invalid_pause"),
    ],
)
def test_sup_flags(flags: Any, code: str) -> None:
    with pytest.raises(InvalidFlags) as caught:
        check_flags(flags)
    assert caught.value.code == code


@pytest.mark.req("24")
def test_the_default_flags() -> None:
    flags = check_flags(SupervisorFlags())
    assert (flags.strategy, flags.max_restarts, flags.max_seconds) == (Strategy.ONE_FOR_ONE, 3, 5.0)
    assert (flags.on_exceeded, flags.auto_shutdown) == (OnExceeded.ESCALATE, AutoShutdown.NEVER)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            spec("a", restart="often"),
            "invalid_restart_type: 'often', child 'a' (permanent, transient or temporary)",
        ),
        (spec("a", isolation="proces"), "invalid_isolation: 'proces', child 'a' (loop, thread or process)"),
        (
            spec("a", shutdown=-1),
            "invalid_shutdown: -1, child 'a' (seconds from 0 on, INFINITY or BRUTAL_KILL)",
        ),
        ({"id": "a", "start": START, "shutdwon": 3}, "unknown_key: 'shutdwon' (no field of ChildSpec)"),
    ],
)
def test_a_mistake_is_named_with_its_child_and_with_what_is_expected(value: Any, said: str) -> None:
    with pytest.raises(InvalidChildSpec) as caught:
        as_child_spec(value)
    assert str(caught.value) == said


def test_words_stand_for_the_members_of_enums() -> None:
    loose: Any = {"restart": "transient", "type": "worker", "isolation": "thread"}
    budget = ChildBudget(1, 5.0, WORD)
    given = as_child_spec(
        ChildSpec("a", START, budget=replace(budget, on_exceeded=_word("stop_child")), **loose)
    )
    assert (given.restart, given.type, given.isolation) == (
        Restart.TRANSIENT,
        ChildType.WORKER,
        Isolation.THREAD,
    )
    assert given.restart.__class__ is Restart
    assert given.isolation.__class__ is Isolation
    assert given.budget is not None
    assert given.budget.on_exceeded is OnChildExceeded.STOP_CHILD
    assert code_of(ChildSpec("a", START, budget=budget)) == "invalid_budget"


def _word(word: str) -> Any:
    return word


@pytest.mark.parametrize("ids", [(1, "1"), ("BTC/USD", "BTC-USD")])
def test_two_ids_that_would_be_one_address_are_refused_by_name(ids: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidChildSpec, match=r"duplicate_child_path.*ids that differ") as caught:
        check_childspecs([spec(child_id) for child_id in ids])
    assert caught.value.value == ids
