"""What travels between two processes comes back as it was, or is refused where it was made."""

import datetime
import math
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allstop.actors.errors import CircuitOpen, Fatal, RefusalCode, Refused
from allstop.actors.exits import crashed
from allstop.actors.runtime import ActorSystem, MailboxFull
from allstop.actors.runtime.process.codec import Codec
from allstop.actors.runtime.process.errors import (
    RemoteError,
    RemoteRefusal,
    Unencodable,
    crash_error,
    parcelled,
    unparcelled,
)
from allstop.actors.runtime.process.looking import shown
from allstop.actors.runtime.ref import Ref


class Side(Enum):
    BUY = "buy"
    SELL = "sell"


class Leg(msgspec.Struct, frozen=True):
    pair: str
    qty: Decimal
    side: Side = Side.BUY


class Quote(msgspec.Struct, frozen=True):
    legs: tuple[Leg, ...]
    at: datetime.datetime | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ticket:
    number: int
    note: Any = None


class Crate(msgspec.Struct, frozen=True, rename="camel"):
    """What it holds keeps its class, though the annotation does not say which."""

    what_it_holds: Any
    first_leg: Leg | None = None
    inner: "Crate | None" = None


class Hook(msgspec.Struct):
    name: str
    call: Any = None


class To(msgspec.Struct, frozen=True):
    whom: Ref


CODEC = Codec((Quote, Ticket, Hook, Crate))
legs = st.builds(Leg, pair=st.text(max_size=8), qty=st.decimals(allow_nan=False), side=st.sampled_from(Side))
wired = st.one_of(
    legs,
    st.builds(Quote, legs=st.lists(legs, max_size=3).map(tuple), tags=st.frozensets(st.text(max_size=3))),
    st.builds(Ticket, number=st.integers(-(2**63), 2**63 - 1), note=st.none() | st.text()),
    st.sampled_from(Side),
)
hashable = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.decimals(allow_nan=False), st.dates(), st.datetimes().map(lambda at: at.replace(fold=0)), st.uuids(),
    st.timedeltas(min_value=datetime.timedelta(-999), max_value=datetime.timedelta(999)),
)  # fmt: skip
values = st.recursive(
    hashable | wired,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.builds(Crate, what_it_holds=inner, first_leg=st.none() | legs),
        st.builds(Ticket, number=st.just(1), note=inner),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(map(same, one.values(), other.values()))
    if isinstance(one, Crate | Ticket):
        names = one.__struct_fields__ if isinstance(one, Crate) else ("number", "note")
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return one == other


@settings(max_examples=60, deadline=None)
@given(values)
def test_every_value_comes_back_of_the_same_class_and_equal(value: Any) -> None:
    assert same(CODEC.decode(CODEC.encode(value)), value)


@given(st.binary(max_size=64))
def test_bytes_that_no_codec_made_are_refused_or_decoded_but_run_nothing(noise: bytes) -> None:
    try:
        CODEC.decode(noise)
    except (ValueError, TypeError, ArithmeticError, IndexError, msgspec.MsgspecError):
        return


def test_not_a_number_comes_back() -> None:
    assert math.isnan(CODEC.decode(CODEC.encode(math.nan)))
    assert CODEC.decode(CODEC.encode(Decimal("sNaN"))).is_snan()


@pytest.mark.parametrize(
    ("value", "type_name", "place", "why"),
    [
        (object(), "object", "$", "builtins.object is not in `wire`"),
        ([1, {"a": (2, print)}], "builtin_function_or_method", "$[1]['a'][1]", "is not in `wire`"),
        ({1: object()}, "object", "$[1]", "is not in `wire`"),
        (Hook("h", [1, print]), "builtin_function_or_method", "$.call[1]", "is not in `wire`"),
        (
            (Hook("h", {"k": Hook("i", print)}),),
            "builtin_function_or_method",
            "$[0].call['k'].call",
            "in `wire`",
        ),
        (Crate(1, Leg("a", print)), "Leg", "$.first_leg.qty", "builtin_function_or_method cannot be encoded"),  # pyright: ignore[reportArgumentType]
        (Crate(1, 7), "Crate", "$.firstLeg", "Expected `object | null`, got `int`"),  # pyright: ignore[reportArgumentType]
        (Ticket("seven"), "Ticket", "$.number", "Expected `int`, got `str`"),  # pyright: ignore[reportArgumentType]
        (Quote((Leg("a", "1,5"),)), "Quote", "$.legs[0].qty", "Invalid decimal string"),  # pyright: ignore[reportArgumentType]
        (To, "StructMeta", "$", "StructMeta is not in `wire`"),
        (bytearray(b"x"), "bytearray", "$", "is not in `wire`"),
    ],
)
def test_what_cannot_travel_is_refused_by_class_and_place(
    value: Any, type_name: str, place: str, why: str
) -> None:
    with pytest.raises(Unencodable) as refused:
        CODEC.encode(value)
    assert (refused.value.type_name, refused.value.place) == (type_name, place)
    assert why in refused.value.why


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Unencodable, match="nested more than 64 deep"):
        CODEC.encode(endless)


