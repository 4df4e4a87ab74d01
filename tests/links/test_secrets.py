import copy
import dataclasses
import json
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from allstop.actors.errors import Problem
from allstop.actors.links.secrets import Redactor, Secret, read_secret

VALUE = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76s="


def problem(found: Secret | Problem) -> str:
    assert isinstance(found, Problem)
    return str(found)


def test_a_secret_comes_from_the_environment():
    assert read_secret("KEY", {"KEY": VALUE + "\n"}) == Secret(VALUE)


def test_a_secret_comes_from_a_file_of_its_owner(tmp_path: Path):
    path = tmp_path / "key"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    assert read_secret("KEY", {"KEY_FILE": str(path)}) == Secret(VALUE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int):
    path = tmp_path / "key"
    path.write_text(VALUE)
    path.chmod(mode)
    assert f"mode {mode:04o}" in problem(read_secret("KEY", {"KEY_FILE": str(path)}))


def test_what_is_no_usable_secret_is_a_problem_that_names_the_variable(tmp_path: Path):
    long, binary, pipe = tmp_path / "long", tmp_path / "binary", tmp_path / "pipe"
    long.write_bytes(b"x" * 20_000)
    binary.write_bytes(b"\xff\xfe\x00")
    os.mkfifo(pipe)
    for path in (long, binary, pipe):
        path.chmod(0o600)
    found = {
        "unset": problem(read_secret("KEY", {})),
        "both": problem(read_secret("KEY", {"KEY": "a", "KEY_FILE": "b"})),
        "empty": problem(read_secret("KEY", {"KEY": "  "})),
        "missing": problem(read_secret("KEY", {"KEY_FILE": str(tmp_path / "none")})),
        "directory": problem(read_secret("KEY", {"KEY_FILE": str(tmp_path)})),
        "long": problem(read_secret("KEY", {"KEY_FILE": str(long)})),
        "binary": problem(read_secret("KEY", {"KEY_FILE": str(binary)})),
        "pipe": problem(read_secret("KEY", {"KEY_FILE": str(pipe)})),
    }
    assert {name: text.startswith("KEY") for name, text in found.items()} == dict.fromkeys(found, True)


@dataclasses.dataclass
class Settings:
    key: Secret


def test_a_secret_does_not_show_in_anything_printed():
    secret = Secret(VALUE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>10}", "%s" % secret, repr(Settings(secret))]  # noqa: UP031
    shown += [repr([secret]), repr({"k": secret}), repr(secret.__class__), ascii(secret)]
    assert not any(VALUE in text for text in shown)


def test_an_exception_with_a_secret_does_not_leak_it_even_with_locals():
    def call(key: Secret) -> None:
        raise ValueError("bad key", key)

    with pytest.raises(ValueError) as raised:
        call(Secret(VALUE))
    error = raised.value
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    shown += repr(error) + str(error)
    assert "***" in shown
    assert VALUE not in shown


@pytest.mark.parametrize("write", [pickle.dumps, copy.deepcopy, json.dumps])
def test_a_secret_is_not_written_down(write: Callable[[Secret], object]):
    with pytest.raises(TypeError):
        write(Secret(VALUE))


def test_secrets_compare_by_value_and_have_a_name_that_tells_nothing():
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE
    assert len(Secret(VALUE).fingerprint) == 16


def rendered(redactor: Redactor, **event: object) -> str:
    lines: list[str] = []
    log = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.processors.format_exc_info,
            redactor,
            structlog.processors.JSONRenderer(default=repr),
            lambda logger, method, line: lines.append(str(line)) or "",
        ],
        wrapper_class=structlog.BoundLogger,
    )
    log.info("event", **event)
    return lines[0]


def test_a_known_secret_is_hidden_wherever_it_stands():
    redactor = Redactor([Secret(VALUE)])
    try:
        raise ValueError(f"EAPI:Invalid key {VALUE}")
    except ValueError as error:
        line = rendered(
            redactor,
            text=f"sent {VALUE}!",
            raw=VALUE.encode(),
            nested={"a": [{VALUE: (VALUE, {VALUE})}]},
            error=error,
            exc_info=True,
        )
    assert VALUE not in line
    assert "sent ***!" in line


def test_values_under_telling_names_are_hidden_and_plain_ones_are_not():
    line = json.loads(
        rendered(
            Redactor(),
            api_key="a",
            headers={"API-Sign": "b", "Content-Length": 5},
            password="c",
            ws_token="d",
            key_fingerprint="e",
            token_age_s=3,
            key="intent-1",
            pair="BTC/USD",
        )
    )
    assert [line["api_key"], line["headers"]["API-Sign"], line["password"], line["ws_token"]] == ["***"] * 4
    assert line["headers"]["Content-Length"] == 5
    assert (line["key_fingerprint"], line["token_age_s"]) == ("e", 3)
    assert (line["key"], line["pair"]) == ("intent-1", "BTC/USD")


def test_an_event_without_secrets_passes_unchanged():
    event = {"event": "level.lowered", "venue": "kraken", "n": 3, "ok": True, "none": None}
    assert Redactor([Secret(VALUE)])(None, "info", dict(event)) == event


def test_a_value_nested_too_deep_is_hidden_and_does_not_recurse_for_ever():
    loop: list[object] = []
    loop.append(loop)
    assert "***" in rendered(Redactor(), loop=loop)
