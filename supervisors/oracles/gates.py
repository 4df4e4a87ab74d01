"""Entries pass on evidence alone: whatever the engine says of its gate, one that was asked for when the evidence was gone
is admitted only after the evidence was there again.

What counts is when somebody asked for the entry (the caller's own word) and that its intent became durable. Evidence goes
when its bringer ends (a process, the guardian, the session, the stream, the reconciler), or when the wire shows that a
number is missing on the stream, or that a book's checksum is wrong. It is there again when the wire shows a new snapshot,
or when the venue has given its lists to whoever must read them. An engine proves it later than that, never earlier. Once
a halt stands on the disk and could be known, no entry is admitted at all. Nor is one once a damaged journal was set aside,
before the journal in its place says that a person has accepted the loss: the account's own, or the runtime's for all.
"""

import re
from typing import ClassVar, Final

from allstop.supervisors.oracles.facts import (
    Asked,
    BookAnew,
    BookWrong,
    ChainReplaced,
    Fell,
    Heard,
    Held,
    Latched,
    Lifted,
    Placing,
    Recorded,
    Released,
)
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

PARTS: Final = ("guardian", "session", "stream", "reconciler")
LISTS: Final = ("OpenOrders", "ClosedOrders")
PROTECT: Final = "protect"
RUNTIME: Final = "runtime"  # the chain that is everybody's
ACCEPTED: Final = "journal.loss_accepted"
# A latch that another process wrote is looked for every second, by a loop that may stand still for one.
KNOWN_NS: Final = 2_000_000_000
ASKED_MAX: Final = 1000  # entries asked for and neither refused nor committed yet: a mailbox holds no more

_CHANNEL = re.compile(r'"channel"\s*:\s*"(executions|balances)"')
_SEQUENCE = re.compile(r'"sequence"\s*:\s*(\d+)')
_SNAPSHOT = re.compile(r'"type"\s*:\s*"snapshot"')


class EntriesProven(Oracle):
    name: ClassVar[str] = "gate"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._doubts: dict[str, dict[str, int]] = {}  # account -> what is not proven -> since when
        self._unread: dict[str, set[str]] = {}  # account -> lists that its guardian has not read yet
        self._protects: set[str] = set()  # accounts whose guardian has a key of its own
        self._asked: dict[str, tuple[str, int]] = {}  # intent -> account, and when somebody asked for it
        self._held: dict[str, set[str]] = {}  # account -> actors that handle no message
        self._last: dict[tuple[int, str], int] = {}  # by connection and channel: the last number
        self._wrong: dict[str, int] = {}  # pair -> since when its book is wrong
        self._latched_ns: int | None = None
        self._aside: dict[
            str, int
        ] = {}  # chains that were set aside, and nobody has accepted that -> since when
        self._admitted = 0

    def takes(self) -> Takes:
        return {
            Placing: self._placing,
            Recorded: self._recorded,
            Fell: self._fell,
            Heard: self._heard,
            BookWrong: self._book_wrong,
            BookAnew: self._book_anew,
            ChainReplaced: self._set_aside,
            Asked: self._listed,
            Held: self._was_held,
            Released: self._was_released,
            Latched: self._was_latched,
            Lifted: self._was_lifted,
        }

    def found(self) -> str | None:
        return f"{self._admitted} entries, each on evidence" if self._admitted else None

    def nothing(self) -> str:
        return "nobody was seen asking for an entry that was admitted"

    # -- entries -------------------------------------------------------------------------------------------------

    def _placing(self, fact: Placing) -> None:
        if len(self._asked) >= ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked.setdefault(fact.intent_id, (fact.account, fact.at_ns))

    def _recorded(self, fact: Recorded) -> None:
        if fact.kind == ACCEPTED:
            self._aside.pop(fact.chain, None)
        if fact.kind != "intent" or fact.key not in self._asked:
            return
        account, asked_ns = self._asked.pop(fact.key)
        if fact.record["intent"].get("kind", "ENTRY") != "ENTRY":
            return
        self._admitted += 1
        if self._latched_ns is not None and asked_ns > self._latched_ns + KNOWN_NS:
            self.broken(fact.at_ns, f"{fact.key} was admitted, and trading is halted")
        if self._held.get(account) or self._held.get(""):
            return  # who handles no message cannot know
        pair = str(fact.record["intent"].get("pair", ""))
        unproven = [doubt for doubt, at_ns in self._doubts.get(account, {}).items() if asked_ns > at_ns]
        if asked_ns > self._wrong.get(pair, asked_ns):
            unproven.append(f"book of {pair}")
        unproven += [
            f"journal of {chain}"
            for chain in (fact.chain, RUNTIME)
            if asked_ns > self._aside.get(chain, asked_ns)
        ]
        if unproven:
            self.broken(
                fact.at_ns, f"{fact.key} was admitted, and nothing proves again: {', '.join(unproven)}"
            )

    # -- what goes, and comes again --------------------------------------------------------------------------------

    def _fell(self, fact: Fell) -> None:
        doubts = self._doubts.setdefault(fact.account, {})
        for part in PARTS if not fact.part else (fact.part,):
            doubts[part] = fact.at_ns
            if part == "guardian":
                self._unread[fact.account] = set(LISTS)
            if part in ("session", "stream"):
                doubts["stream"] = doubts["reconciler"] = fact.at_ns

    def _heard(self, fact: Heard) -> None:
        channel, number = _CHANNEL.search(fact.frame), _SEQUENCE.search(fact.frame)
        if channel is None or number is None:
            return
        key, now = (fact.connection, channel[1]), int(number[1])
        last, self._last[key] = self._last.get(key), now
        doubts = self._doubts.setdefault(fact.account, {})
        if _SNAPSHOT.search(fact.frame):
            doubts.pop(f"sequence of {channel[1]}", None)
            doubts.pop("session", None)
            doubts.pop("stream", None)
        elif last is not None and now != last + 1:
            doubts.setdefault(f"sequence of {channel[1]}", fact.at_ns)

    def _book_wrong(self, fact: BookWrong) -> None:
        self._wrong.setdefault(fact.pair, fact.at_ns)

    def _set_aside(self, fact: ChainReplaced) -> None:
        self._aside[fact.chain] = fact.at_ns

    def _book_anew(self, fact: BookAnew) -> None:
        self._wrong.pop(fact.pair, None)

    def _listed(self, fact: Asked) -> None:
        if fact.key == PROTECT:
            self._protects.add(fact.account)
        if fact.method not in LISTS or fact.error is not None:
            return
        doubts = self._doubts.get(fact.account)
        if doubts is None:
            return
        if fact.key == PROTECT or fact.account not in self._protects:
            unread = self._unread.get(fact.account, set())
            unread.discard(fact.method)
            if not unread:
                doubts.pop("guardian", None)
        if fact.key != PROTECT and fact.method == "OpenOrders":
            doubts.pop("reconciler", None)

    # -- who cannot know, and what nobody may do --------------------------------------------------------------------

    def _was_held(self, fact: Held) -> None:
        self._held.setdefault(fact.account, set()).add(fact.path)

    def _was_released(self, fact: Released) -> None:
        held = self._held.get(fact.account, set())
        held.discard(fact.path)
        if not held:  # what waited for it is known from now on
            self._wrong = dict.fromkeys(self._wrong, fact.at_ns)
            doubts = self._doubts.get(fact.account, {})
            doubts.update(dict.fromkeys(doubts, fact.at_ns))

    def _was_latched(self, fact: Latched) -> None:
        if self._latched_ns is None:
            self._latched_ns = fact.at_ns

    def _was_lifted(self, _: Lifted) -> None:
        self._latched_ns = None
