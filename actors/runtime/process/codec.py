"""Values <-> bytes, for messages between two processes: MessagePack, and nothing that could run.

What travels as it is: None, bool, int, float, str, bytes, list, dict, and also tuple, set, frozenset, Decimal, datetime,
date, time, timedelta, UUID, and the addresses of actors. Besides these, instances of the classes that an actor names in
`wire`: msgspec Structs, dataclasses, enums, and the Structs and dataclasses that their fields name. They are encoded as
their annotations say, so a field must hold what it is annotated with; what a field annotated `Any` holds is encoded as
if it travelled alone, so that it keeps its class, or is refused.

The sender decodes what it encoded: so a value that the other side could not read is refused where it was made.
"""

import dataclasses
import datetime
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from allstop.actors.clock import UUID
from allstop.actors.runtime.process.errors import Unencodable

DEPTH_MAX: Final = 64  # of containers in containers: more is a cycle
VALUE_BYTES_MAX: Final = 16 * 1024 * 1024  # a table of 100,000 ticks is 5 MiB
PLAIN: Final = frozenset((type(None), bool, float, str, bytes))
TUPLE, PAIRS, SET, FROZENSET, DECIMAL, BIG_INT, REF, WIRE, LOOSE = range(1, 10)
# Exact and standard: msgspec writes them as text, and reads them as what they were.
WORDED: Final[dict[type[Any], int]] = {
    datetime.datetime: 20,
    datetime.date: 21,
    datetime.time: 22,
    datetime.timedelta: 23,
    UUID: 24,
}
_WORDED_TYPES: Final = {code: kind for kind, code in WORDED.items()}


