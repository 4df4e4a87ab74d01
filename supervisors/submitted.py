"""What submitting gives back: a handle on an order that is durable."""

from allstop.actors.commands import CancelIntent, GetOrder, OrderView
from allstop.actors.reports import WriteOutcome
from allstop.actors.runtime import Ref

SUBMIT_TIMEOUT_S = 5.0  # until the intent is durable; the order goes on when the caller gives up


class Order:
    """A submitted order: a handle on what its tracker knows. Dropping it changes nothing."""

    def __init__(self, orders: Ref, view: OrderView) -> None:
        self._orders = orders
        self.intent = view.intent
        self.view = view

    @property
    def id(self) -> str:
        return self.intent.id

    async def refresh(self, timeout_s: float = 5.0) -> OrderView:
        """What is known now. Raises ActorDead while `orders` is restarting."""
        view: OrderView | None = await self._orders.call(GetOrder(intent_id=self.id), timeout_s=timeout_s)
        if view is not None:
            self.view = view
        return self.view

    async def cancel(self, timeout_s: float = 15.0) -> WriteOutcome:
        """Asks the venue to cancel it. Accepted means that the venue took the cancel, not that the order is over."""
        return await self._orders.call(CancelIntent(intent_id=self.id), timeout_s=timeout_s)
