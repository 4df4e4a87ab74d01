"""O5: no limit of the venue was broken: as the venue counts, and counted here once more from what it saw.

The venue counts calls, orders, connects and bad keys. Nonces and connects are counted here again, so that neither
count can be wrong alone. And because a venue forgives the first hundred connects, each must have its permit on the disk:
a row of the host's ledger with one more attempt than the row before.
"""

from collections import deque
from typing import ClassVar

import msgspec

from allstop.supervisors.oracles.facts import Asked, ConnectTried, LimitBreach, RowDurable
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

CONNECT_WINDOW_NS = 600 * 1_000_000_000
PERMIT = "ledger.connects"
LOCKED = "EGeneral:Temporary lockout"


class NoLimitBroken(Oracle):
    name: ClassVar[str] = "O5"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._requests = 0
        self._nonces: dict[tuple[str, str], int] = {}
        self._connects: dict[str, deque[int]] = {}
        self._permits = 0  # given, and not used yet
        self._permitted: dict[str, tuple[float, ...]] = {}  # by host: the attempts of its last row

    def takes(self) -> Takes:
        return {
            LimitBreach: self._breached,
            Asked: self._asked,
            ConnectTried: self._connected,
            RowDurable: self._durable,
        }

    def found(self) -> str | None:
        return f"{self._requests} requests within every limit"

    def _breached(self, fact: LimitBreach) -> None:
        self.broken(fact.at_ns, f"{fact.kind} {fact.detail}")

    def _asked(self, fact: Asked) -> None:
        self._requests += 1
        if fact.error == LOCKED:
            self.broken(fact.at_ns, f"{fact.method} while the venue had locked us out")
        if fact.via != "rest" or not fact.nonce.isdigit():
            return
        key = (fact.account, fact.key)
        nonce, last = int(fact.nonce), self._nonces.get(key, -1)
        self._nonces[key] = max(nonce, last)
        if nonce <= last:
            self.broken(fact.at_ns, f"nonce {nonce} of the key {fact.key} after {last}")

    def _durable(self, fact: RowDurable) -> None:
        if fact.row.kind != PERMIT:
            return
        try:
            ledger = msgspec.json.decode(fact.row.body)
        except msgspec.DecodeError:
            return  # a row that is not what was written: O6 says so
        attempts = tuple(ledger.get("attempts_s", ()))
        before = self._permitted.get(fact.row.key, ())
        self._permitted[fact.row.key] = attempts
        # Each new one stands last; a row about a ban has the attempts of the row before, or fewer.
        if attempts and (len(attempts) > len(before) or attempts[-1] != before[-1]):
            self._permits += 1

    def _connected(self, fact: ConnectTried) -> None:
        self._permits -= 1
        if self._permits < 0 and self.terms.permits:
            self._permits = 0
            self.broken(fact.at_ns, f"a connect from {fact.ip} without a permit on the disk")
        if fact.refused:
            return  # not let in: the venue itself tells when that was a ban
        times = self._connects.setdefault(fact.ip, deque())
        while times and times[0] <= fact.at_ns - CONNECT_WINDOW_NS:
            times.popleft()
        times.append(fact.at_ns)
        if len(times) > self.terms.connects_max:
            self.broken(fact.at_ns, f"{len(times)} connects from {fact.ip} in 10 minutes")
