"""The trackers of an account's orders: started when an order wants one, told what concerns it, and let go."""

from dataclasses import dataclass
from typing import Final

from allstop.actors.journal import read
from allstop.actors.known_orders import KnownOrders
from allstop.actors.order_commits import OrderCommits
from allstop.actors.order_talk import End, Nursery, Refresh, Seed, Told, TrackerLinks
from allstop.actors.order_tracker import OrderTracker
from allstop.actors.protocols import order_life
from allstop.actors.protocols.order_life import Life
from allstop.actors.protocols.records import from_row
from allstop.actors.runtime import Actor, Down, MailboxFull, Ref
from allstop.actors.spec import ChildSpec, Restart, Start

# What a full tracker may have missed is asked for when it has had time to catch up.
REFRESH_AFTER_S: Final = 1.0


@dataclass(frozen=True)
class RefreshTracker:
    """To `orders`, from itself: the tracker of this intent was full a while ago."""

    intent_id: str


class OrderTrackers:
    """In the name of `orders`, their `owner`. `live`: the intents that have a tracker, or will have one when they are
    durable."""

    def __init__(
        self, owner: Actor, known: KnownOrders, commits: OrderCommits, links: TrackerLinks, nursery: Nursery
    ) -> None:
        self._owner = owner
        self._known = known
        self._commits = commits
        self._links = links
        self._nursery = nursery
        self._intent_of: dict[str, str] = {}  # tracker's path -> intent
        self.live: set[str] = set()

    async def clear(self) -> None:
        """Ends those of an earlier incarnation of `orders`."""
        await self._nursery.clear()

    async def start(self, intent_id: str) -> None:
        known = self._known[intent_id]
        known.starting = True
        life = known.life if known.life is not None else await read_life(self._links.journal, intent_id)
        told, known.told = tuple(known.told), []
        start = Start(OrderTracker, (intent_id, self._links, Seed(life, told)))
        self.live.add(intent_id)
        known.life = life
        known.tracker = await self._nursery.start(
            ChildSpec(id=intent_id, start=start, restart=Restart.TRANSIENT)
        )
        known.starting = False
        self._intent_of[known.tracker.path] = intent_id
        self._owner.watch(known.tracker)
        for word in known.told:  # came while it started
            self._tell(intent_id, known.tracker, word)
        known.told.clear()
        if known.over:
            self.let_go(intent_id)

    def tell(self, intent_id: str, told: Told) -> None:
        """To the order's tracker; where there is none, one is started for it."""
        known = self._known[intent_id]
        if known.tracker is not None:
            self._tell(intent_id, known.tracker, told)
        else:
            known.told.append(told)
            self._want(intent_id)

    def refresh(self, intent_id: str) -> None:
        """A tracker that was full asks the venue. One whose order is forgotten meanwhile has nothing to ask."""
        known = self._known.get(intent_id)
        if known is not None and known.tracker is not None:
            known.tracker.tell(Refresh())

    def let_go(self, intent_id: str) -> None:
        """From here on its tracker is told nothing, so it may end: what it was told before stands before `End`.
        A word of a tracker that an earlier incarnation of ours had may be about an order that is forgotten."""
        known = self._known.get(intent_id)
        if known is None:
            return
        known.over = known.starting
        if known.tracker is not None:
            known.tracker.tell(End())
            known.tracker, known.ending = None, True

    def ended(self, down: Down) -> None:
        """A tracker ended for good. Where it gave up, its instrument freezes. The end of anybody else is nobody's here."""
        intent_id = self._intent_of.pop(down.ref.path, None)
        if intent_id is None:
            self._owner.log.warning("orders.stray_end", who=down.ref.path)
            return
        known = self._known[intent_id]
        known.tracker, known.ending, known.over = None, False, False
        self.live.discard(intent_id)
        if down.exit.abnormal:
            known.abandoned = True
            pair = known.life.intent.pair if known.life is not None else ""
            self._owner.log.critical("orders.tracker_gave_up", intent=intent_id, why=str(down.exit))
            self._links.gate.freeze(
                pair, f"{self._owner.path}/{intent_id}", f"the tracker of {intent_id} gave up: {down.exit}"
            )
            return
        if known.told or (known.life is not None and not known.life.state.terminal):
            self._want(intent_id)  # something came between its last word and its end
        else:
            self._known.retire(intent_id)

    def _want(self, intent_id: str) -> None:
        known = self._known[intent_id]
        if not known.starting and not known.ending:
            known.starting = True
            self._commits.later(lambda: self.start(intent_id))

    def _tell(self, intent_id: str, tracker: Ref, told: Told) -> None:
        try:
            tracker.tell(told)
        except MailboxFull:
            self._owner.log.error("orders.tracker_full", intent=intent_id)
            self._owner.send_after(REFRESH_AFTER_S, RefreshTracker(intent_id))


async def read_life(journal: Ref, intent_id: str) -> Life:
    """An order as the journal knows it, whose intent is there."""
    rows = await read(journal, key=intent_id)
    life = order_life.life_of(from_row(row) for row in rows)
    assert life is not None, f"{intent_id} is known from the journal"
    return life
