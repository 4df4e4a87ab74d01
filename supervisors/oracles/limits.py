"""O5: no limit of the venue was broken: as the venue counts, and counted here once more from what it saw.

The venue counts calls, orders, connects and bad keys. Nonces and connects are counted here again, so that neither
count can be wrong alone.
"""

from collections import deque
from typing import ClassVar

from allstop.supervisors.oracles.facts import Asked, ConnectTried, LimitBreach
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

CONNECT_WINDOW_NS = 600 * 1_000_000_000
LOCKED = "EGeneral:Temporary lockout"


class NoLimitBroken(Oracle):
    name: ClassVar[str] = "O5"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._requests = 0
        self._nonces: dict[tuple[str, str], int] = {}
        self._connects: dict[str, deque[int]] = {}

    def takes(self) -> Takes:
        return {LimitBreach: self._breached, Asked: self._asked, ConnectTried: self._connected}

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

    def _connected(self, fact: ConnectTried) -> None:
        if fact.refused:
            return  # not let in: the venue itself tells when that was a ban
        times = self._connects.setdefault(fact.ip, deque())
        while times and times[0] <= fact.at_ns - CONNECT_WINDOW_NS:
            times.popleft()
        times.append(fact.at_ns)
        if len(times) > self.terms.connects_max:
            self.broken(fact.at_ns, f"{len(times)} connects from {fact.ip} in 10 minutes")
