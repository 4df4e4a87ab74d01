"""Messages that the working actors send each other about orders. Each is answered as its docstring says."""

from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from allstop.actors.intents import OrderIntent
from allstop.actors.levels import IntentKind, Origin
from allstop.actors.reports import OrderReport


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """To a session: send this committed intent. Answered with a WriteOutcome, at the latest when the deadline and
    its grace are over. `attempt` counts from 1; each attempt was journalled before."""

    no_replay: ClassVar[bool] = True

    intent: OrderIntent
    attempt: int = 1
    deadline_s: float = 5.0


class Amend(msgspec.Struct, frozen=True, kw_only=True):
    """To a session: change an open order in place. Answered with a WriteOutcome. `command_id` was journalled."""

    no_replay: ClassVar[bool] = True

    command_id: str
    intent_id: str
    order_id: str
    kind: IntentKind = IntentKind.REDUCE
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    deadline_s: float = 5.0


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """To a session: cancel these orders by the venue's ids. Answered with a WriteOutcome."""

    no_replay: ClassVar[bool] = True

    command_id: str
    order_ids: tuple[str, ...]


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """Told by the private stream to whoever subscribed: what the venue says of our orders. `snapshot`: all open
    orders (and the latest trades) as they stand, after a subscription."""

    reports: tuple[OrderReport, ...]
    snapshot: bool = False
    source: str = "stream"  # stream | query


class SubscribeReports(msgspec.Struct, frozen=True, kw_only=True):
    """To the private stream: tell me `Reports` from now on (my path). Answered with True."""

    path: str


UNNAMED: Final = "/unnamed"  # the strategy of intents whose strategy nobody named


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: take this intent, an ENTRY or a REDUCE. Answered with an OrderView once it is durable, or
    Refused. `by` is who wants it, an actor's path: each may submit so many entries a second, and those that name
    nobody share one allowance."""

    no_replay: ClassVar[bool] = True

    intent: OrderIntent
    origin: Origin = Origin.STRATEGY
    by: str = UNNAMED


class BeginExit(msgspec.Struct, frozen=True, kw_only=True):
    """To a guardian: leave so much of a position. Answered with an OrderView once the intent is durable, or Refused.
    After `until_ns` (wall) nobody waits for the answer any more, and it is not begun."""

    no_replay: ClassVar[bool] = True

    intent: OrderIntent
    origin: Origin
    until_ns: int


class CancelIntent(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: cancel the order of this intent. Answered with the WriteOutcome, or Refused."""

    no_replay: ClassVar[bool] = True

    intent_id: str


class AmendIntent(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: amend the open order of this intent. Answered with the WriteOutcome, or Refused."""

    no_replay: ClassVar[bool] = True

    intent_id: str
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one order: its state in the life table, the venue's last report, and the evidence for it."""

    intent: OrderIntent
    state: str
    report: OrderReport | None = None
    cum_qty: Decimal = Decimal(0)
    attempts: int = 0
    reason: str | None = None


class GetOrder(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: answered with an OrderView or None."""

    intent_id: str


class GetOrders(msgspec.Struct, frozen=True, kw_only=True):
    """To `orders`: answered with a list of OrderView."""

    open_only: bool = True


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """To the order gate: this condition holds (or no longer holds) since `at_s`. `name` is one of session, stream,
    sequence, reconciled, clock, budget, guardian."""

    no_replay: ClassVar[bool] = True

    name: str
    holds: bool
    at_s: float
    by: str
    reason: str = ""


class ProveAgain(msgspec.Struct, frozen=True, kw_only=True):
    """From an order gate that has just started and knows nothing: tell it what you prove."""


class GateStatus(msgspec.Struct, frozen=True, kw_only=True):
    """To the order gate: answered with {name: Proof} and whether entries pass."""


class ProveHalt(msgspec.Struct, frozen=True, kw_only=True):
    """To a halter: cancel what is not protective and prove it. Answered with a HaltProof or raises; asked again."""

    reason: str


class HaltProof(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's own open-orders list, read after the last cancel, holds only protective orders."""

    account: str
    canceled: int
    kept: int
    rounds: int
    at_ns: int


class GetCover(msgspec.Struct, frozen=True, kw_only=True):
    """To a guardian: answered with a CoverView."""


class PairCover(msgspec.Struct, frozen=True, kw_only=True):
    """One pair as the guardian last saw it. `state`: covered, uncovered, over_covered or dust, or
    unmatched where its stops stand and the venue matches no orders now; `qty` is what that is about; `step` is what it
    does about it."""

    pair: str
    net: Decimal
    average_entry: Decimal | None
    state: str
    qty: Decimal
    step: str
    external_net: Decimal


class CoverView(msgspec.Struct, frozen=True, kw_only=True):
    """An account's cover. `audited`: at least one complete reading of the venue was made. `external`: the ids of
    orders on the account that are not ours. The milliseconds are the guardian's own measure: the longest time that a
    pair was uncovered while the venue answered, and all the time in which it did not."""

    account: str
    audited: bool
    reachable: bool
    journal_lost: bool
    pairs: tuple[PairCover, ...]
    external: tuple[str, ...]
    uncovered_ms_max: float
    uncovered_unreachable_ms: float
    unresolved: tuple[str, ...]
