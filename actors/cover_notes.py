"""What the guardian writes down of the orders that no tracker follows: stops, its own orders, claimed ones.

The venue's lists reach back only so far, and the next incarnation starts from the journal: an execution of a stop that
nobody wrote down would be a position that no longer exists, covered once more.
"""

from collections.abc import Iterable, Sequence

from allstop.actors.cover_journal import CoverJournal
from allstop.actors.protocols.cover_memory import CoverMemory
from allstop.actors.protocols.positions import Execution
from allstop.actors.protocols.records import ExternalSeen, Filled, Record, Reported, StopSeen, Terminal
from allstop.actors.reports import OrderReport


class CoverNotes:
    """Writes each of these orders when it is first seen and at each change of its state or size."""

    def __init__(self, journal: CoverJournal, memory: CoverMemory) -> None:
        self._journal = journal
        self._memory = memory
        self._fills: set[str] = set()  # written; the guardian's own are few
        self._ended: set[str] = set()  # of the guardian's own orders, with their end
        self._noted: dict[str, tuple[object, ...]] = {}  # orders that are not over -> what was written last
        self._version = -1  # of the book, all of which was written

    async def write(self, executed: Sequence[Execution]) -> None:
        """After a reading that showed these executions. Not durable: what is lost is read from the venue again."""
        book = self._memory.book
        if book.version == self._version and not executed:
            return
        self._version = book.version
        ids = {e.order_id for e in executed} | {o.order_id for o in book.open_orders()} | set(self._noted)
        records: list[Record] = []
        for order_id in sorted(ids):
            report = book.order(order_id)
            if report is not None:
                records += self._changed(report)
        if records:
            await self._journal.note(*records, durable=False)

    async def write_end(self, order_id: str) -> None:
        """An order of the guardian's that ended between two readings."""
        report = self._memory.book.order(order_id)
        if report is not None and (records := self._changed(report)):
            await self._journal.note(*records, durable=False)

    def unwritten_ends(self) -> tuple[Record, ...]:
        """What the book knows of orders that are over at the venue and, by the journal, are not."""
        memory, records = self._memory, list[Record]()
        for intent_id in memory.live():
            report = memory.book.order_of(intent_id)
            if report is not None and report.status.terminal:
                told = Reported(intent_id=intent_id, report=report, source="query")
                records += (told, _end_of(intent_id, report))
        return tuple(records)

    async def write_ends(self) -> None:
        """In a halt: whoever should have written the end of what was cancelled may be stopped, and stay so."""
        if records := self.unwritten_ends():
            await self._journal.note(*records)

    async def write_fills(self, reports: Iterable[OrderReport]) -> None:
        """The executions of the guardian's own orders, as the stream told them: each once, by its `exec_id`."""
        records: list[Record] = []
        for report in reports:
            told = self._memory.book.order(report.order_id)
            intent_id = told.cl_ord_id if told is not None else None
            if report.fill is None or intent_id is None or report.fill.exec_id in self._fills:
                continue
            if self._memory.is_own(intent_id):
                self._fills.add(report.fill.exec_id)
                records.append(Filled(intent_id=intent_id, fill=report.fill))
        if records:
            await self._journal.note(*records, durable=False)

    def _changed(self, report: OrderReport) -> list[Record]:
        record = self._record_of(report)
        state = (report.status, report.cum_qty, report.order_qty)
        if record is None or self._noted.get(report.order_id) == state:
            return []
        if not report.status.terminal:
            self._noted[report.order_id] = state
            return [record]
        self._noted.pop(report.order_id, None)
        if isinstance(record, Reported):
            if report.order_id in self._ended:
                return []
            self._ended.add(report.order_id)
            return [record, _end_of(record.intent_id, report)]
        return [record]

    def _record_of(self, report: OrderReport) -> Record | None:
        """The record for an order that is ours and that no tracker follows; None for all others."""
        book, intent_id = self._memory.book, report.cl_ord_id
        if not book.is_ours(report.order_id):
            return None
        if intent_id is not None and book.intent(intent_id) is not None:
            own = self._memory.is_own(intent_id)
            return Reported(intent_id=intent_id, report=report, source="query") if own else None
        parent = book.order(report.parent_id) if report.parent_id else None
        if parent is not None and parent.cl_ord_id is not None:
            return StopSeen(intent_id=parent.cl_ord_id, report=report)
        return ExternalSeen(report=report)


def _end_of(intent_id: str, report: OrderReport) -> Terminal:
    evidence = f"the venue's report of {report.order_id}"
    return Terminal(intent_id=intent_id, state=report.status.name, evidence=evidence)
