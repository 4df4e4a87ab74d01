"""What code written for pykka finds in an Actor: its ref, its URN and its mailbox, asked of the incarnation; and what
pykka does on a thread of its own and the system does here, refused."""

from typing import TYPE_CHECKING, Any

import pykka

from allstop.actors.runtime.future import Future

if TYPE_CHECKING:
    from allstop.actors.runtime.cell import Cell


class PykkaActor(pykka.Actor):
    """pykka's side of an Actor (actor.py), which is its only subclass."""

    _cell: "Cell"

    @property
    def actor_ref(self) -> Any:
        return self._cell.ref

    @property
    def _actor_ref(self) -> Any:  # type: ignore[override]
        return self._cell.ref

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        return self._cell.ref.actor_urn

    @property
    def actor_inbox(self) -> Any:  # type: ignore[override]
        return self._cell.ref

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        return self._cell.ref.actor_stopped

    @classmethod
    def start(cls, *_args: Any, **_kwargs: Any) -> Any:
        """Not here: pykka starts actors into a global registry, and returns before they have started."""
        raise RuntimeError(f"use `await system.spawn({cls.__name__}, ...)`")

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise RuntimeError("the system makes mailboxes")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        raise RuntimeError("the system runs actors")
