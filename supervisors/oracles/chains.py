"""The hash chain of a journal, computed again from its written definition, and not with the code that wrote it."""

import hashlib
import struct

from allstop.supervisors.oracles.evidence import Journal, RowLike

_HEAD = struct.Struct(">QqQIII")


class ChainReader:
    """Follows one chain row by row. Each hash is SHA-256 over the hash before, the row's numbers and lengths
    (big-endian: seq, ts_ns, epoch, len kind, len key, len body), kind, key and body."""

    def __init__(self, chain: str) -> None:
        self.seq = 0
        self._before = hashlib.sha256(b"allstop journal 1\n" + chain.encode()).digest()
        self._epoch = 0

    def fault(self, row: RowLike) -> str:
        """Why this row cannot be the next one, or "", and then it is."""
        kind, key = row.kind.encode(), row.key.encode()
        if row.seq != self.seq + 1:
            return f"row {self.seq + 1} is missing"
        head = _HEAD.pack(row.seq, row.ts_ns, row.epoch, len(kind), len(key), len(row.body))
        after = hashlib.sha256(self._before + head + kind + key + row.body).digest()
        if row.prev_hash != self._before or row.hash != after:
            return f"row {row.seq} does not follow"
        if row.epoch < self._epoch:
            return f"row {row.seq} is of epoch {row.epoch}, and one of {self._epoch} stands before it"
        self.seq, self._before, self._epoch = row.seq, after, row.epoch
        return ""


def chain_fault(journal: Journal) -> str:
    """Why the chain does not hold, or ""."""
    reader = ChainReader(journal.chain)
    return next(filter(None, map(reader.fault, journal.rows)), "")
