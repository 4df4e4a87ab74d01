"""What supervisors answer when they will not do it: one class per error term of OTP, named as there."""

from collections.abc import Hashable

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


class InvalidChildSpec(ReplyError):
    """A child spec is wrong; nothing was started. `code` is OTP's word for it, `value` what was given."""

    def __init__(self, code: str, value: object = None) -> None:
        super().__init__(code if value is None else f"{code}: {value!r}")
        self.code = code
        self.value = value


class InvalidFlags(ReplyError):
    """The flags of a supervisor are wrong; nothing was started. `code` is OTP's word for it."""

    def __init__(self, code: str, value: object = None) -> None:
        super().__init__(code if value is None else f"{code}: {value!r}")
        self.code = code
        self.value = value


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
