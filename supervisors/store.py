"""The supervisor of an account's store: when one of its children is down for good, it says so to those who go on without.

A store stops nobody over a child that gave up (RULES.md: nothing is stopped in order to halt): what is left can still
cancel and protect, by the emergency rules of ledger and egress. They must not follow those rules for an actor that is
only being restarted, so who is given up is written on a board.
"""

from collections.abc import Hashable, Iterable
from typing import Any

from allstop.actors.spec import ChildSpec, SupervisorFlags
from allstop.actors.store_board import StoreBoard
from allstop.supervisors.supervisor import Supervisor
from allstop.supervisors.votes import Votes


class Store(Supervisor):
    """As a Supervisor whose `on_exceeded` is LATCH; `board` is its account's."""

    def __init__(
        self,
        flags: SupervisorFlags,
        children: Iterable[ChildSpec] = (),
        *,
        votes: Votes | None,
        board: StoreBoard,
    ) -> None:
        super().__init__(flags, children, votes=votes)
        self._store_board = board

    def on_start(self) -> Any:
        self._store_board.starts()
        return super().on_start()

    def latch(self, offender: Hashable, error: BaseException) -> None:
        self._store_board.gave_up(self.child_path(offender))
        super().latch(offender, error)