class Codec:
    """Encodes and decodes for one kind of actor. `address` makes the Ref of a path, and `ref_class` says what is a Ref:
    without them there are none. Raises TypeError for a class in `wire` that msgspec cannot read."""

    def __init__(
        self,
        wire: Iterable[type[Any]] = (),
        *,
        ref_class: type[Any] | None = None,
        address: Callable[[str], Any] | None = None,
        value_bytes_max: int = VALUE_BYTES_MAX,
    ) -> None:
        self._ref_class = ref_class
        self._address = address
        self._value_bytes_max = value_bytes_max
        self._types = tuple(dict.fromkeys(wire))
        self._loose: dict[type[Any], tuple[tuple[str, str], ...]] = {}  # name and encoded name of each field
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._encode_unknown)
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._decode_extension)
        self._numbers: dict[type[Any], int] = {}
        self._decoders: list[Any] = []
        for kind in self._types:
            self._add(kind)
        for kind in tuple(self._types):
            self._look_inside(kind)

    def _add(self, kind: type[Any]) -> None:
        self._decoders.append(self._typed(kind))
        self._numbers[kind] = len(self._numbers)

    def _look_inside(self, kind: type[Any]) -> None:
        """Finds the classes that its fields name, and whether one is annotated `Any`."""
        classes, anything = _named_within(msgspec.inspect.type_info(kind))
        for inner in classes:
            if inner not in self._numbers:
                self._types += (inner,)
                self._add(inner)
                self._look_inside(inner)
        if anything and not issubclass(kind, Enum):
            self._loose[kind] = _field_names(kind)

    def _typed(self, kind: type[Any]) -> Any:
        if not _is_wire_class(kind):
            raise TypeError(f"wire names {kind!r}, which is no msgspec Struct, dataclass or Enum")
        try:
            return msgspec.msgpack.Decoder(
                kind, dec_hook=self._decode_unknown, ext_hook=self._decode_extension
            )
        except TypeError as error:
            raise TypeError(f"wire names {kind.__qualname__}, which msgspec cannot read: {error}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """The classes and their fields, in order: both processes must have the same."""
        return tuple(_described(kind) for kind in self._types)

    # -- out -------------------------------------------------------------------------------------------------------
    def encode(self, value: Any) -> bytes:
        """Raises Unencodable, naming the class and the place."""
        encoded = self._encoder.encode(self._packed(value, "$", 0))
        if len(encoded) > self._value_bytes_max:
            why = f"it is {len(encoded)} bytes, and {self._value_bytes_max} is the most"
            raise Unencodable(type(value).__qualname__, "$", why)
        return encoded

    def _packed(self, value: Any, place: str, depth: int) -> Any:
        kind = value.__class__
        if kind in PLAIN:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else _extension(BIG_INT, str(value).encode())
        if depth >= DEPTH_MAX:
            raise Unencodable(kind.__qualname__, place, f"it is nested more than {DEPTH_MAX} deep")
        if kind in self._numbers:
            return self._packed_wire(value, kind, place, depth)
        if kind is list:
            return [self._packed(item, f"{place}[{n}]", depth + 1) for n, item in enumerate(value)]
        if kind is dict:
            return self._packed_dict(value, place, depth)
        if kind is tuple or kind is set or kind is frozenset:
            items = [self._packed(item, f"{place}[{n}]", depth + 1) for n, item in enumerate(value)]
            code = TUPLE if kind is tuple else SET if kind is set else FROZENSET
            return _extension(code, self._encoder.encode(items))
        if kind is Decimal:
            return _extension(DECIMAL, str(value).encode())
        if kind in WORDED:
            return _extension(WORDED[kind], self._encoder.encode(value))
        if self._ref_class is not None and isinstance(value, self._ref_class):
            return _extension(REF, self.path_of(value, place).encode())
        raise Unencodable(kind.__qualname__, place, f"{kind.__module__}.{kind.__qualname__} is not in `wire`")

    def _packed_dict(self, value: dict[Any, Any], place: str, depth: int) -> Any:
        if all(key.__class__ is str for key in value):
            return {key: self._packed(item, f"{place}[{key!r}]", depth + 1) for key, item in value.items()}
        pairs = [
            [
                self._packed(key, f"{place} key {key!r:.40}", depth + 1),
                self._packed(item, f"{place}[{key!r:.40}]", depth + 1),
            ]
            for key, item in value.items()
        ]
        return _extension(PAIRS, self._encoder.encode(pairs))

    def _packed_loose(self, value: Any, kind: type[Any], place: str, depth: int) -> Any:
        fields = {
            encoded: self._packed(getattr(value, name), f"{place}.{name}", depth + 1)
            for name, encoded in self._loose[kind]
        }
        payload = self._encoder.encode(fields)
        number = self._numbers[kind]
        try:
            self._decode_loose(number, memoryview(payload))
        except (ValueError, msgspec.MsgspecError) as error:
            why, _, where = str(error).partition(" - at `")
            raise Unencodable(kind.__qualname__, place + where.rstrip("`").lstrip("$"), why) from error
        return _extension(LOOSE, number.to_bytes(2, "big") + payload)

    def _packed_wire(self, value: Any, kind: type[Any], place: str, depth: int) -> Any:
        if kind in self._loose:
            return self._packed_loose(value, kind, place, depth)
        number = self._numbers[kind]
        try:
            payload = self._encoder.encode(value)
            self._decoders[number].decode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            why, _, where = str(error).partition(" - at `")
            inside = where.rstrip("`").lstrip("$") or blamed(value, self._encoder)
            raise Unencodable(kind.__qualname__, f"{place}{inside}", why) from error
        return _extension(WIRE, number.to_bytes(2, "big") + payload)

    def path_of(self, ref: Any, place: str) -> str:
        """How an address travels. Raises Unencodable for one that means nothing elsewhere."""
        if ref.pinned_down:
            raise Unencodable("PinnedRef", place, "a ref to one incarnation means nothing elsewhere")
        return ref.path

    def _encode_unknown(self, value: Any) -> Any:
        if self._ref_class is not None and isinstance(value, self._ref_class):
            return self.path_of(value, "$")
        kind = type(value)
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} cannot be encoded")

    # -- in --------------------------------------------------------------------------------------------------------
    def decode(self, encoded: bytes) -> Any:
        """What was encoded. Raises ValueError or msgspec's errors for bytes that no such codec made."""
        return self._decoder.decode(encoded)

    def _decode_extension(self, code: int, data: memoryview) -> Any:
        match code:
            case 8:  # WIRE
                return self._decoders[int.from_bytes(data[:2], "big")].decode(data[2:])
            case 9:  # LOOSE
                return self._decode_loose(int.from_bytes(data[:2], "big"), data[2:])
            case 1:  # TUPLE
                return tuple(self._decoder.decode(data))
            case 2:  # PAIRS
                return {key: item for key, item in self._decoder.decode(data)}  # noqa: C416 - from lists
            case 3:  # SET
                return set(self._decoder.decode(data))
            case 4:  # FROZENSET
                return frozenset(self._decoder.decode(data))
            case 5:  # DECIMAL
                return Decimal(bytes(data).decode())
            case 6:  # BIG_INT
                return int(bytes(data))
            case 7:  # REF
                return self._decode_ref(bytes(data).decode())
            case _:
                if code not in _WORDED_TYPES:
                    raise ValueError(f"no such extension: {code}")
                return msgspec.msgpack.decode(data, type=_WORDED_TYPES[code])

    def _decode_loose(self, number: int, data: memoryview) -> Any:
        fields = self._decoder.decode(data)
        return msgspec.convert(fields, self._types[number], dec_hook=self._decode_unknown)

    def _decode_unknown(self, kind: type[Any], value: Any) -> Any:
        if self._ref_class is not None and isinstance(kind, type) and issubclass(kind, self._ref_class):
            if isinstance(value, self._ref_class):
                return value
            return self._decode_ref(value)
        raise TypeError(f"{kind!r} cannot be decoded")

    def _decode_ref(self, path: str) -> Any:
        if self._address is None:
            raise ValueError(f"no addresses here: {path}")
        return self._address(path)


def _extension(code: int, data: bytes) -> Any:
    return msgspec.msgpack.Ext(code, data)


def _is_wire_class(kind: Any) -> bool:
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct | Enum) or dataclasses.is_dataclass(kind)
    )


