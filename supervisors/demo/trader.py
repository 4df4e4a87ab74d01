"""The demo's strategy: it places orders, each with its stop, cancels some that rest, and leaves positions in part."""

from collections import deque
from decimal import ROUND_DOWN, Decimal
from functools import partial

import msgspec

from allstop.actors.commands import CancelIntent, CoverView, GetCover, Place
from allstop.actors.errors import RefusalCode, Refused
from allstop.actors.intents import OrderIntent, OrderType, Side, StopLoss
from allstop.actors.levels import IntentKind
from allstop.actors.market_data import BookView, SubscribeBook, Tick
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Mailbox, MailboxFull, Overflow

PLACE_EVERY_S = 0.5  # 2 a second per pair: the pair's counter gives back 3.75 a second on the Pro tier
RETRY_S = 0.05  # how soon a refused entry is tried again: this measures when trading is back
LEAVES = 0.1  # so many of its turns end with an exit, of a part or of all that there is
RESTING_MAX = 4  # orders left resting; the oldest is cancelled
KEPT_MAX = 10_000  # ids remembered for the report; a demo places under 500


class _Trade(msgspec.Struct, frozen=True):
    """To itself: place the next order."""


class GetTrades(msgspec.Struct, frozen=True):
    """Answered with a Trades."""


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """What a trader was told. `accepted_at_s`: the clock at each `submit` that returned an order; `refusals` by code."""

    pair: str
    submitted: tuple[str, ...]
    refused: tuple[str, ...]
    accepted_at_s: tuple[float, ...]
    refusals: dict[str, int]


class DemoTrader(Actor):
    """Every half second a limit buy that rests, a limit buy that crosses or a market buy, each with its stop.

    `every_s`, `retry_s`: another pace, for simulations of long times."""

    mailbox = Mailbox(capacity=100, overflow=Overflow.CONFLATE, key=type)
    keeps_task = False  # prices are many and need none

    def __init__(
        self,
        pair: str,
        account: str = "kraken.main",
        public: str = "kraken.public",
        *,
        every_s: float = PLACE_EVERY_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._every_s = every_s
        self._retry_s = retry_s
        self._pair = pair
        self._orders_path = f"/accounts/{account}/trading/orders"
        self._guardian_path = f"/accounts/{account}/guardian"
        self._data_path = f"/data/{public}/book.{pair.replace('/', '-')}"
        self._book: BookView | None = None
        self._resting: deque[str] = deque()
        self._submitted: deque[str] = deque(maxlen=KEPT_MAX)
        self._refused: deque[str] = deque(maxlen=KEPT_MAX)
        self._accepted_at_s: deque[float] = deque(maxlen=KEPT_MAX)
        self._refusals: dict[str, int] = {}

    def on_start(self) -> Continue:
        self._orders = self.system.address(self._orders_path)
        self._data = self.system.address(self._data_path)
        self._guardian = self.system.address(self._guardian_path)
        return Continue(None)

    def on_continue(self, argument: object) -> None:
        self._schedule(self._every_s)

    def on_receive(self, message: object) -> object:
        match message:
            case BookView():
                self._book = message
                return None
            case Tick():
                return None
            case _Trade():
                return self._trade()
            case GetTrades():
                return Trades(pair=self._pair, submitted=tuple(self._submitted), refused=tuple(self._refused),
                              accepted_at_s=tuple(self._accepted_at_s), refusals=dict(self._refusals))  # fmt: skip
            case _:
                raise TypeError(f"{self.path} takes no {message!r}")

    async def _trade(self) -> None:
        try:
            # Asked anew each time: the pair's actor may have been restarted and have forgotten us.
            self._book = await self._data.call(SubscribeBook(path=self.path), timeout_s=0.5)
        except (ActorDead, CallTimeout):
            self._schedule(self._retry_s)
            return
        placed = await self._place()
        self._schedule(self._every_s if placed else self._retry_s)
        await self._cancel_oldest()
        if placed and self.dice.draw() < LEAVES:
            await self._leave()

    async def _place(self) -> bool:
        book = self._book
        if book is None or not book.good or not book.bids or not book.asks:
            return False
        intent = self._intent(book)
        if not await self._submit(intent):
            return False
        self._accepted_at_s.append(self.clock.now_s())
        if (
            intent.order_type is OrderType.LIMIT
            and intent.limit_price is not None
            and intent.limit_price < book.bids[0][0]
        ):
            self._resting.append(intent.id)
        return True

    async def _leave(self) -> None:
        """Sells a half of the position at market, or all of it. The guardian moves the stops out of the way."""
        try:
            view: CoverView = await self._guardian.call(GetCover(), timeout_s=0.5)
        except (ActorDead, CallTimeout, MailboxFull):
            return
        net = next((pair.net for pair in view.pairs if pair.pair == self._pair), Decimal(0))
        qty = net if self.dice.draw() < 0.3 else _stepped(net / 2, Decimal("0.00001"))
        if qty > 0:
            await self._submit(
                OrderIntent(
                    pair=self._pair, side=Side.SELL, qty=qty, order_type=OrderType.MARKET,
                    kind=IntentKind.REDUCE, id=self.ids.new(),
                )
            )  # fmt: skip

    async def _submit(self, intent: OrderIntent) -> bool:
        try:
            await self._orders.call(Place(intent=intent, by=self.path), timeout_s=2.0)
        except Refused as refused:
            self._refusals[refused.code] = self._refusals.get(refused.code, 0) + 1
            if refused.code is not RefusalCode.NOT_COMMITTED:  # that one says that nobody knows
                self._refused.append(intent.id)
            return False
        except (ActorDead, CallTimeout, MailboxFull):
            return False  # it may be durable all the same: it counts neither as submitted nor as refused
        self._submitted.append(intent.id)
        return True

    def _intent(self, book: BookView) -> OrderIntent:
        (bid, _), (ask, _) = book.bids[0], book.asks[0]
        draw = self.dice.draw()
        qty = _stepped(Decimal(60) / ask * (1 + Decimal(str(round(self.dice.draw(), 2)))), Decimal("0.00001"))
        stop = StopLoss(trigger_price=_like(bid * Decimal("0.995"), bid))
        build = partial(OrderIntent, pair=self._pair, side=Side.BUY, qty=qty, stop=stop, id=self.ids.new())
        if draw < 0.3:
            return build(order_type=OrderType.MARKET)
        if draw < 0.6:
            return build(limit_price=_like(ask * Decimal("1.0005"), ask))
        return build(limit_price=_like(bid * Decimal("0.998"), bid))

    async def _cancel_oldest(self) -> None:
        if len(self._resting) <= RESTING_MAX:
            return
        try:
            await self._orders.call(CancelIntent(intent_id=self._resting.popleft()), timeout_s=2.0)
        except (Refused, ActorDead, CallTimeout):
            return  # it filled meanwhile, or what becomes of it is being found out

    def _schedule(self, delay_s: float) -> None:
        self.send_after(delay_s, _Trade())


def _like(price: Decimal, model: Decimal) -> Decimal:
    """The price with as many decimals as `model`, which came from the venue's book."""
    return price.quantize(model, rounding=ROUND_DOWN)


def _stepped(qty: Decimal, step: Decimal) -> Decimal:
    return qty.quantize(step, rounding=ROUND_DOWN)
