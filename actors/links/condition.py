"""What is wrong with a link, or with a disk, for as long as it is: values that what stands in for them obeys."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Way(StrEnum):
    """The direction of bytes: from the client up to the server, or down to the client."""

    UP = "up"
    DOWN = "down"


class Turned(StrEnum):
    """How a new connection is turned away. Over TCP a proxy has stand-ins for the last two."""

    REFUSED = "refused"  # nothing listens
    DNS = "dns"  # the name is not found
    TLS = "tls"  # somebody answers, and is not whom the certificate should name


class LinkCondition(msgspec.Struct, frozen=True, kw_only=True):
    """The default is a link that is whole. Open connections live on in every condition."""

    delay_s: float = 0.0  # each way
    jitter_s: float = 0.0  # by chance up to this much more, in order within a connection
    up_silent: bool = False  # what the client sends goes nowhere, and no one is told
    down_silent: bool = False
    up_bytes_per_s: float = 0.0  # how fast the server reads; 0: as fast as it comes
    down_bytes_per_s: float = 0.0  # how fast the client reads
    turned: Turned | None = None  # new connections are not made

    @property
    def whole(self) -> bool:
        return self == LinkCondition()

    def silent(self, way: Way) -> bool:
        return self.up_silent if way is Way.UP else self.down_silent

    def bytes_per_s(self, way: Way) -> float:
        """How fast this direction is read; 0: as fast as it comes."""
        return self.up_bytes_per_s if way is Way.UP else self.down_bytes_per_s


WHOLE = LinkCondition()


class DiskCondition(msgspec.Struct, frozen=True, kw_only=True):
    """The default is a disk that works. `full`: every commit fails for want of space."""

    commit_s: float = 0.0  # how much longer each durable commit takes
    full: bool = False


def worst_of(*conditions: LinkCondition) -> LinkCondition:
    """Several troubles at once: delays add up, the slower reader counts, what is silent for one is silent."""
    return LinkCondition(
        delay_s=sum(one.delay_s for one in conditions),
        jitter_s=sum(one.jitter_s for one in conditions),
        up_silent=any(one.up_silent for one in conditions),
        down_silent=any(one.down_silent for one in conditions),
        up_bytes_per_s=_slowest(one.up_bytes_per_s for one in conditions),
        down_bytes_per_s=_slowest(one.down_bytes_per_s for one in conditions),
        turned=next((one.turned for one in conditions if one.turned is not None), None),
    )


def worst_disk(*conditions: DiskCondition) -> DiskCondition:
    """Several troubles at once: the times add up, and full is full."""
    return DiskCondition(
        commit_s=sum(one.commit_s for one in conditions), full=any(one.full for one in conditions)
    )


def _slowest(rates: Iterable[float]) -> float:
    return min((rate for rate in rates if rate), default=0.0)