def test_a_value_that_is_too_large_is_refused_with_its_size() -> None:
    small = Codec(value_bytes_max=100)
    assert small.decode(small.encode("x" * 90)) == "x" * 90
    with pytest.raises(Unencodable, match="it is 102 bytes, and 100 is the most"):
        small.encode("x" * 100)


@pytest.mark.parametrize("wrong", [dict, int, object, "Leg"])
def test_only_structs_dataclasses_and_enums_are_wire_classes(wrong: Any) -> None:
    with pytest.raises(TypeError, match="which is no msgspec Struct, dataclass or Enum"):
        Codec((wrong,))


def test_a_wire_class_with_a_field_that_cannot_be_read_is_refused_by_name() -> None:
    class Loop(msgspec.Struct):
        mixed: dict[str, int] | set[str] | list[int]

    with pytest.raises(TypeError, match="Loop, which msgspec cannot read"):
        Codec((Loop,))


async def test_an_address_travels_as_its_path() -> None:
    async with ActorSystem() as system:
        codec = Codec((To,), ref_class=Ref, address=system.address)
        ref = system.address("/desk")
        assert codec.decode(codec.encode([ref, To(ref)])) == [ref, To(ref)]
        assert codec.decode(codec.encode(ref)) is ref


def test_both_sides_can_tell_whether_their_classes_are_the_same() -> None:
    assert Codec((Quote,)).names == ("Quote(legs, at, tags)", "Leg(pair, qty, side)", "Side(BUY, SELL)")


# -- errors -----------------------------------------------------------------------------------------------------------
def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is what the test is about
        return caught


def through(error: BaseException) -> BaseException:
    return unparcelled(parcelled(raised(error), CODEC.encode), CODEC.decode)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"), KeyError("k", 3), Refused(RefusalCode.LEVEL, "not now", place="/x"), Fatal("KEY", "refused"),
        CircuitOpen("/p", 1.5), MailboxFull("/p", 3), Unencodable("T", "$", "w"), ArithmeticError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_that_is_known_here_comes_back_as_it_was(error: Exception) -> None:
    back = through(error)
    assert type(back) is type(error)
    assert (back.args, str(back)) == (error.args, str(error))
    notes = vars(back).pop("__notes__")
    assert vars(back) == vars(error)
    assert "in raised" in notes[0]


def test_the_code_of_a_refusal_stays_a_member_of_its_enum() -> None:
    back = through(Refused(RefusalCode.LEVEL, "not now"))
    assert isinstance(back, Refused)
    assert back.code is RefusalCode.LEVEL


def test_an_attribute_that_cannot_travel_is_left_out_of_an_error() -> None:
    error = ValueError("no")
    error.__dict__.update(loop=object(), count=3)
    back = through(error)
    assert (vars(back)["count"], "loop" in vars(back)) == (3, False)


def test_an_error_of_a_class_that_is_unknown_here_becomes_words() -> None:
    class Local(Exception):
        pass

    class LocalRefusal(MailboxFull):
        def __init__(self) -> None:
            super().__init__("/p", 1)

    error = through(Local("lost"))
    assert isinstance(error, RemoteError)
    assert (error.type_name.rpartition(".")[2], error.message) == ("Local", "lost")
    assert "raise error" in error.traceback_text
    assert isinstance(through(LocalRefusal()), RemoteRefusal)


def test_an_error_whose_arguments_cannot_travel_becomes_words() -> None:
    error = through(ValueError(object()))
    assert isinstance(error, RemoteError)
    assert error.type_name == "ValueError"


def test_a_fatal_crash_is_fatal_here_too() -> None:
    parcel = parcelled(raised(Fatal("KEY", "refused")), CODEC.encode)
    assert crashed(crash_error(parcel, CODEC.decode)).fatal
    assert not crashed(crash_error(parcelled(raised(ValueError()), CODEC.encode), CODEC.decode)).fatal


def test_an_error_names_no_class_that_is_not_an_exception() -> None:
    parcel = msgspec.structs.replace(parcelled(ValueError(), CODEC.encode), module="os", qualname="system")
    assert isinstance(unparcelled(parcel, CODEC.decode), RemoteError)


class WordlessError(Exception):
    def __str__(self) -> str:
        raise KeyError("no words")

    def __repr__(self) -> str:
        raise KeyError("no picture")


class TwoPartError(Exception):
    def __new__(cls, one: str, two: str) -> "TwoPartError":
        return super().__new__(cls, one, two)

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def test_an_error_whose_str_raises_travels_all_the_same() -> None:
    codec = Codec()
    parcel = parcelled(WordlessError(), codec.encode)
    assert parcel.text == "its __str__ raised KeyError"
    assert isinstance(crash_error(parcel, codec.decode).__cause__, WordlessError)


def test_an_error_that_cannot_be_made_again_arrives_in_words() -> None:
    codec = Codec()
    error = unparcelled(parcelled(TwoPartError("a", "b"), codec.encode), codec.decode)
    assert isinstance(error, RemoteError)
    assert error.__cause__ is None
    assert "ab" in str(error)


def test_a_value_that_cannot_travel_and_whose_repr_raises_is_shown_by_its_class() -> None:
    assert shown(WordlessError(), Codec()).text == "WordlessError, whose __repr__ raised KeyError"
