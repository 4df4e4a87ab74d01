"""Logging never ends the one who logs."""

import io

import pytest
import structlog

from allstop.actors.links.secrets import Redactor, Secret
from allstop.supervisors.cli.logs import Unfailing, log_to


def test_events_are_json_lines_with_secrets_hidden() -> None:
    stream = io.StringIO()
    log_to(stream, "info", Redactor([Secret("very secret")]))
    structlog.get_logger().info("said", what="the very secret thing", api_key="abc")
    (line,) = stream.getvalue().splitlines()
    assert '"event":"said"' in line
    assert "very secret" not in line
    assert "abc" not in line


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    log_to(stream, "warning", Redactor())
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


def test_a_closed_stream_is_counted_and_raises_nothing() -> None:
    stream = io.StringIO()
    log_to(stream, "info", Redactor())
    stream.close()
    structlog.get_logger().error("nobody hears this")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError(), ValueError("closed")])
def test_whatever_the_stream_raises_is_one_lost_line(error: Exception) -> None:
    class Broken(io.StringIO):
        def write(self, s: str, /) -> int:
            raise error

        def flush(self) -> None:
            raise error

    stream = Unfailing(Broken())
    assert stream.write("line") == 4
    stream.flush()
    assert stream.lost == 2
