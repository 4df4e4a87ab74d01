"""`allstop venue kraken` as a user types it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

WAIT_S = 10.0


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts the command in a process of its own; whatever still runs at the end of the test is killed."""
    code = "import sys; from allstop.supervisors.cli.venue import command; command(sys.argv[1:])"
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, "-c", code, *arguments]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=WAIT_S)


def lines_until(process: "subprocess.Popen[str]", word: str) -> str:
    """What it prints up to the line with this word. The test's own timeout bounds the wait."""
    assert process.stdout is not None
    text = ""
    while word not in text:
        line = process.stdout.readline()
        assert line, f"it ended before it printed {word!r}: {text}"
        text += line
    return text


@pytest.mark.loopback
def test_it_prints_what_a_client_needs_and_ends_on_ctrl_c(spawn: Spawn) -> None:
    process = spawn("kraken", "--json")
    told = json.loads(lines_until(process, "pid"))
    assert httpx.get(told["http_url"] + "/0/public/Time", timeout=WAIT_S).status_code == 200
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(WAIT_S) == 0


@pytest.mark.loopback
def test_a_person_is_told_the_urls_and_a_key_pair(spawn: Spawn) -> None:
    process = spawn("kraken")
    text = lines_until(process, "Ctrl-C")
    for word in ("REST", "WebSocket, private", "trade", "secret"):
        assert word in text


def test_a_feed_that_is_none_is_bad_input(spawn: Spawn, tmp_path: Path) -> None:
    feed = tmp_path / "feed.ndjson"
    feed.write_text("nonsense\n")
    process = spawn("kraken", "--feed", str(feed))
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert f"{feed}: line 1" in said


def test_a_venue_that_nobody_simulates_is_bad_input(spawn: Spawn) -> None:
    process = spawn("nasdaq")
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert "'nasdaq' is not 'kraken'" in said


@pytest.mark.loopback
def test_a_port_that_is_taken_is_bad_input(spawn: Spawn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn("kraken", "--port", str(port))
        _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert f"port {port}" in said
