"""What Kraken's error texts mean. The rows are in `fault_rows`; this module finds the row and fills it in.

A text is `<E|W><category>:<message>[:<detail>]` or one of the WebSocket's own sentences. The longest row that is a
prefix of it, ending where a word ends, answers. No row: the text is unmapped, its outcome UNKNOWN.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from allstop.actors.errors import Fault, Outcome, Remedy
from allstop.actors.protocols.kraken.fault_rows import HTTP_ROWS, ROWS, UNMAPPED_ERROR, UNMAPPED_WARNING, Row
from allstop.actors.protocols.wire import DecodeError, number
from allstop.actors.reports import Accepted, Rejected, Unknown, WriteOutcome

__all__ = [
    "HTTP_ROWS",
    "ROWS",
    "UNMAPPED_ERROR",
    "UNMAPPED_WARNING",
    "Row",
    "classify",
    "classify_http",
    "outcome_of",
]

LOCKOUT_S: Final = 900.0  # "Temporary lockout": 15 minutes, Kraken's support pages
THROTTLE_MAX_S: Final = (
    3600.0  # a bound for the time that the venue names: an hour off is a wrong clock, not a wait
)
TEXT_MAX: Final = 500  # characters of the venue's words that a fault keeps


def _folded(text: str) -> str:
    return ":".join(part.strip() for part in text.strip().split(":")).casefold()


_LONGEST_FIRST: Final = tuple(
    sorted(((_folded(row.prefix), row) for row in ROWS), key=lambda pair: len(pair[0]), reverse=True)
)


def classify(text: str, *, write: bool = False, now_s: float | None = None) -> Fault:
    """The fault that an error text of Kraken's names. `write`: the request could change something; a read that
    would need a lookup is simply asked again. `now_s` is the wall clock in seconds, for texts that name a time.
    """
    # No row is longer: a text of megabytes must not hold up the loop.
    folded = _folded(text.strip()[:TEXT_MAX])
    for prefix, row in _LONGEST_FIRST:
        if folded.startswith(prefix) and not folded[len(prefix) : len(prefix) + 1].isalnum():
            return _fault(row, text, write=write, retry_after_s=_retry_after(row, folded, now_s))
    row = UNMAPPED_WARNING if folded.startswith("w") and ":" in folded else UNMAPPED_ERROR
    return _fault(row, text, write=write, mapped=False)


def classify_http(status: int, body: bytes, write: bool = False) -> Fault | None:
    """The fault of an HTTP answer that carries no envelope, or None when the body is an envelope to be decoded."""
    if 200 <= status <= 299:
        return (
            None if _is_envelope(body) else _fault(HTTP_ROWS["body"], f"HTTP {status}, not JSON", write=write)
        )
    match status:
        case 401 | 403 | 429:
            row = HTTP_ROWS[str(status)]
        case _ if status >= 500:
            row = HTTP_ROWS["5xx"]
        case _:
            row = HTTP_ROWS["other"]
    return _fault(row, f"HTTP {status}", write=write)


def outcome_of(
    faults: Sequence[Fault], order_ids: Sequence[str] = (), *, result: bool = True
) -> WriteOutcome:
    """What an answered write came to. Warnings decide nothing. Errors beside a result, or of which one does not
    prove that nothing happened, leave it unknown; `result`: the answer carried one."""
    errors = [fault for fault in faults if fault.remedy is not Remedy.OK]
    if not errors:
        return Accepted(tuple(order_ids)) if result else Unknown("an answer with neither result nor error")
    doubtful = [fault for fault in errors if fault.outcome is not Outcome.NO]
    if doubtful:
        return Unknown(str(doubtful[0]), doubtful[0])
    return Unknown(f"{errors[0]}, beside a result", errors[0]) if result else Rejected(errors[0])


class _Envelope(msgspec.Struct):
    error: list[str]


_envelope = msgspec.json.Decoder(_Envelope)


def _is_envelope(body: bytes) -> bool:
    try:
        _envelope.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _fault(
    row: Row, text: str, *, write: bool, retry_after_s: float | None = None, mapped: bool = True
) -> Fault:
    return Fault(
        code=row.prefix,
        category=row.category,
        severity=row.severity,
        outcome=row.outcome,
        reads=row.reads,
        writes=row.writes,
        remedy=row.remedy if write else row.read_remedy,
        text=text[:TEXT_MAX],
        retry_after_s=retry_after_s,
        mapped=mapped,
    )


def _retry_after(row: Row, folded: str, now_s: float | None) -> float | None:
    if row.prefix == "EGeneral:Temporary lockout":
        return LOCKOUT_S
    if row.prefix != "EService:Throttled":
        return None
    try:
        until_s = number(folded.removeprefix("eservice:throttled").lstrip(":").strip() or "-1")
    except DecodeError:
        return None
    if now_s is None or until_s < 0:
        return None
    return min(max(0.0, float(until_s - Decimal(str(now_s)))), THROTTLE_MAX_S)
