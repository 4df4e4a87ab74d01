"""What can go wrong between two processes, and errors as values that travel.

An exception does not travel as an object. What travels is its class by name, its arguments and attributes as far as
they can be encoded, its words and its traceback. The receiver makes the same class again if it knows it already; it
imports nothing on the word of the other side.
"""

import sys
import traceback
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from allstop.actors.errors import AllstopError, ReplyError

TEXT_MAX = 64 * 1024  # of a message or a traceback: what is longer nobody reads, and a frame has a bound


class Unencodable(ReplyError):
    """This message or answer cannot travel to another process. Nothing was sent.

    `place` is where in the value the trouble lies ("$.legs[1].price"). Name its class in the actor's `wire`.
    """

    def __init__(self, type_name: str, place: str, why: str) -> None:
        super().__init__(f"{type_name} cannot be sent to another process: {why} - at `{place}`")
        self.type_name = type_name
        self.place = place
        self.why = why

    def __reduce__(self) -> tuple[object, ...]:
        return (Unencodable, (self.type_name, self.place, self.why))


class RemoteError(AllstopError):
    """An actor in another process failed: the class of the error in words, its message and its traceback.

    `__cause__` is the error itself, if it could be made again here.
    """

    def __init__(self, type_name: str, message: str, traceback_text: str = "") -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text


class RemoteRefusal(ReplyError):
    """A ReplyError of an actor in another process whose class could not be made again here."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message


class ProcessDied(AllstopError):
    """The process of an actor ended without a word: by `signal` (a segmentation fault is 11), or with exit `code`."""

    def __init__(
        self, pid: int, *, signal: int | None = None, code: int | None = None, why: str = ""
    ) -> None:
        how = f"was ended by signal {signal}" if signal is not None else f"exited with code {code}"
        super().__init__(f"process {pid} {how}" + (f": {why}" if why else ""))
        self.pid = pid
        self.signal = signal
        self.code = code


class ProcessSilent(AllstopError):
    """The process of an actor did not answer for `silence_s`, though it is there: it is stopped, starved, or in C code
    that keeps the interpreter. It was killed. Where such code is wanted, give the class a longer `silence_max_s`."""

    def __init__(self, pid: int, silence_s: float) -> None:
        super().__init__(
            f"process {pid} did not answer for {silence_s:g} s: it is stopped, starved or stuck, and killed"
        )
        self.pid = pid
        self.silence_s = silence_s


class ErrorParcel(msgspec.Struct, frozen=True, array_like=True):
    """An exception on its way."""

    module: str
    qualname: str
    text: str
    traceback: str
    refusal: bool  # a ReplyError
    contents: bytes | None  # its arguments and attributes, or None if they cannot be encoded


def parcelled(error: BaseException, encode: Callable[[Any], bytes]) -> ErrorParcel:
    """The error as a value; attributes that cannot be encoded are left out."""
    cls = type(error)
    try:
        text = str(error)
    except Exception as second:  # noqa: BLE001 - the user's __str__: a report must not fail
        text = f"its __str__ raised {type(second).__name__}"
    return ErrorParcel(
        cls.__module__,
        cls.__qualname__,
        text[:TEXT_MAX],
        "".join(traceback.format_exception(error))[-TEXT_MAX:],
        isinstance(error, ReplyError),
        _contents(error, encode),
    )


def _contents(error: BaseException, encode: Callable[[Any], bytes]) -> bytes | None:
    attributes: dict[str, Any] = {}
    for name, value in vars(error).items():
        if name.startswith("__"):
            continue
        try:
            shown = _shown(value)
            encode(shown)
        except Unencodable:
            continue
        attributes[name] = shown
    try:
        return encode([list(error.args), attributes])
    except Unencodable:
        return None


def _shown(value: Any) -> Any:
    """Enum members travel by name: the codes of refusals are such."""
    if isinstance(value, Enum):
        return {"__enum__": [type(value).__module__, type(value).__qualname__, value.name]}
    return value


def unparcelled(parcel: ErrorParcel, decode: Callable[[bytes], Any]) -> BaseException:
    """The error: of its own class, if that is known here and is an exception; else RemoteError or RemoteRefusal.

    The remote traceback is its `__cause__`, or its own attribute.
    """
    name = parcel.qualname if parcel.module == "builtins" else f"{parcel.module}.{parcel.qualname}"
    remote = RemoteError(name, parcel.text, parcel.traceback)
    error = _rebuilt(parcel, decode)
    if error is None:
        return RemoteRefusal(name, parcel.text) if parcel.refusal else remote
    error.add_note(f"In the other process:\n{parcel.traceback}")
    return error


def crash_error(parcel: ErrorParcel, decode: Callable[[bytes], Any]) -> RemoteError:
    """What ended an actor in another process: always a RemoteError, with the error itself as its cause if it is known
    here: a Fatal stays one."""
    name = parcel.qualname if parcel.module == "builtins" else f"{parcel.module}.{parcel.qualname}"
    remote = RemoteError(name, parcel.text, parcel.traceback)
    remote.__cause__ = _rebuilt(parcel, decode)
    remote.add_note(f"In the other process:\n{parcel.traceback}")
    return remote


def _rebuilt(parcel: ErrorParcel, decode: Callable[[bytes], Any]) -> BaseException | None:
    cls = known(parcel.module, parcel.qualname)
    if parcel.contents is None or not (isinstance(cls, type) and issubclass(cls, Exception)):
        return None
    args, attributes = decode(parcel.contents)
    try:
        error = cls.__new__(cls, *args)  # not __init__, which takes what it likes
    except Exception:  # noqa: BLE001 - a class with a __new__ of its own: it travels as words
        return None
    error.args = tuple(args)
    vars(error).update({key: _unshown(value) for key, value in attributes.items()})
    return error


def _unshown(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"__enum__"}:
        module, qualname, name = value["__enum__"]
        cls = known(module, qualname)
        if isinstance(cls, type) and issubclass(cls, Enum) and name in cls.__members__:
            return cls[name]
        return name
    return value


def known(module: str, qualname: str) -> Any:
    """What has this name in a module that is imported already, or None."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
