"""What supervisors answer when they will not do it: one class per error term of OTP, named as there."""

from collections.abc import Hashable
from typing import Final

from allstop.actors.errors import AllstopError, ReplyError
from allstop.actors.exits import Exit


class AlreadyPresent(ReplyError):
    """A child of this id is known and not running: use restart_child, or delete_child first."""

    def __init__(self, child_id: Hashable) -> None:
        super().__init__(f"already present: {child_id!r}")
        self.child_id = child_id


class Running(ReplyError):
    """The child runs: terminate it first."""

    def __init__(self, child_id: Hashable) -> None:
        super().__init__(f"running: {child_id!r}")
        self.child_id = child_id


class Restarting(ReplyError):
    """The child waits for its restart: terminate_child cancels that."""

    def __init__(self, child_id: Hashable) -> None:
        super().__init__(f"restarting: {child_id!r}")
        self.child_id = child_id


class NotFound(ReplyError):
    """No child of this id."""

    def __init__(self, child_id: Hashable) -> None:
        super().__init__(f"no child {child_id!r}")
        self.child_id = child_id


class MaxChildren(ReplyError):
    """The dynamic supervisor has as many children as it may; those that wait for a restart count."""

    def __init__(self, max_children: int) -> None:
        super().__init__(f"{max_children} children is the most")
        self.max_children = max_children


class GateClosed(ReplyError):
    """Another start against the same endpoint was made too lately: nothing was started. Ask again after `retry_after_s`.

    Only whoever starts a child by hand is told so; a supervisor's own starts wait for their turn.
    """

    def __init__(self, gate: str, retry_after_s: float) -> None:
        super().__init__(f"gate {gate!r} has no turn for {retry_after_s:.3g} s")
        self.gate = gate
        self.retry_after_s = retry_after_s


