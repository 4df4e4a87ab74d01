"""A breaker keeps its word: one that opened leaves what is behind it alone for its cooldown, and closes when the venue has
answered as often as it has to.

RULES.md, Giving up: "after `cooldown_s` half-open (queries only), `probes` successes close it". A probe reads the
account's open orders, so what the venue says that it was asked bounds the probes from above: there may have been fewer,
and not more. A person may end the cooldown.
"""

from typing import ClassVar

from allstop.supervisors.oracles.facts import Asked, Barred, Paused, Resumed, Tried
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

PROBED = "OpenOrders"
SLACK_NS = 1_000_000  # timers and times of floats


class TriedBeforeTrusted(Oracle):
    name: ClassVar[str] = "trial"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._paused_ns: dict[str, int] = {}
        self._lists: dict[
            str, int
        ] = {}  # of those on trial: lists of open orders that their accounts were given
        self._trials = 0

    def takes(self) -> Takes:
        return {
            Paused: self._paused,
            Tried: self._tried,
            Resumed: self._resumed,
            Asked: self._asked,
            Barred: self._barred,
        }

    def found(self) -> str | None:
        return f"{self._trials} trials, each in its time" if self._trials else None

    def nothing(self) -> str:
        return "no breaker was on trial"

    def _barred(self, fact: Barred) -> None:
        if fact.anew:  # another process: its breakers are others
            self._paused_ns.clear()
            self._lists.clear()

    def _paused(self, fact: Paused) -> None:
        self._paused_ns[fact.supervisor] = fact.at_ns
        self._lists.pop(fact.supervisor, None)

    def _tried(self, fact: Tried) -> None:
        self._trials += 1
        self._lists[fact.supervisor] = 0
        paused_ns, cooldown_s = (
            self._paused_ns.pop(fact.supervisor, None),
            self.terms.cooldowns.get(fact.supervisor),
        )
        if paused_ns is None or cooldown_s is None or fact.by_person:
            return
        if fact.at_ns - paused_ns + SLACK_NS < int(cooldown_s * 1e9):
            waited_s = (fact.at_ns - paused_ns) / 1e9
            self.broken(
                fact.at_ns, f"{fact.supervisor} is tried after {waited_s:.3f} s, and waits {cooldown_s:g}"
            )

    def _asked(self, fact: Asked) -> None:
        if fact.method == PROBED and fact.error is None:
            for supervisor in self._lists:
                account, _ = self.terms.probes.get(supervisor, ("", 0))
                if account == fact.account:
                    self._lists[supervisor] += 1

    def _resumed(self, fact: Resumed) -> None:
        lists, (_, probes) = (
            self._lists.pop(fact.supervisor, None),
            self.terms.probes.get(fact.supervisor, ("", 0)),
        )
        if lists is not None and lists < probes:
            why = f"{fact.supervisor} is trusted after {lists} answers of the venue, and needs {probes}"
            self.broken(fact.at_ns, why)
