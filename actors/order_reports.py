"""Whose a report of the venue is, and who is told of it.

It belongs to the intent of its client id, else of its order id; one whose parent is an intent's order is that intent's
stop; all others are EXTERNAL and are recorded.
"""

from collections.abc import Callable

from allstop.actors.external_orders import ExternalOrders
from allstop.actors.known_orders import KnownOrders
from allstop.actors.order_commits import OrderCommits
from allstop.actors.order_talk import Told
from allstop.actors.order_trackers import OrderTrackers
from allstop.actors.protocols import order_life
from allstop.actors.protocols.records import ORDERS, ExternalSeen, Reported, StopSeen
from allstop.actors.reports import OrderReport
from allstop.actors.runtime import Actor


class OrderReports:
    """In the name of `orders`, its owner. `shout` is told of what cannot be: one intent, twice at the venue."""

    def __init__(
        self,
        owner: Actor,
        known: KnownOrders,
        externals: ExternalOrders,
        commits: OrderCommits,
        trackers: OrderTrackers,
        shout: Callable[[str], None],
    ) -> None:
        self._owner = owner
        self._known = known
        self._externals = externals
        self._commits = commits
        self._trackers = trackers
        self._shout = shout

    def told(self, report: OrderReport, source: str) -> None:
        """Brings a report to whom it concerns. `source` is where it comes from: a stream, a snapshot of one, a list."""
        if (intent_id := self._known.whose(report)) is not None:
            self._ours(intent_id, report, source)
        elif (intent_id := self._known.whose_stop(report)) is not None:
            if (news := self._known.stop_told(intent_id, report)) is not None:
                self._commits.record(StopSeen(intent_id=intent_id, report=news))
        else:
            self._external(report)

    def _ours(self, intent_id: str, report: OrderReport, source: str) -> None:
        known = self._known[intent_id]
        life = known.life
        if known.owner != ORDERS:
            return  # the guardian hears of it itself
        if life is not None and life.order_id not in (None, report.order_id):
            self._shout(f"{intent_id} is at the venue twice: {life.order_id} and {report.order_id}")
            self._external(report)
            return
        self._known.by_order[report.order_id] = intent_id  # at once: its stop may stand in the same batch
        # A list that tells nothing new still tells that an open order is there: its tracker need not ask by itself.
        # Of one that is over it tells nothing at all, and each list names hundreds of those.
        settled = source == "stream" or (life is not None and life.state.terminal)
        if settled and life is not None and not order_life.is_news(life, report):
            return
        if known.abandoned and life is not None:
            step = order_life.plan(life, Reported(intent_id=intent_id, report=report, source=source))
            known.life = step.life
            self._commits.record(*step.records)
        else:
            self._trackers.tell(intent_id, Told(report=report, source=source))

    def _external(self, report: OrderReport) -> None:
        if (known := self._externals.told(report)) is not None:
            self._owner.log.warning("order.external", order=report.order_id, status=str(report.status))
            self._commits.record(ExternalSeen(report=known))
