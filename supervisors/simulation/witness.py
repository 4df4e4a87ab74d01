"""Who is told of what passes between the engine and its world: what is written into the trace, and at which points of its
work the engine is, for whoever waits for one of them.
"""

import asyncio

from allstop.actors.ports import HttpRequest, HttpResponse, JournalRow

POINTS = ("commit", "committing", "committed", "intended", "send", "sent", "ordered", "receive")


class Witness:
    """Sees everything and keeps nothing. A run overrides what it wants to write down."""

    marks = False  # whether a frame of the public side may mean something to whoever looks on

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    # -- points ------------------------------------------------------------------------------------------------------

    async def moment(self, point: str) -> None:
        """Waits until the engine comes to this point: "commit" (about to), "committed",
        "intended" (an intent was), "send" (about to), "sent",
        "ordered" (a new order was sent), "receive"; or until its disk does: "committing kraken.main" (that chain's rows are on their way to it)."""
        if point.partition(" ")[0] not in POINTS:
            raise ValueError(f"no point {point!r}; there are {', '.join(POINTS)}")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(point, []).append(waiter)
        try:
            await waiter
        finally:
            waiters = self._waiting.get(point)
            if waiters and waiter in waiters:
                waiters.remove(waiter)

    def reached(self, point: str) -> None:
        """The engine is at this point now."""
        if self._waiting:
            for waiter in self._waiting.pop(point, ()):
                if not waiter.done():
                    waiter.set_result(None)

    # -- what passes -------------------------------------------------------------------------------------------------

    def frame(self, url: str, way: str, frame: str) -> None:
        """The engine sent (>) or received (<) a frame."""

    def numbered(self, connection: int, url: str, frame: str) -> None:
        """The engine received a frame with a number in it, over the connection of this number."""

    def marked(self, frame: str) -> None:
        """The engine received a frame, while `marks`."""

    def requested(self, base_url: str, request: HttpRequest) -> None:
        """The engine wrote a request."""

    def responded(self, base_url: str, request: HttpRequest, response: HttpResponse) -> None:
        """The engine got the whole answer to one."""

    def unanswered(self, base_url: str, request: HttpRequest) -> None:
        """One ended without an answer, or was never written."""

    def lost(self, chain: str) -> None:
        """A commit failed: the chain takes no more."""

    def stored(self, chain: str, rows: list[JournalRow], durable: bool) -> None:
        """Rows were written to the disk; `durable`: and flushed."""

    def left(self, chain: str, rows: list[JournalRow]) -> None:
        """The power went, and these rows, of which no flush was ever told, are on the disk."""

    def damaged(self, chain: str, row: JournalRow) -> None:
        """A row that was written is another from now on; this is how it was."""

    def replaced(self, chain: str, file: str, rows: list[JournalRow]) -> None:
        """A broken chain was set aside under `file`, and these rows stand in its place."""
