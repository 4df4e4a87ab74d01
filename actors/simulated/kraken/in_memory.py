"""The simulated Kraken without sockets, for trees that run in virtual time: the same faces over links in memory."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, Self

from allstop.actors.clock import Clock
from allstop.actors.ports import (
    ConnectFailed,
    HttpAnswer,
    HttpHandler,
    HttpNoReply,
    HttpRequest,
    HttpResponse,
    LinkClosed,
    WebSocketLink,
)
from allstop.actors.simulated.kraken.faults import CallPlan
from allstop.actors.simulated.kraken.rest import Answer, Request
from allstop.actors.simulated.kraken.shell import TICK_S, Shell
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.venue import KrakenVenue

IP = "10.0.0.1"  # all clients in memory share one address, as one host's do


class ServedLink(WebSocketLink, Protocol):
    """The server's end of a connection in memory."""

    def post(self, frame: str) -> bool:
        """`send` where it need not wait; where it would have to: False, with nothing sent."""
        ...


class Network(Protocol):
    """Where in-memory clients meet their servers: links.memory_link.MemoryNetwork is one."""

    def serve_websocket(
        self, url: str, handler: Callable[[ServedLink, Any], Awaitable[None]], enter: Callable[[], Any], /
    ) -> None: ...

    def serve_http(self, base_url: str, handler: HttpHandler, /) -> None: ...


class InMemoryKraken(Shell):
    """Serves a venue on a network in memory: `async with InMemoryKraken(venue, clock=clock) as kraken`, then
    `kraken.serve_on(network)`. Time is the clock's and the loop's, so both must be of the same world."""

    gone = (LinkClosed,)

    def __init__(
        self,
        venue: KrakenVenue,
        *,
        clock: Clock,
        speed: float = 1.0,
        http_url: str = "http://kraken.simulated",
        ws_url: str = "ws://kraken.simulated/v2",
        ws_auth_url: str = "ws://auth.kraken.simulated/v2",
    ) -> None:
        super().__init__(venue, clock=clock, speed=speed)
        self.http_url, self.ws_url, self.ws_auth_url = http_url, ws_url, ws_auth_url
        self._context = contextvars.copy_context()  # whoever asks for something may die: our time goes on
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_s = 0.0

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    # -- time: it is told when it matters, and not twenty times a second ------------------------------------------

    def begin_time(self) -> None:
        self._context = contextvars.copy_context()
        self._await_time()

    async def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await super().end()

    def flush(self) -> None:
        super().flush()
        self._await_time()

    def _await_time(self) -> None:
        """A timer for the next moment at which time alone does something. One that comes too early looks again."""
        at = self.at()
        due_s = self.venue.due_s(at)
        if due_s is None:
            return
        wait_s = max(due_s, self._ticked_s + TICK_S) - at.now_s
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + wait_s:
                return
            self._timer.cancel()
        self._timer = loop.call_later(wait_s, self._time_passed, context=self._context)

    def _time_passed(self) -> None:
        self._timer = None
        at = self.at()
        self._ticked_s = at.now_s
        self.venue.tick(at)
        self.flush()

    def serve_on(self, network: Network) -> None:
        """Answers at its three addresses of this network."""
        network.serve_http(self.http_url, self.handle_http)
        network.serve_websocket(self.ws_url, self.handle, lambda: self.enter(private=False))
        network.serve_websocket(self.ws_auth_url, self.handle, lambda: self.enter(private=True))

    def handle_http(self, request: HttpRequest) -> HttpAnswer:
        """One REST exchange: at once, where no fault holds it back. Raises HttpNoReply where the venue drops the
        connection."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(method=request.method, path=request.path, headers=headers, body=request.body, ip=IP)
        plan = self.planned(asked)
        if plan.delay_before_s or plan.delay_after_s:
            return self._late(asked, plan)
        return _told(self.answered(asked, plan))

    async def _late(self, request: Request, plan: CallPlan) -> HttpResponse:
        return _told(await self.answered_late(request, plan))

    def enter(self, *, private: bool) -> Connection:
        """The handshake of a WebSocket. Raises ConnectFailed when it is refused."""
        at = self.at()
        connection = self.venue.ws_open(private=private, ip=IP, at=at)
        if connection is None:
            refusal = self.venue.refusal(IP, at)
            raise ConnectFailed(f"server rejected WebSocket connection: HTTP {refusal}", answered=True)
        return connection

    async def handle(self, link: ServedLink, connection: Connection) -> None:
        """One WebSocket that was let in, until it is gone."""
        await self.talk(connection, _frames(link), link.send, link.abort, link.post)


def _told(answer: Answer | None) -> HttpResponse:
    if answer is None:
        raise HttpNoReply("the server closed the connection without an answer")
    return HttpResponse(status=answer.status, headers=answer.headers, body=answer.body)


async def _frames(link: WebSocketLink) -> AsyncIterator[str]:
    while True:
        yield await link.receive()