def _field_names(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    if issubclass(kind, msgspec.Struct):
        return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))
    return tuple((field.name, field.name) for field in dataclasses.fields(kind))


def _named_within(info: Any) -> tuple[list[type[Any]], bool]:
    """The Structs, dataclasses and enums that a type names, itself included, and whether it says `Any` somewhere."""
    classes: dict[type[Any], None] = {}
    anything = False
    waiting: list[Any] = [info]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        anything = anything or isinstance(part, msgspec.inspect.AnyType)
        cls: Any = getattr(part, "cls", None)
        if _is_wire_class(cls):
            classes[cls] = None
        if isinstance(part, tuple | list):
            waiting.extend(part)
        elif isinstance(part, msgspec.inspect.Type | msgspec.inspect.Field):
            waiting.extend(
                getattr(part, name) for name in part.__struct_fields__ if name not in ("cls", "default")
            )
    return list(classes), anything


def _described(kind: type[Any]) -> str:
    if issubclass(kind, msgspec.Struct):
        fields = [field.name for field in msgspec.structs.fields(kind)]
    elif dataclasses.is_dataclass(kind):
        fields = [field.name for field in dataclasses.fields(kind)]
    else:
        fields = list(kind.__members__)
    return f"{kind.__qualname__}({', '.join(fields)})"


def blamed(value: Any, encoder: Any, place: str = "") -> str:
    """Where in a value the part stands that msgspec cannot encode: ".legs[1].callback"; "" if it is the whole."""
    for step, part in _parts(value):
        try:
            encoder.encode(part)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
            deeper = place.count(".") + place.count("[") < DEPTH_MAX
            return blamed(part, encoder, place + step) if deeper else place
    return place


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, msgspec.Struct):
        return [(f".{name}", getattr(value, name)) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return [(f"[{key!r:.40}]", item) for key, item in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{number}]", item) for number, item in enumerate(value)]
    return []
