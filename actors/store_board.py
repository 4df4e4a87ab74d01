"""What is known of an account's store beside its actors: who of them is down for good, and how far its keys are used.

The store's supervisor writes the first, the ledger the second; both are read in passing. What the board holds outlives
the actors, because what is done without them has to begin where they ended.
"""

from allstop.actors.key_turns import KeyTurns
from allstop.actors.runtime import Ref


class StoreBoard:
    """One per account, made when the tree is built."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyTurns] = {}  # of the latest ledger, as it works
        self._gave_up: set[str] = set()

    def gave_up(self, path: str) -> None:
        """By the store's supervisor: nobody is started at this path again."""
        self._gave_up.add(path)

    def starts(self) -> None:
        """By the store's supervisor: what an earlier store gave up is started again."""
        self._gave_up.clear()

    def lost(self, ref: Ref) -> bool:
        """Whether the actor at this address is down, and stays so: not one that is only being restarted."""
        return ref.path in self._gave_up and not ref.is_alive()
