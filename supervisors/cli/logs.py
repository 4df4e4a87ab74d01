"""How commands log: JSON lines on stderr (or to a stream of their own), with every known secret hidden."""

import logging
import sys
from typing import Any, TextIO

import msgspec
import structlog

from allstop.actors.links.secrets import Redactor

_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")


def _render(_logger: Any, _method: str, event: Any) -> str:
    return _encoder.encode(event).decode()


def log_to(stream: TextIO, level: str, redactor: Redactor) -> None:
    """Sends the process's log events to a text stream."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redactor,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def log_to_stderr(level: str, redactor: Redactor) -> None:
    log_to(sys.stderr, level, redactor)
