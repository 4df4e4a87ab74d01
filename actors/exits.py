"""Exit reasons: why an actor ended. Clean ends are NORMAL, SHUTDOWN and Shutdown(detail); the rest are abnormal."""

from enum import StrEnum
from typing import Final

import msgspec

from allstop.actors.errors import AllstopError, Fatal


class ExitKind(StrEnum):
    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"  # ended by force, by its supervisor or by chaos
    CRASHED = "crashed"  # ended by an exception
    NOPROC = "noproc"  # was already gone when it was monitored


# An enum's attribute costs a lookup through its metaclass; these are read at each end.
_NORMAL: Final = ExitKind.NORMAL
_SHUTDOWN: Final = ExitKind.SHUTDOWN
_CRASHED: Final = ExitKind.CRASHED


class Exit(msgspec.Struct, frozen=True):
    """Why an actor ended: `error` is set for a crash, `detail` where the kind needs words."""

    kind: ExitKind
    error: BaseException | None = None
    detail: object = None

    @property
    def clean(self) -> bool:
        kind = self.kind
        return kind is _NORMAL or kind is _SHUTDOWN

    @property
    def abnormal(self) -> bool:
        kind = self.kind
        return kind is not _NORMAL and kind is not _SHUTDOWN

    @property
    def fatal(self) -> bool:
        """True when a `Fatal` stands anywhere in the chain of causes."""
        error = self.error
        if error is None:
            return False
        if error.__cause__ is None and not hasattr(
            error, "causes"
        ):  # most errors, on the way of every restart
            return isinstance(error, Fatal)
        return any(isinstance(cause, Fatal) for cause in causes(error))

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.kind!s}: {type(self.error).__name__}: {self.error}"
        return f"{self.kind!s}: {self.detail}" if self.detail is not None else str(self.kind)


NORMAL: Final = Exit(ExitKind.NORMAL)
SHUTDOWN: Final = Exit(ExitKind.SHUTDOWN)
KILLED: Final = Exit(ExitKind.KILLED)


def shutdown(detail: object) -> Exit:
    """A clean end with words: OTP's `{shutdown, Term}`."""
    return Exit(ExitKind.SHUTDOWN, detail=detail)


def crashed(error: BaseException) -> Exit:
    return Exit(_CRASHED, error)


class ReachedMaxRestartIntensity(AllstopError):
    """A supervisor gave up. Abnormal, unlike OTP's `shutdown`, so that no parent can drop it in silence."""

    def __init__(self, path: str, offender: str, attempts: int, causes: tuple[BaseException, ...]) -> None:
        last = f"; last: {type(causes[-1]).__name__}: {causes[-1]}" if causes else ""
        super().__init__(f"{path} gave up after {attempts} restarts of {offender}{last}")
        self.path = path
        self.offender = offender
        self.attempts = attempts
        self.causes = causes


def causes(error: BaseException | None) -> tuple[BaseException, ...]:
    """The error and everything that led to it, nearest first, each once."""
    if error is None:
        return ()
    if error.__cause__ is None and not hasattr(error, "causes"):
        return (error,)  # most errors: asked several times per restart
    found: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is None or any(current is seen for seen in found):
            continue
        found.append(current)
        queue.extend(getattr(current, "causes", ()))
        queue.append(current.__cause__)
    return tuple(found)
