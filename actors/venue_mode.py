"""What the venue says that it does now, for those who read it in passing. The session is its one writer."""

from typing import Final

# Kraken's words. In the others orders may stand, and nothing trades: a stop that is reached does not trigger.
MATCHING: Final = frozenset({"online", "limit_only", "reduce_only"})
# In these an order is answered by EService:Unavailable, which does not say that it was not placed.
CLOSED: Final = frozenset({"maintenance", "work_in_progress"})


class VenueMode:
    """One per account. What was told last stands until the venue tells otherwise; "": it has told nothing yet, which
    speaks for nothing."""

    def __init__(self) -> None:
        self.status = ""

    @property
    def matches(self) -> bool:
        """Orders are matched, for all that is known."""
        return not self.status or self.status in MATCHING


class AlwaysTraded:
    """A PairTrading of a venue that is always there."""

    def matches(self, pair: str) -> bool:
        del pair
        return True

    def takes(self, pair: str) -> bool:
        del pair
        return True

    async def taken(self, pair: str) -> None:
        del pair