class NotForDynamic(ReplyError):
    """A dynamic supervisor keeps no spec of a child that is gone, so this operation means nothing there."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"{operation}: a dynamic supervisor has no stopped children")
        self.operation = operation


_EXPECTED: Final = {
    "invalid_id": "hashable, and not an empty text: it is part of the path",
    "invalid_pause": "a Pause: seconds above 0, probes and min_volume from 0 on, max_trips and thresholds from 1 on, "
    "failure_ratio above 0 and at most 1",
    "invalid_partitions": "a whole number from 1 on, and not thousands: each is an actor that is always there",
    "badarg": "a list of child specs",
    "duplicate_child_path": "ids that differ, and would be one address: it has their text, with a dash for each slash",
    "invalid_auto_shutdown": "one of AutoShutdown",
    "invalid_backoff": "a Backoff: seconds from 0 on, and max_backoff_s at least min_backoff_s",
    "invalid_budget": "a ChildBudget: max_restarts from 0 on, seconds above 0, on_exceeded one of OnChildExceeded",
    "invalid_child_spec": "a ChildSpec, or a mapping with its fields",
    "invalid_child_type": "worker or supervisor",
    "invalid_gate": "the name of a RestartGate",
    "invalid_intensity": "max_restarts is a whole number from 0 on",
    "invalid_isolation": "loop, thread or process",
    "invalid_mfa": "Start(ActorClass, args, kwargs), args a tuple",
    "invalid_on_exceeded": "one of OnExceeded",
    "invalid_period": "max_seconds is above 0",
    "invalid_restart_type": "permanent, transient or temporary",
    "invalid_shutdown": "seconds from 0 on, INFINITY or BRUTAL_KILL",
    "invalid_significant": "True or False",
    "invalid_simulated_cost": "seconds from 0 on, or None",
    "invalid_start_timeout": "seconds above 0",
    "invalid_max_children": "a whole number from 1 on",
    "invalid_strategy": "one of Strategy; a dynamic supervisor takes ONE_FOR_ONE only",
    "invalid_type": "SupervisorFlags come first, the children after them",
    "invalid_while_down": "Stash(n) with n from 1 on",
    "missing_id": "only a dynamic supervisor gives children one",
    "unknown_gate": "declare_gates comes first",
    "unknown_key": "no field of ChildSpec",
}


# By the field that does not go with the other.
_COMBINATIONS: Final = {
    "auto_shutdown": "a supervisor that shuts itself down is no permanent child: it would come back at once, each time",
    "budget": "a temporary child is never restarted, so it needs no budget",
    "isolation": "a supervisor runs on the loop: it does not block, and its children can be isolated",
    "significant": "a significant child ends its supervisor by ending for good: it is transient or temporary, and the "
    "flags say auto_shutdown",
}


_NOTHING: Final = object()  # None may be what was given


def _bad_combination(value: object) -> str:
    if not isinstance(value, tuple) or len(value) != 3:
        return f"bad_combination: auto_shutdown={value!s} (no child of a dynamic supervisor is significant)"
    field, child_id, other = value
    return f"bad_combination: {field} of child {child_id!r}, with {other} ({_COMBINATIONS[field]})"


def _what_is_wrong(code: str, value: object, child_id: Hashable) -> str:
    if code == "bad_combination":
        return _bad_combination(value)
    text = code if value is _NOTHING else f"{code}: {value!r}"
    if child_id is not None:
        text = f"{text}, child {child_id!r}"
    expected = _EXPECTED.get(code)
    return f"{text} ({expected})" if expected else text


class InvalidChildSpec(ReplyError):
    """A child spec is wrong; nothing was started. `code` is OTP's word for it, `value` what was given, `child_id`
    whose it is, if that is known."""

    def __init__(self, code: str, value: object = _NOTHING, child_id: Hashable = None) -> None:
        super().__init__(_what_is_wrong(code, value, child_id))
        self.code = code
        self.value = None if value is _NOTHING else value
        self.child_id = child_id


class InvalidFlags(ReplyError):
    """The flags of a supervisor are wrong; nothing was started. `code` is OTP's word for it."""

    def __init__(self, code: str, value: object = _NOTHING) -> None:
        super().__init__(_what_is_wrong(code, value, None))
        self.code = code
        self.value = None if value is _NOTHING else value


class UnknownRequest(ReplyError):
    """A supervisor was called with what it does not know: nothing was done, and it goes on. Ask with the functions of
    `allstop.supervisors`, such as `which_children`."""

    def __init__(self, path: str, message: object) -> None:
        super().__init__(
            f"{path}: a supervisor does not know {type(message).__name__}; which_children, start_child and the others "
            "are functions of allstop.supervisors"
        )


class NotASupervisor(AllstopError, TypeError):
    """What was asked is no supervisor, or not one that can do this: nothing was sent."""

    def __init__(self, ref: object, kind: str, what: str) -> None:
        super().__init__(f"supervisor: {ref!r} is a {what}, not a {kind}")
        self.ref = ref


class StartFailure(ReplyError):
    """The child that was asked for did not start; `reason` is why, and its spec is kept only by restart_child."""

    def __init__(self, child_id: Hashable, reason: BaseException) -> None:
        super().__init__(f"{child_id!r} did not start: {type(reason).__name__}: {reason}")
        self.child_id = child_id
        self.reason = reason
        self.__cause__ = reason


class FailedToStartChild(AllstopError):
    """A supervisor did not start because this child did not; those started before it were stopped again."""

    def __init__(self, child_id: Hashable, reason: BaseException) -> None:
        super().__init__(f"failed to start child {child_id!r}: {type(reason).__name__}: {reason}")
        self.child_id = child_id
        self.reason = reason
        self.__cause__ = reason


class ChildEnded(AllstopError):
    """Stands in a chain of causes for an end that had no exception of its own, as a kill or a clean exit."""

    def __init__(self, child_id: Hashable, exit_: Exit) -> None:
        super().__init__(f"{child_id!r} ended: {exit_}")
        self.child_id = child_id
        self.exit = exit_
