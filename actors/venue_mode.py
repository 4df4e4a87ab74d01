"""What the venue says that it does now, for those who read it in passing. The session is its one writer."""

from typing import Final

# Kraken's words. In the others orders may stand, and nothing trades: a stop that is reached does not trigger.
MATCHING: Final = frozenset({"online", "limit_only", "reduce_only"})


class VenueMode:
    """One per account. What was told last stands until the venue tells otherwise; "": it has told nothing yet, which
    speaks for nothing."""

    def __init__(self) -> None:
        self.status = ""

    @property
    def matches(self) -> bool:
        """Orders are matched, for all that is known."""
        return not self.status or self.status in MATCHING
