"""Numbers and times at the boundary."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.protocols.wire import (
    DecodeError,
    decimal_object,
    json_number,
    number,
    plain,
    rfc3339,
    rfc3339_ns,
    seconds_to_ns,
)


@pytest.mark.parametrize("text", ["0", "1", "0.00000001", "29430.10", "-12.5", "1e-8", "171288.6158"])
def test_a_number_keeps_its_digits(text: str):
    assert number(text) == Decimal(text)
    assert str(number(text)) == str(Decimal(text))


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "-NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "",
        "x",
        "1e999999999",
        "1e-999999999",
        "1" * 60,
        "1e25",
        "1_0",
        " 1",
        "١",
        "5.",
        ".5",
        "0x1",
    ],
)
def test_what_is_no_finite_number_of_sensible_size_is_refused(text: str):
    with pytest.raises(DecodeError):
        number(text)


@pytest.mark.parametrize(("value", "text"), [("1E-8", "0.00000001"), ("1E+3", "1000"), ("0.10", "0.10")])
def test_numbers_go_out_without_an_exponent_and_with_all_digits(value: str, text: str):
    assert plain(Decimal(value)) == text
    assert bytes(json_number(Decimal(value))) == text.encode()


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_nothing_infinite_goes_out(value: str):
    with pytest.raises(DecodeError):
        plain(Decimal(value))


def test_fractions_in_json_stay_exact():
    assert decimal_object(b'{"balance":0.1,"n":7,"t":1688148493.7708}') == {
        "balance": Decimal("0.1"),
        "n": 7,
        "t": Decimal("1688148493.7708"),
    }


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"\xed\xa0\x80"'])
def test_what_is_no_json_is_refused_by_name(body: bytes):
    with pytest.raises(DecodeError):
        decimal_object(body)


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (None, 0),
        (0, 0),
        ("1534614248.123678", 1_534_614_248_123_678_000),
        (Decimal("1688148493.7708"), 1_688_148_493_770_800_000),
        (1688669448, 1_688_669_448_000_000_000),
    ],
)
def test_seconds_become_nanoseconds_exactly(value: object, ns: int):
    assert seconds_to_ns(value) == ns


def test_a_time_of_another_kind_is_refused():
    with pytest.raises(DecodeError):
        seconds_to_ns([1])


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2023-09-22T10:33:05.709950Z", 1_695_378_785_709_950_000),
        ("2023-10-06T17:35:00.279389650Z", 1_696_613_700_279_389_650),
        ("2022-06-13T08:09:10.7890123Z", 1_655_107_750_789_012_300),
        ("2024-05-19T19:22:20Z", 1_716_146_540_000_000_000),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, ns: int):
    assert rfc3339_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2023-09-22",
        "2023-09-22T10:33:05",
        "2023-09-22T10:33:05.x7Z",
        "2023-13-01T00:00:00Z",
        "2023-09-22T10:33:05.7+00:00",
    ],
)
def test_what_is_no_utc_time_is_refused(text: str):
    with pytest.raises(DecodeError):
        rfc3339_ns(text)


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_a_time_goes_out_rounded_down_to_the_millisecond(ns: int):
    assert rfc3339_ns(rfc3339(ns)) == ns - ns % 1_000_000
