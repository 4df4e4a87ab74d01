"""What the two processes say to each other. Bodies are what the codec made; they are opaque here."""

from typing import Any, Final

import msgspec

from allstop.actors.exits import Exit, ExitKind
from allstop.actors.runtime.process.codec import VALUE_BYTES_MAX, Codec
from allstop.actors.runtime.process.errors import ErrorParcel, Unencodable, crash_error, parcelled

FRAME_BYTES_MAX: Final = VALUE_BYTES_MAX + 1024 * 1024  # a value, and room for what stands around it


class Frame(msgspec.Struct, frozen=True, array_like=True):
    pass


class ExitParcel(msgspec.Struct, frozen=True, array_like=True):
    """An exit on its way."""

    kind: ExitKind
    error: ErrorParcel | None = None
    detail: bytes | None = None


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A value that is looked at, encoded; or, where it cannot travel, its repr."""

    body: bytes | None
    text: str = ""


# -- to the child process ---------------------------------------------------------------------------------------------
class Boot(Frame, frozen=True, tag=0):
    """Which actor to run, and where its class is found."""

    module: str
    qualname: str
    file: str
    search_path: list[str]
    environment_path: str | None  # PYTHONPATH as it was
    path: str
    parent: str | None
    incarnation: int
    names: tuple[str, ...]  # of the wire classes
    arguments: bytes


class Deliver(Frame, frozen=True, tag=1):
    number: int
    called: bool
    body: bytes


class StopNow(Frame, frozen=True, tag=2):
    exit: ExitParcel


class Answered(Frame, frozen=True, tag=3):
    """The answer to an Ask."""

    number: int
    body: bytes | None
    error: ErrorParcel | None


class Ended(Frame, frozen=True, tag=4):
    """A monitor's Down."""

    number: int
    incarnation: int
    exit: ExitParcel


class PeerEnded(Frame, frozen=True, tag=5):
    """The end of a peer that the actor is linked to, and traps."""

    path: str
    incarnation: int
    exit: ExitParcel


class Look(Frame, frozen=True, tag=6):
    """Inspection asks: for the state, to suspend, to resume, to count."""

    number: int
    what: str
    timeout_s: float


class LookAway(Frame, frozen=True, tag=7):
    """Whoever asked has gone."""

    number: int


class TellSteps(Frame, frozen=True, tag=8):
    """Each step is to be told, or none any more."""

    wanted: bool


# -- from the child process -------------------------------------------------------------------------------------------
class Started(Frame, frozen=True, tag=10):
    ignored: bool


class NotStarted(Frame, frozen=True, tag=11):
    error: ErrorParcel


class Handled(Frame, frozen=True, tag=12):
    """The handlers of these messages are done: there is room for as many more."""

    numbers: list[int]


class Replied(Frame, frozen=True, tag=13):
    number: int
    body: bytes | None
    error: ErrorParcel | None


class Send(Frame, frozen=True, tag=14):
    path: str
    body: bytes


class Ask(Frame, frozen=True, tag=15):
    number: int
    path: str
    body: bytes


class Observe(Frame, frozen=True, tag=16):
    number: int
    path: str
    final: bool


class Forget(Frame, frozen=True, tag=17):
    number: int


class Link(Frame, frozen=True, tag=20):
    path: str


class Unlink(Frame, frozen=True, tag=21):
    path: str


class Shown(Frame, frozen=True, tag=18):
    """What the actor shows of itself, and what was counted."""

    body: bytes | None
    statistics: bytes | None = None


class Gone(Frame, frozen=True, tag=19):
    """The actor ended: the last frame. `on` is the message that it failed on."""

    exit: ExitParcel
    on: int | None


class PutAside(Frame, frozen=True, tag=22):
    """These messages are in the actor's stash: there is room for as many more, and they are handled yet."""

    numbers: list[int]


class Looked(Frame, frozen=True, tag=23):
    """The answer to a Look."""

    number: int
    attributes: dict[str, Part] | None = None
    state: Part | None = None  # where it is no dict of attributes
    statistics: bytes | None = None
    error: ErrorParcel | None = None


class ShownStep(Frame, frozen=True, tag=24):
    """One step of the actor."""

    at_ns: int
    kind: str
    message: Part
    called: bool
    result: Part | None
    took_s: float | None
    left_out: int


TO_CHILD: Final = msgspec.msgpack.Decoder(
    Boot | Deliver | StopNow | Answered | Ended | PeerEnded | Look | LookAway | TellSteps
)
FROM_CHILD: Final = msgspec.msgpack.Decoder(
    Started
    | NotStarted
    | Handled
    | Replied
    | Send
    | Ask
    | Observe
    | Forget
    | Link
    | Unlink
    | Shown
    | Gone
    | PutAside
    | Looked
    | ShownStep
)
_ENCODER: Final = msgspec.msgpack.Encoder()


def framed(frame: Frame) -> bytes:
    """The frame with its length before it."""
    payload = _ENCODER.encode(frame)
    return len(payload).to_bytes(4, "big") + payload


def exit_parcelled(exit_: Exit, codec: Codec) -> ExitParcel:
    """A detail that cannot be encoded travels as its repr."""
    detail: bytes | None = None
    if exit_.detail is not None:
        try:
            detail = codec.encode(exit_.detail)
        except Unencodable:
            detail = codec.encode(repr(exit_.detail)[:1000])
    error = None if exit_.error is None else parcelled(exit_.error, codec.encode)
    return ExitParcel(exit_.kind, error, detail)


def exit_unparcelled(parcel: ExitParcel, codec: Codec) -> Exit:
    """An error comes as a RemoteError."""
    error = None if parcel.error is None else crash_error(parcel.error, codec.decode)
    detail: Any = None if parcel.detail is None else codec.decode(parcel.detail)
    return Exit(parcel.kind, error, detail)
