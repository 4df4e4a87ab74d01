"""The rows of a ledger in the account's journal: what it promised, and which keys it stopped."""

from collections.abc import Sequence

import msgspec

from allstop.actors.ports import JournalRow

NONCE_KIND = "ledger.nonce"
LEVEL_KIND = "ledger.level"
STOP_KIND = "ledger.stop"
# Kraken locks an account out for 15 minutes after repeated refusals. A stopped key stays stopped for whoever starts
# within them; one try in that time prolongs no lockout, and lets in whoever has set the key right again.
LOCKOUT_S = 900.0


class LevelRow(msgspec.Struct, frozen=True):
    """What a row promises of a meter: no more than `level` at `at_ns`, and no more than `floor` ever after."""

    level: float
    at_ns: int
    floor: float = 0.0


def folded(rows: Sequence[JournalRow]) -> tuple[dict[str, int], dict[str, LevelRow]]:
    """What the rows promise: per key the highest nonce, per meter the last level and when."""
    highs: dict[str, int] = {}
    levels: dict[str, LevelRow] = {}
    for row in rows:
        if row.kind == NONCE_KIND:
            highs[row.key] = max(highs.get(row.key, 0), msgspec.json.decode(row.body)["high"])
        elif row.kind == LEVEL_KIND:
            levels[row.key] = msgspec.json.decode(row.body, type=LevelRow)
    return highs, levels


def stopped(rows: Sequence[JournalRow], wall_ns: int) -> dict[str, str]:
    """The keys that were stopped less than a lockout ago, and why. A wall clock that went back counts as no time."""
    found = {row.key: msgspec.json.decode(row.body) for row in rows if row.kind == STOP_KIND}
    return {key: body["reason"] for key, body in found.items() if wall_ns - body["at_ns"] < LOCKOUT_S * 1e9}
