"""How commands log: JSON lines on stderr (or to a stream of their own), with every known secret hidden."""

import logging
import sys
from typing import Any, TextIO, cast

import msgspec
import structlog

from allstop.actors.links.secrets import Redactor

_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")


def _render(_logger: Any, _method: str, event: Any) -> str:
    return _encoder.encode(event).decode()


class Unfailing:
    """A text stream that may go away: a closed terminal or a full disk must not end the actor that says something.
    What cannot be written is counted in `lost`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            self.lost += 1
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1


def log_to(stream: TextIO, level: str, redactor: Redactor) -> None:
    """Sends the process's log events to a text stream. Logging never raises, whatever becomes of the stream."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Unfailing(stream))),
        cache_logger_on_first_use=False,
    )


def log_to_stderr(level: str, redactor: Redactor) -> None:
    log_to(sys.stderr, level, redactor)
