"""What `orders` and the trackers of single orders say to each other, and whom a tracker works with."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Protocol

import msgspec

from allstop.actors.clock import Clock
from allstop.actors.levels import IntentKind
from allstop.actors.order_gate import GateBoard
from allstop.actors.ports import Desk
from allstop.actors.protocols.lookup import Timing
from allstop.actors.protocols.order_life import Life
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Ref, Reply
from allstop.actors.spec import ChildSpec


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """To a tracker: the venue's words about its order. `source`: stream, snapshot or query."""

    report: OrderReport
    source: str


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """To a tracker: something may have been missed; ask the venue about the order."""


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """To a tracker: `reply` gets the WriteOutcome, or Refused when there is nothing to cancel."""

    no_replay: ClassVar[bool] = True

    reply: Reply


class AmendOrder(msgspec.Struct, frozen=True, kw_only=True):
    """To a tracker: `reply` gets the WriteOutcome, or Refused."""

    no_replay: ClassVar[bool] = True

    reply: Reply
    kind: IntentKind
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """To a tracker that told `OrderOver`: nothing more will come; exit."""


class OrderOver(msgspec.Struct, frozen=True, kw_only=True):
    """From a tracker to `orders`: the order is terminal and nothing is outstanding. Answered with `End`, so that no
    report that was on its way is lost."""

    intent_id: str


class OrderChanged(msgspec.Struct, frozen=True, kw_only=True):
    """From a tracker to `orders`: the order as it now stands."""

    life: Life


@dataclass(frozen=True)
class TrackerLinks:
    """Whom every tracker of an account works with. `open_desk` gives a REST desk on the protect path."""

    journal: Ref
    session: Ref
    orders: Ref
    root: Ref
    open_desk: Callable[[], Desk]
    gate: GateBoard
    timing: Timing
    clock: Clock | None = None  # that tells the venue's time; None: the tracker's own


class Seed:
    """What a new tracker's first incarnation is given, so that it need not read what was just written. Later
    incarnations find it empty and read the journal."""

    def __init__(self, life: Life | None = None, told: tuple[Told, ...] = ()) -> None:
        self._life = life
        self._told = told

    def take(self) -> tuple[Life | None, tuple[Told, ...]]:
        life, told = self._life, self._told
        self._life, self._told = None, ()
        return life, told


class Nursery(Protocol):
    """Where trackers live: a dynamic supervisor, as `orders` sees it. Each tracker has a restart budget of its own."""

    async def clear(self) -> None:
        """Ends every tracker that runs; when it returns, none of them can send."""
        ...

    async def start(self, spec: ChildSpec) -> Ref:
        """Starts a tracker, restarted while its budget lasts (`watch` on the Ref then tells of the end). Returns
        when its on_start is over. Raises StartError."""
        ...
