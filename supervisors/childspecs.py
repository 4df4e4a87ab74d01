"""Whether child specs and flags make sense, before anything is started. OTP's codes; unknown keys are refused."""

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from allstop.actors.runtime import Actor
from allstop.actors.runtime.arguments import want
from allstop.actors.spec import (
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
    Shutdown,
    Start,
    Stash,
    Strategy,
    SupervisorFlags,
)
from allstop.supervisors.degrade import REPORTS_MAX
from allstop.supervisors.errors import InvalidChildSpec, InvalidFlags

SECONDS_MAX = 1e15  # thirty million years; an integer may be more than a clock can add
_SPEC_KEYS = frozenset(field.name for field in dataclasses.fields(ChildSpec))


def as_child_spec(value: ChildSpec | Mapping[str, object]) -> ChildSpec:
    """A checked spec from a spec, or from a mapping with its fields. Raises InvalidChildSpec."""
    if isinstance(value, Mapping):
        for key in ("id", "start"):
            if key not in value:
                raise InvalidChildSpec(f"missing_{key}")
        for key in value:
            if key not in _SPEC_KEYS:
                raise InvalidChildSpec("unknown_key", key)
        value = ChildSpec(**value)  # pyright: ignore[reportArgumentType]  # checked field by field below
    if not isinstance(value, ChildSpec):  # callers may be untyped
        raise InvalidChildSpec("invalid_child_spec", value)
    budget = value.budget
    if (
        value.restart.__class__ is str
        or value.type.__class__ is str
        or value.isolation.__class__ is str
        or (budget.__class__ is ChildBudget and budget.on_exceeded.__class__ is str)  # pyright: ignore[reportOptionalMemberAccess]
    ):
        value = _worded(value)
    _check_spec(value)
    return value


def check_childspecs(specs: object, auto_shutdown: AutoShutdown | None = None) -> None:
    """Raises InvalidChildSpec for the first mistake in a list of specs, starting nothing.

    With `auto_shutdown` the specs are also checked against it; without, only what no supervisor would take is refused.
    """
    if isinstance(specs, (str, bytes, Mapping)) or not isinstance(specs, Sequence):
        raise InvalidChildSpec("badarg", specs)
    if auto_shutdown is not None:
        want("auto_shutdown", auto_shutdown, AutoShutdown, "one of AutoShutdown")
    seen: set[Hashable] = set()
    places: dict[str, Hashable] = {}
    for value in specs:
        spec = as_child_spec(value)
        if auto_shutdown is not None:
            check_significant(spec, auto_shutdown)
        if spec.id in seen:
            raise InvalidChildSpec("duplicate_child_name", spec.id)
        seen.add(spec.id)
        if (other := places.setdefault(child_segment(spec.id), spec.id)) != spec.id:
            raise InvalidChildSpec("duplicate_child_path", (other, spec.id), spec.id)


def child_segment(child_id: Hashable) -> str:
    """What a child's id is in its address: a slash would read as another level."""
    return str(child_id).replace("/", "-")


def check_significant(spec: ChildSpec, auto_shutdown: AutoShutdown) -> None:
    """A significant child under a supervisor that never shuts itself down is a misunderstanding."""
    if spec.significant and auto_shutdown is AutoShutdown.NEVER:
        raise InvalidChildSpec("bad_combination", ("significant", spec.id, auto_shutdown.value))


def _check_spec(spec: ChildSpec) -> None:
    if spec.id is None:
        raise InvalidChildSpec("missing_id")
    try:
        hash(spec.id)
    except TypeError:
        raise InvalidChildSpec("invalid_id", spec.id) from None
    if spec.id == "":
        raise InvalidChildSpec("invalid_id", spec.id)
    _require(spec, _is_start(spec.start), "invalid_mfa", spec.start)
    _require(spec, isinstance(spec.restart, Restart), "invalid_restart_type", spec.restart)
    _require(spec, isinstance(spec.type, ChildType), "invalid_child_type", spec.type)
    _require(spec, spec.shutdown is None or _is_shutdown(spec.shutdown), "invalid_shutdown", spec.shutdown)
    _require(spec, isinstance(spec.significant, bool), "invalid_significant", spec.significant)
    _require(spec, _is_backoff(spec.backoff), "invalid_backoff", spec.backoff)
    _require(spec, _is_stash(spec.while_down), "invalid_while_down", spec.while_down)
    _require(
        spec,
        _is_seconds(spec.start_timeout_s, least=0, inclusive=False),
        "invalid_start_timeout",
        spec.start_timeout_s,
    )
    _require(spec, isinstance(spec.isolation, Isolation), "invalid_isolation", spec.isolation)
    if spec.isolation is not Isolation.LOOP and spec.type is ChildType.SUPERVISOR:
        raise InvalidChildSpec("bad_combination", ("isolation", spec.id, spec.type.value))
    _require(
        spec,
        spec.simulated_cost_s is None or _is_seconds(spec.simulated_cost_s, least=0),
        "invalid_simulated_cost",
        spec.simulated_cost_s,
    )
    _require(spec, _is_budget(spec.budget), "invalid_budget", spec.budget)
    _require(
        spec, spec.gate is None or (isinstance(spec.gate, str) and spec.gate != ""), "invalid_gate", spec.gate
    )
    if spec.budget is not None and spec.restart is Restart.TEMPORARY:
        raise InvalidChildSpec("bad_combination", ("budget", spec.id, spec.restart.value))
    if spec.restart is Restart.PERMANENT and _shuts_itself_down(spec.start):
        # It would come back at once, each time, and spend its parent's budget by ending well.
        raise InvalidChildSpec("bad_combination", ("auto_shutdown", spec.id, spec.restart.value))
    if spec.significant and spec.restart is Restart.PERMANENT:
        raise InvalidChildSpec("bad_combination", ("significant", spec.id, spec.restart.value))


