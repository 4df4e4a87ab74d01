"""A trace for people: what stands beneath its lines changes nothing of them."""

import hashlib
import itertools

import pytest

from allstop.supervisors.simulation.run import simulate
from allstop.supervisors.simulation.trace import Trace
from allstop.supervisors.simulation.trees import quiet


def traced(*, bodies: bool) -> tuple[list[str], str]:
    lines: list[str] = []
    outcome = simulate(quiet(), 1, duration_s=20.0, keep=lines.append, bodies=bodies)
    return lines, outcome.digest


def test_with_bodies_a_trace_has_the_same_lines_and_digest_and_under_each_hash_what_it_is_of() -> None:
    plain, digest = traced(bodies=False)
    full, same = traced(bodies=True)
    assert (same, [line for line in full if not line.startswith("    ")]) == (digest, plain)
    hashed = [
        (line.split(), body[4:-1])
        for line, body in itertools.pairwise(full)
        if body.startswith("    ") and line.split()[1] in ("frame", "http")
    ]
    assert {words[1] for words, _ in hashed} == {"frame", "http"}
    for words, body in hashed:
        assert words[-1] == hashlib.sha256(body.encode()).hexdigest()[:12]


@pytest.mark.parametrize("body", ["one\ntwo", b"one\n1.5 frame two", b"\xff\x00"])
def test_no_body_looks_like_a_line_of_the_trace(body: str | bytes) -> None:
    lines: list[str] = []
    trace = Trace(lambda: 1.0, lines.append, bodies=True)
    trace.frame(
        "ws://somewhere", "<", body if isinstance(body, str) else body.decode(errors="backslashreplace")
    )
    assert len(lines) == 2
    assert (lines[1][:4], lines[1].count("\n")) == ("    ", 1)
