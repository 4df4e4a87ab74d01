"""O7: no secret stands in anything that leaves the engine: logs, journals, reports, traces, answers.

A secret that was encoded on its way is still a secret: each is searched for as it is, as it stands in a URL, in
base64, in hex, and, where it is itself base64 (Kraken's are), as the bytes behind it.
"""

import base64
import binascii
import contextlib
from typing import ClassVar
from urllib.parse import quote

from allstop.supervisors.oracles.facts import RowDurable, SecretIssued, Written
from allstop.supervisors.oracles.oracle import Oracle, Takes, Terms

HEAD = 8  # so many characters of a secret are looked for first: most of its disguises begin alike
PIECE = 16  # so many characters in a row of a secret are no accident, and say enough


def disguises(secret: str) -> tuple[str, ...]:
    """The texts by which a secret can be known again: any of them in an output is a leak."""
    raw = [secret.encode()]
    with contextlib.suppress(binascii.Error, ValueError):  # what is no base64 has no bytes behind it
        raw.append(base64.b64decode(secret, validate=True))
    found = [secret[: max(PIECE, len(secret) // 2)], quote(secret, safe="")]
    for one in raw:
        found += [
            base64.b64encode(one).decode().rstrip("="),
            base64.urlsafe_b64encode(one).decode().rstrip("="),
        ]
        found += [one.hex(), repr(one)[2:-1]]
    return tuple(dict.fromkeys(text for text in found if len(text) >= PIECE // 2))


class NoSecretShown(Oracle):
    name: ClassVar[str] = "O7"

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._texts: tuple[str, ...] = ()
        self._heads: tuple[bytes, ...] = ()  # of the texts: where none of them stands, no text does
        self._sinks: set[str] = set()
        self._shown: set[str] = set()
        for secret in terms.secrets:
            self._learn(secret)

    def takes(self) -> Takes:
        return {Written: self._written, RowDurable: self._durable, SecretIssued: self._issued}

    def found(self) -> str | None:
        return f"{len(self._sinks)} outputs searched" if self._sinks and self._texts else None

    def nothing(self) -> str:
        return "nothing to look through"

    def _issued(self, fact: SecretIssued) -> None:
        self._learn(fact.secret)

    def _learn(self, secret: str) -> None:
        self._texts = tuple(dict.fromkeys((*self._texts, *disguises(secret))))
        self._heads = tuple(dict.fromkeys(text[:HEAD].encode() for text in self._texts))

    def _written(self, fact: Written) -> None:
        self._sinks.add(fact.sink)
        if self._stands_in(fact.text):
            self._shows(fact.at_ns, fact.sink)

    def _durable(self, fact: RowDurable) -> None:
        sink = f"journal {fact.chain}"
        self._sinks.add(sink)
        text = b"%b\n%b" % (fact.row.key.encode(), fact.row.body)
        if any(map(text.__contains__, self._heads)) and self._stands_in(text.decode(errors="replace")):
            self._shows(fact.at_ns, sink)

    def _stands_in(self, text: str) -> bool:
        return any(map(text.__contains__, self._texts))

    def _shows(self, at_ns: int, sink: str) -> None:
        if sink not in self._shown:
            self._shown.add(sink)
            self.broken(at_ns, f"a secret stands in {[sink]}")
