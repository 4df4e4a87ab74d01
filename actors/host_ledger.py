"""The ledger of this address: who may connect where, and until when a venue banned us.

Shared by all accounts and all data, and told to the disk before a connect is allowed: the venue counts over restarts,
so this must too.
"""

from collections.abc import Mapping

import msgspec

from allstop.actors.errors import Fatal
from allstop.actors.journal import Append, Read
from allstop.actors.limits.connects import ConnectLimits, Connects
from allstop.actors.limits.lanes import Lane
from allstop.actors.ports import JournalEntry
from allstop.actors.runtime import Actor, Ref

CONNECT_KIND = "ledger.connects"


class ConnectPermit(msgspec.Struct, frozen=True, kw_only=True):
    """May I connect to this host now? Answered with 0.0 for yes (it is counted), else with the seconds to wait."""

    host: str
    lane: Lane = Lane.QUERY


class NoteBan(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: the host refused this address. `for_s` None: as long as its published ban lasts."""

    host: str
    reason: str
    for_s: float | None = None


class NoteUnreached(msgspec.Struct, frozen=True, kw_only=True):
    """Tell: the connect that was permitted last never came to this host. It does not count; on disk it does, until the
    next one is written."""

    host: str


class GetConnects(msgspec.Struct, frozen=True, kw_only=True):
    """Answered with {host: Connects}."""


class HostLedger(Actor):
    """Answers the messages above. `limits` per host; a host without any has Kraken's. Hosts of one venue share a
    ledger when `venue_of` names the same venue for them: Kraken counts its public and private sockets together."""

    def __init__(self, *, journal: Ref, limits: Mapping[str, ConnectLimits] | None = None,
                 venue_of: Mapping[str, str] | None = None, write_timeout_s: float = 5.0) -> None:  # fmt: skip
        self._journal = journal
        self._limits = dict(limits or {})
        self._venue_of = dict(venue_of or {})
        self._write_timeout_s = write_timeout_s
        self._hosts: dict[str, Connects] = {}

    async def on_start(self) -> None:
        for row in await self._journal.call(Read(kinds=(CONNECT_KIND,)), timeout_s=self._write_timeout_s):
            connects = msgspec.json.decode(row.body, type=Connects)
            self._hosts[row.key] = msgspec.structs.replace(connects, limits=self._limits_of(row.key))

    async def on_receive(self, message: object) -> object:
        match message:
            case ConnectPermit(host=host, lane=lane):
                return await self._permit(self._venue(host), lane)
            case NoteBan(host=host, reason=reason, for_s=for_s):
                return await self._ban(self._venue(host), reason, for_s)
            case NoteUnreached(host=host):
                venue = self._venue(host)
                self._hosts[venue] = self._connects(venue).untaken()
                return None
            case GetConnects():
                return dict(self._hosts)
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    async def _permit(self, venue: str, lane: Lane) -> float:
        now_s = self.clock.wall_ns() / 1e9
        connects = self._connects(venue)
        wait_s = connects.wait_s(now_s, lane)
        if wait_s <= 0:
            await self._keep(venue, connects.taken(now_s, lane))
        return wait_s

    async def _ban(self, venue: str, reason: str, for_s: float | None) -> None:
        self.log.error("host.banned", host=venue, reason=reason)
        await self._keep(venue, self._connects(venue).banned(self.clock.wall_ns() / 1e9, for_s, reason))

    async def _keep(self, venue: str, connects: Connects) -> None:
        """On disk first: a permit that was not written could be given twice."""
        entry = JournalEntry(kind=CONNECT_KIND, key=venue, body=msgspec.json.encode(connects))
        try:
            await self._journal.call(Append(entries=(entry,)), timeout_s=self._write_timeout_s)
        except TimeoutError as error:
            raise Fatal(
                "LEDGER_WRITE", f"a connect was not committed in {self._write_timeout_s} s"
            ) from error
        self._hosts[venue] = connects

    def _connects(self, venue: str) -> Connects:
        return self._hosts.get(venue) or Connects(limits=self._limits_of(venue))

    def _limits_of(self, venue: str) -> ConnectLimits:
        return self._limits.get(venue, ConnectLimits())

    def _venue(self, host: str) -> str:
        return self._venue_of.get(host, host)
