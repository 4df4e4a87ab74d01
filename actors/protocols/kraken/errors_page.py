"""The page on Kraken's errors, made from the table, so that the two cannot part.

python -m allstop.actors.protocols.kraken.errors_page > docs/venues/kraken-errors.md
"""

import sys
from collections.abc import Iterable
from typing import Final

from allstop.actors.errors import Outcome, Remedy, Retry
from allstop.actors.protocols.kraken.fault_rows import HTTP_ROWS, ROWS, UNMAPPED_ERROR, UNMAPPED_WARNING, Row

_OUTCOMES: Final = {Outcome.NO: "no effect", Outcome.UNKNOWN: "**unknown**", Outcome.YES: "took effect"}
_RETRIES: Final = {
    Retry.NEVER: "never",
    Retry.NOW: "at once",
    Retry.BACKOFF: "after a backoff",
    Retry.COOLDOWN: "after a cooldown",
    Retry.AFTER_LOOKUP: "after a lookup",
}
_REMEDIES: Final = {
    Remedy.FIX: "give the rejection back",
    Remedy.LOOK: "look the order up",
    Remedy.BACK: "wait and ask again",
    Remedy.COOL: "wait the time given",
    Remedy.REAUTH: "new token, new connection",
    Remedy.GATE: "close the gate of the pair or venue",
    Remedy.REDUCE: "vote READ_ONLY",
    Remedy.HALT: "vote HALTED",
    Remedy.STOP_KEY: "no further call with this key",
    Remedy.RESYNC: "read position and orders again",
    Remedy.RENONCE: "raise the nonce",
    Remedy.OK: "go on",
    Remedy.CRASH: "crash: a bug of ours",
}

_INTRODUCTION: Final = """\
# Kraken's errors

This page is generated from `actors/protocols/kraken/fault_rows.py`; a test fails when it is not current.

Kraken answers with `{"error": [...], "result": ...}`; the WebSocket with `"success": false` and one `error`. The longest
row that is a prefix of the text answers, without regard to case or to blanks around colons. What it says about a write
is the column that matters: *no effect* is a proof, *unknown* means that the venue is asked before anything else is done.
A read that would need a lookup is simply asked again.

Sources: D official spot-errors page; R official rate-limit page; G another official page; K, C, N, X the exception maps of
python-kraken-sdk, ccxt, nautilus_trader and XChange; A recorded by kraken-async-rs; S support pages; M from memory, seen in
no document. Category, severity, retry and remedy are our own judgement.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## Error texts\n",
            *_table(ROWS),
            "\n## HTTP answers without an envelope\n",
            "They come from in front of the venue. A write may have arrived all the same.\n",
            *_table(HTTP_ROWS.values()),
            "\n## Texts that no row knows\n",
            *_table((UNMAPPED_ERROR, UNMAPPED_WARNING)),
            "",
        ]
    )


def _table(rows: Iterable[Row]) -> list[str]:
    head = "| text | category | severity | a write | asked again: read / write | what we do | source | note |"
    return [head, "|" + "---|" * 8, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    again = f"{_RETRIES[row.reads]} / {_RETRIES[row.writes]}"
    cells = (
        f"`{row.prefix}`",
        row.category.value,
        row.severity.value,
        _OUTCOMES[row.outcome],
        again,
        _REMEDIES[row.remedy],
        row.source,
        row.note,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
