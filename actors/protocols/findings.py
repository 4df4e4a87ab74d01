"""What is known to be wrong with a pair's cover, by whom, and what two sources agree upon.

One reading alone can catch a fill between two of its own questions: what it finds is done only when another source found
the same before. As such counts, beside the reading before it,

    an alarm      what the stream told, and what an exit left
    what is left  of what two readings found, where the venue did not let it be mended, or not in one step
    blocked       what was found while the outcome of a write was awaited

because each reading costs time and calls of which there may be few.
"""

from collections.abc import Callable, Iterable, Mapping

from allstop.actors.protocols.cover import Covered, Uncovered, Verdict
from allstop.actors.protocols.pending_write import Written
from allstop.actors.protocols.positions import AccountBook, Execution
from allstop.actors.protocols.remedies import AmendStop, Flatten, PlaceStop, Rest, Step, later
from allstop.actors.reports import OrderReport

Found = Callable[[str], Verdict | None]  # a pair's verdict by the last reading


class Findings:
    """Of one account, by pair. It computes and remembers."""

    def __init__(self) -> None:
        self._alarms: dict[str, Verdict] = {}  # what is wrong by another source than the next reading
        # Of those, where a glance at the open orders says enough: a write of ours has mended a part of what two readings
        # found, or the source told of every order that could have executed unseen.
        self._glance: set[str] = set()
        self._blocked: dict[str, Verdict] = {}  # found while the outcome of a write was awaited

    def any(self) -> bool:
        """Whether the next reading may be the second."""
        return bool(self._alarms)

    def want_full(self) -> bool:
        """Whether a glance at the open orders is not enough for that."""
        return bool(self._alarms.keys() - self._glance)

    def alarm(self, pair: str, verdict: Verdict, *, whole: bool = False) -> None:
        """The stream told so, or an exit left it so. `whole`: nothing of ours could have executed that is not known."""
        self._alarms[pair] = verdict
        if whole and isinstance(verdict, Uncovered):
            self._glance.add(pair)
        else:
            self._glance.discard(pair)

    def expect(self, found: Verdict | None, written: Written) -> Verdict | None:
        """What the next reading must find after this write, for the two before it to stand: it counts as one of them.
        `found`: by those two."""
        left = left_by(found, written)
        if left is not None:
            self._alarms[written.pair] = left
            if written.taken:
                self._glance.add(written.pair)
            else:
                self._glance.discard(written.pair)
        return left

    def met(self, pair: str) -> None:
        """The stream told what was expected: it is acted on, and no longer to be found."""
        del self._alarms[pair]

    def compared(
        self, steps: Mapping[str, Step], found: Found, awaited: Iterable[str], *, counts: bool
    ) -> tuple[set[str], list[str]]:
        """Takes in the first reading of a round: the pairs on which another source agrees with it, and those of which
        only this one says that something is to be done. `awaited`: pairs on which a write of ours has no known
        outcome. `counts`: whether it is a reading that can be the second."""
        blocked, self._blocked = self._blocked, _found_of(awaited, found)
        agreed: set[str] = set()
        if counts:
            # What the stream told while this reading was made is not from it, either.
            known = blocked | self._alarms
            self._alarms, self._glance = {}, set()
            agreed = {pair for pair in steps if agree(known.get(pair), found(pair))}
        unsure = [pair for pair, step in steps.items() if acts(step) and pair not in agreed]
        if agreed:
            self._alarms = _found_of(unsure, found)
        return agreed, unsure


def _found_of(pairs: Iterable[str], found: Found) -> dict[str, Verdict]:
    return {pair: verdict for pair in pairs if (verdict := found(pair)) is not None}


def agree(alarm: Verdict | None, found: Verdict | None) -> bool:
    """Whether two sources found the same, whenever it began."""
    if alarm is None or found is None:
        return False
    return type(found) is type(alarm) and found.qty == alarm.qty


def acts(step: Step) -> bool:
    return not isinstance(step, Rest)


def left_by(found: Verdict | None, written: Written) -> Verdict | None:
    """What a reading that follows a write must find for two readings to agree on it: those before the write found more,
    and the write took a part of it away. None: nothing is left."""
    if not written.taken:
        match found, written.step:
            case Covered(), Flatten(qty=qty):
                # While it was out it counted as cover: it never arrived, so what two readings found before it is left.
                return Uncovered(qty, 0.0)
            case _:
                return found
    match found, written.step:
        case Uncovered(qty=qty, since_s=since_s), PlaceStop(qty=placed) if placed < qty:
            return Uncovered(qty - placed, since_s)
        case _:
            return None


def again(written: Written | None) -> bool:
    """Whether a write came to nothing without the venue having said a word about it."""
    if written is None or written.taken or not isinstance(written.step, PlaceStop | AmendStop | Flatten):
        return False
    return written.fault is None or later(written.fault)


def touched(executed: Iterable[Execution], reports: Iterable[OrderReport], book: AccountBook) -> set[str]:
    """The pairs of which the stream told an execution of ours, or that a stop is no more, by whoever's hand. `book`: with
    the reports in it."""
    known = (book.order(report.order_id) for report in reports if report.status.terminal)
    ended = {
        order.pair
        for order in known
        if order is not None and order.pair and order.order_type and order.order_type.is_stop
    }
    return {e.pair for e in executed} | ended
