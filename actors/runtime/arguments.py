"""What callers hand in, looked at where it comes in: an error names the parameter, what was given, and what is wanted.

Not on the way of a message: there a wrong argument is found where it is used.
"""

import math
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.exits import Exit

if TYPE_CHECKING:
    from allstop.actors.runtime.ref import Ref

SECONDS_MAX: Final = 1e15  # thirty million years; an integer may be more than a clock can add


def _not(name: str, wanted: str, given: object) -> TypeError:
    return TypeError(f"{name}: {wanted}, not {given!r:.200}")


def want_count(name: str, given: object, *, least: int) -> None:
    """A whole number from `least` on. Raises TypeError or ValueError."""
    wanted = f"a whole number from {least} on"
    if not isinstance(given, int) or isinstance(given, bool):
        raise _not(name, wanted, given)
    if given < least:
        raise ValueError(f"{name}: {wanted}, not {given!r}")


def want_seconds(name: str, given: object, *, above: bool = False) -> None:
    """Seconds from 0 on, or above 0. Raises TypeError or ValueError."""
    wanted = "seconds above 0" if above else "seconds from 0 on"
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise _not(name, wanted, given)
    if (not 0 <= given <= SECONDS_MAX and given != math.inf) or (above and given == 0):  # nor a NaN
        raise ValueError(f"{name}: {wanted}, not {given!r:.40}")


def want_text(name: str, given: object) -> None:
    """A text that says something. Raises TypeError or ValueError."""
    if not isinstance(given, str):
        raise _not(name, "a text", given)
    if not given.strip():
        raise ValueError(f"{name}: a text that says something, not {given!r}")


def want_function(name: str, given: object) -> None:
    """Something to call. Raises TypeError."""
    if not callable(given):
        raise _not(name, "something to call", given)


def want(name: str, given: object, kind: type[Any] | tuple[type[Any], ...], wanted: str) -> None:
    """One of a kind, `wanted` in words. Raises TypeError."""
    if not isinstance(given, kind):
        raise _not(name, wanted, given)


def want_exit(name: str, given: object) -> None:
    want(name, given, Exit, "an Exit, as NORMAL or SHUTDOWN")


def want_ref(name: str, given: "Ref | Any") -> None:
    """The address of an actor. Raises TypeError."""
    from allstop.actors.runtime.ref import Ref

    want(name, given, Ref, "the Ref of an actor")


def want_path(given: object) -> None:
    """The path of an address. Raises TypeError or ValueError."""
    if not isinstance(given, str):
        raise _not("path", "a text as in '/accounts/kraken.main'", given)
    if not given.startswith("/"):
        raise ValueError(f"a path starts with a slash: {given!r}")
    if given != "/" and (given.endswith("/") or "//" in given):
        raise ValueError(f"a path has a name between any two slashes, and after the last: {given!r}")
