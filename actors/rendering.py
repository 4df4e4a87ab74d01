"""Values as text for people: never deeper and never longer than asked for, and never failing."""

import dataclasses
import re
import string
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

CUT: Final = "..."
LEAF_CHARS_MAX: Final = 400  # of one value that has no parts: a longer one is a payload, not a report
# What keys are made of. No word is cut: whoever hides known secrets afterwards would not know the half of one.
WORD: Final = string.ascii_letters + string.digits + "+/=_.~-"
PARTS_MAX: Final = 100  # of one collection


def shown(value: Any, depth: int | None = None) -> str:
    """The value's repr, its parts to `depth` levels (None: all that are sensible). A repr that raises is named."""
    return _shown(value, 20 if depth is None else depth)


def fitted(text: str, chars_limit: int | None = None, *, single_line: bool = False) -> str:
    """The text in one line if asked for, and no longer than `chars_limit`: the end of a longer one is `...`, after its
    last whole word."""
    if single_line:
        text = re.sub(r"\s*\n\s*", " ", text)
    return text if chars_limit is None else _cut(text, chars_limit)


def _cut(text: str, chars_limit: int) -> str:
    if len(text) <= chars_limit:
        return text
    return text[: max(0, chars_limit - len(CUT))].rstrip(WORD) + CUT[: max(0, chars_limit)]


def _shown(value: Any, depth: int) -> str:
    if depth <= 0:
        return CUT
    kind = type(value)
    if kind.__repr__ in _PLAIN_REPRS and value:
        match value:
            case Mapping():
                pairs = (f"{_shown(k, depth - 1)}: {_shown(v, depth - 1)}" for k, v in _first(value.items()))
                return "{" + _joined(pairs, len(value)) + "}"
            case _:
                left, right = _BRACKETS[kind.__repr__]
                parts = _joined((_shown(part, depth - 1) for part in _first(value)), len(value))
                return left + parts + ("," if isinstance(value, tuple) and len(value) == 1 else "") + right
    if isinstance(value, msgspec.Struct) and kind.__repr__ is msgspec.Struct.__repr__:
        return _fields(kind.__name__, ((f, getattr(value, f)) for f in value.__struct_fields__), depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _generated(kind):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr)
        return _fields(kind.__name__, fields, depth)
    return _leaf(value)


_BRACKETS: Final[dict[Any, tuple[str, str]]] = {
    list.__repr__: ("[", "]"),
    tuple.__repr__: ("(", ")"),
    set.__repr__: ("{", "}"),
    frozenset.__repr__: ("frozenset({", "})"),
}
_PLAIN_REPRS: Final[set[Any]] = {
    dict.__repr__,
    *_BRACKETS,
}  # whoever has another repr hides something, perhaps


def _generated(kind: type[Any]) -> bool:
    """Whether the dataclass has the repr that dataclasses make, which is wrapped against recursion."""
    return hasattr(kind.__repr__, "__wrapped__")


def _leaf(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a report must not fail
        return f"<{type(value).__name__}: its repr raised {type(error).__name__}>"
    return _cut(text, LEAF_CHARS_MAX)


def _fields(name: str, fields: Iterable[tuple[str, Any]], depth: int) -> str:
    return f"{name}(" + ", ".join(f"{field}={_shown(value, depth - 1)}" for field, value in fields) + ")"


def _first(parts: Iterable[Any]) -> Iterable[Any]:
    return (part for part, _place in zip(tuple(parts), range(PARTS_MAX), strict=False))


def _joined(parts: Iterable[str], count: int) -> str:
    return ", ".join(parts) + (f", {CUT}" if count > PARTS_MAX else "")