def _worded(spec: ChildSpec) -> ChildSpec:
    """The same spec, with members of the enums where it has their words."""
    budget = spec.budget
    if isinstance(budget, ChildBudget):
        budget = dataclasses.replace(budget, on_exceeded=_member(OnChildExceeded, budget.on_exceeded))
    return dataclasses.replace(
        spec,
        restart=_member(Restart, spec.restart),
        type=_member(ChildType, spec.type),
        isolation=_member(Isolation, spec.isolation),
        budget=budget,
    )


def _member(kind: type[StrEnum], word: object) -> Any:
    return next((member for member in kind if member == word), word)


def _require(spec: ChildSpec, holds: bool, code: str, value: object) -> None:
    if not holds:
        raise InvalidChildSpec(code, value, spec.id)


def _is_start(value: object) -> bool:
    return (
        isinstance(value, Start)
        and isinstance(value.actor_class, type)
        and issubclass(value.actor_class, Actor)
        and isinstance(value.args, tuple)
        and isinstance(value.kwargs, dict)
    )


def _shuts_itself_down(start: Start) -> bool:
    given = (*start.args, *start.kwargs.values())
    return any(
        isinstance(flags, SupervisorFlags) and flags.auto_shutdown is not AutoShutdown.NEVER
        for flags in given
    )


def _is_seconds(value: object, *, least: float, inclusive: bool = True) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if not abs(value) <= SECONDS_MAX:  # nor a NaN
        return False
    return value >= least if inclusive else value > least


def _is_count(value: object, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_shutdown(value: object) -> bool:
    return isinstance(value, Shutdown) or _is_seconds(value, least=0)


def _is_budget(value: object) -> bool:
    return value is None or (
        isinstance(value, ChildBudget)
        and _is_count(value.max_restarts, least=0)
        and _is_seconds(value.max_seconds, least=0, inclusive=False)
        and isinstance(value.on_exceeded, OnChildExceeded)
        and _is_seconds(value.cooldown_s, least=0, inclusive=False)
    )


def _is_stash(value: object) -> bool:
    return value is None or (isinstance(value, Stash) and _is_count(value.capacity, least=1))


def _is_backoff(value: object) -> bool:
    return (
        isinstance(value, Backoff)
        and _is_seconds(value.min_backoff_s, least=0)
        and _is_seconds(value.max_backoff_s, least=0)
        and (value.max_backoff_s == 0 or value.max_backoff_s >= value.min_backoff_s)
        and _is_seconds(value.random_factor, least=0)
        and (value.reset_after_s is None or _is_seconds(value.reset_after_s, least=0))
        and (value.max_consecutive is None or _is_count(value.max_consecutive, least=0))
    )


def check_flags(flags: object) -> SupervisorFlags:
    """The flags, when they make sense. Raises InvalidFlags."""
    if not isinstance(flags, SupervisorFlags):
        raise InvalidFlags("invalid_type", flags)
    checks: Iterable[tuple[bool, str, object]] = (
        (isinstance(flags.strategy, Strategy), "invalid_strategy", flags.strategy),
        (_is_count(flags.max_restarts, least=0), "invalid_intensity", flags.max_restarts),
        (_is_seconds(flags.max_seconds, least=0, inclusive=False), "invalid_period", flags.max_seconds),
        (isinstance(flags.on_exceeded, OnExceeded), "invalid_on_exceeded", flags.on_exceeded),
        (isinstance(flags.auto_shutdown, AutoShutdown), "invalid_auto_shutdown", flags.auto_shutdown),
        (_is_pause(flags.pause), "invalid_pause", flags.pause),
    )
    for holds, code, value in checks:
        if not holds:
            raise InvalidFlags(code, value)
    return flags


def check_dynamic(flags: SupervisorFlags) -> None:
    """Siblings mean nothing to a supervisor of run-time children, and no child of it is significant. Raises
    InvalidFlags."""
    if flags.strategy is not Strategy.ONE_FOR_ONE:
        raise InvalidFlags("invalid_strategy", flags.strategy)
    if flags.auto_shutdown is not AutoShutdown.NEVER:
        raise InvalidFlags("bad_combination", flags.auto_shutdown)


def _is_pause(value: object) -> bool:
    return (
        isinstance(value, Pause)
        and _is_seconds(value.cooldown_s, least=0, inclusive=False)
        and _is_count(value.probes, least=0)
        and _is_count(value.max_trips, least=1)
        and _is_count(value.min_volume, least=0)
        and value.min_volume <= REPORTS_MAX
        and _is_seconds(value.failure_ratio, least=0, inclusive=False)
        and value.failure_ratio <= 1
        and _is_seconds(value.window_s, least=0, inclusive=False)
        and all(_is_count(least, least=1) and least <= REPORTS_MAX for _, least in value.thresholds)
    )
