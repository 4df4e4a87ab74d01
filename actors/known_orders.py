"""The intents of an account's journal as `orders` knows them, and whose a report of the venue is."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from allstop.actors.external_orders import told_more
from allstop.actors.order_talk import Told
from allstop.actors.protocols import order_life
from allstop.actors.protocols.order_life import Life
from allstop.actors.protocols.records import ORDERS
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Ref, Reply

# Orders that are over and still answered from memory; older ones are read from the journal.
OVER_MAX: Final = 10_000


@dataclass
class KnownOrder:
    """An intent of the journal. `life` is None when it is over and its place in memory was needed."""

    digest: bytes
    owner: str
    life: Life | None
    tracker: Ref | None = None
    starting: bool = False  # a tracker will be there soon
    over: bool = False  # that tracker has told already that the order is over
    ending: bool = False  # its tracker was told to end and has not yet
    abandoned: bool = False  # its tracker gave up: what is told is recorded, and nothing else
    held: list[Reply] = field(default_factory=list[Reply])  # same intent placed again before it is durable
    durable: bool = True
    handed: bool = False  # an exit that the guardian has not answered for
    told: list[Told] = field(default_factory=list[Told])  # came when there was no tracker

    @property
    def needs_tracker(self) -> bool:
        return self.owner == ORDERS and self.life is not None and not self.life.state.terminal


class KnownOrders(dict[str, KnownOrder]):
    """By the intent's id. `by_order` leads there from the venue's ids, of the orders and of their stops."""

    def __init__(self) -> None:
        super().__init__()
        self.by_order: dict[str, str] = {}
        self._stops: dict[str, OrderReport] = {}
        self._over: OrderedDict[str, None] = OrderedDict()

    def know(self, life: Life) -> None:
        """An intent of the journal that is not, or not yet, worked here."""
        digest = order_life.content(life.intent)
        self[life.intent.id] = KnownOrder(digest, life.owner, life)
        self._index(life)
        if life.state.terminal:
            self.retire(life.intent.id)

    def changed(self, life: Life) -> None:
        """Its tracker tells how it stands now; one that an earlier incarnation had may tell of an order that is
        forgotten here."""
        if life.intent.id not in self:
            return
        self[life.intent.id].life = life
        self._index(life)

    def _index(self, life: Life) -> None:
        if life.order_id is not None:
            self.by_order[life.order_id] = life.intent.id
        for order_id, report in life.stops.items():
            self.by_order[order_id] = life.intent.id
            self._stops[order_id] = report

    def retire(self, intent_id: str) -> None:
        """It is over. The oldest of too many is forgotten but for its id: the journal still answers for it."""
        self._over[intent_id] = None
        self._over.move_to_end(intent_id)
        if len(self._over) > OVER_MAX:
            oldest, _ = self._over.popitem(last=False)
            self[oldest].life = None

    def lives(self, *, open_only: bool) -> Iterator[Life]:
        """The orders that are worked here, as far as they are in memory and durable."""
        lives = (known.life for known in self.values() if known.durable and known.owner == ORDERS)
        return (life for life in lives if life and not (open_only and life.state.terminal))

    def whose(self, report: OrderReport) -> str | None:
        """The intent whose order this is about, by its client id, else by the order id."""
        if report.parent_id is not None or report.order_id in self._stops:
            return None
        if report.cl_ord_id is not None and report.cl_ord_id in self:
            return report.cl_ord_id
        return self.by_order.get(report.order_id)

    def whose_stop(self, report: OrderReport) -> str | None:
        """The intent whose stop this is about, by the order that made it."""
        if report.parent_id is not None and report.parent_id in self.by_order:
            return self.by_order[report.parent_id]
        return self.by_order[report.order_id] if report.order_id in self._stops else None

    def stop_told(self, intent_id: str, report: OrderReport) -> OrderReport | None:
        """Takes a report of an intent's stop in. What is now known of the stop, where that is news, else None."""
        before = self._stops.get(report.order_id)
        merged = report if before is None else before.merged(report)
        self._stops[report.order_id] = merged
        self.by_order[report.order_id] = intent_id
        return merged if before is None or told_more(before, merged) else None
