"""The codecs meet damage: a value, or their one named error, in bounded time and memory, and never nothing at all."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import strategies
from tests.fuzz.__main__ import FOUND, fuzz, samples_for
from tests.fuzz.corpus import bodies, frames, kinds
from tests.fuzz.giants import GIANTS, READERS, Report, read_giants
from tests.fuzz.mutations import HUGE, MUTATIONS, mutated
from tests.fuzz.targets import BODY_TARGETS, FRAME_TARGETS, TARGETS, broke

from allstop.actors.clock import SystemClock
from allstop.actors.protocols.kraken import book_v1, faults, rest_answers
from allstop.actors.protocols.kraken import frames as frames_v2
from allstop.actors.protocols.kraken.events import MalformedFrame
from allstop.actors.protocols.wire import DecodeError
from allstop.actors.simulated.kraken import recording, tape

TEXTS = 250  # of each target here; `python -m tests.fuzz` tries some hundred thousand
GIANT_S = (
    3.0  # of a core, for one text: links let a tenth of it through, and that must not hold the loop for long
)


@pytest.mark.parametrize("seed", [11])
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_damaged_capture_is_a_value_or_a_named_error(target: str, seed: int) -> None:
    dice, pool = Random(f"{target}:{seed}"), samples_for(target)
    for _ in range(TEXTS):
        sample = dice.choice(pool)
        damage, text = mutated(sample.text, dice)
        assert (fault := broke(target, text)) is None, (
            f"{fault} by {damage} of {sample.place}: {text[:300]!r}"
        )


@pytest.mark.parametrize("kind", sorted(MUTATIONS))
def test_every_shape_of_frame_and_body_survives_every_kind_of_damage(kind: str) -> None:
    dice = Random(kind)
    for pool, targets in ((kinds(frames(), 1), FRAME_TARGETS), (bodies(), BODY_TARGETS)):
        for sample in pool:
            text = MUTATIONS[kind](sample.text, dice)
            for target in targets:
                fault = broke(target, text)
                assert fault is None, f"{fault} by {kind} of {sample.place}: {text[:300]!r}"


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.bin")), ids=lambda path: path.name)
def test_what_was_found_once_stays_fixed(path: Path) -> None:
    target = path.name.partition(".")[0]
    assert broke(target, path.read_bytes()) is None


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(strategies.FRAMES)
def test_a_frame_of_version_2_is_read_or_told_of(text: bytes) -> None:
    assert broke("websocket_v2", text) is None


@QUICK
@given(strategies.V1_FRAMES)
def test_a_frame_of_version_1_is_read_or_told_of(text: bytes) -> None:
    assert broke("websocket_v1", text) is None


@QUICK
@given(strategies.BODIES)
def test_a_rest_body_is_a_result_or_a_fault(text: bytes) -> None:
    assert broke("rest_envelope", text) is None
    assert broke("rest_results", text) is None


@QUICK
@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_at_all_are_told_of(text: bytes) -> None:
    for target in TARGETS:
        assert broke(target, text) is None


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    return read_giants()


@pytest.mark.parametrize("giant", sorted(GIANTS))
def test_ten_megabytes_are_read_or_refused_in_bounded_time_and_memory(
    giant: str, reports: dict[str, Report]
) -> None:
    report = reports[giant]
    assert report.wrong == ""
    assert report.took_s.keys() == READERS.keys()
    assert max(report.took_s.values()) < GIANT_S, report.took_s
    assert report.peak < 50 * HUGE, f"{report.peak / HUGE:.0f} bytes for each that came"


def test_what_is_kept_of_a_bad_frame_is_bounded() -> None:
    for text in (
        "[" * 5_000_000,
        '{"channel":"' + "x" * 5_000_000,
        '{"channel":"zzz","data":"' + "x" * 5_000_000 + '"}',
    ):
        for decode in (frames_v2.decode, book_v1.decode):
            (event,) = decode(text)
            assert len(repr(event)) < 20_000


def test_an_error_text_of_megabytes_does_not_hold_the_loop() -> None:
    clock = SystemClock()
    began_s = clock.now_s()
    fault = faults.classify("EOrder:Insufficient funds" + ":x" * 5_000_000)
    assert (clock.now_s() - began_s) < 0.25
    assert (fault.code, len(fault.text)) == ("EOrder:Insufficient funds", faults.TEXT_MAX)


def test_a_text_that_cannot_be_read_names_its_place() -> None:
    (event,) = frames_v2.decode(
        '{"channel":"executions","type":"update","sequence":1,"data":[{"order_id":7}]}'
    )
    assert isinstance(event, MalformedFrame)
    assert (event.channel, "$.data[0].order_id" in event.reason) == ("executions", True)
    with pytest.raises(DecodeError, match=r"order OABC: .*vol"):
        rest_answers.decode_open_orders({"open": {"OABC": {"status": "open"}}})


def test_a_tape_nested_too_deeply_is_no_tape() -> None:
    with pytest.raises(tape.TapeError, match=r"line 1: .*nested too deeply"):
        recording.read_tape(['{"channel":"book","data":' + "[" * 200_000])


def test_the_long_fuzzer_keeps_what_it_finds_and_the_same_seed_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(text: bytes) -> object:
        if len(text) % 7 == 0:
            raise KeyError("planted")
        return None

    monkeypatch.setitem(TARGETS, "times", breaks)
    assert fuzz(0.002, 5, "times", tmp_path) == 1
    (first,) = tmp_path.glob("times.*.bin")
    assert "FOUND times: KeyError: 'planted'" in capsys.readouterr().out
    assert broke("times", first.read_bytes()) == "times: KeyError: 'planted'"
    assert fuzz(0.002, 5, "times", tmp_path) == 1
    assert list(tmp_path.glob("*.bin")) == [first]
