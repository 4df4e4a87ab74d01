"""WebSockets and HTTP without sockets: the same promises, against handlers, with faults to order.

A `MemoryNetwork` is where clients and handlers meet. Times are the running loop's, so that virtual time moves them.
What is on its way, and the handlers, run in the network's context, not in their client's: a client can die between two
steps, and what it has sent is carried out all the same.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from allstop.actors.clock import Dice, SeededDice
from allstop.actors.links.condition import Way
from allstop.actors.links.memory_http import MemoryHttp, NetworkFaults
from allstop.actors.links.memory_wire import MemoryLink, Wire
from allstop.actors.ports import ConnectFailed, HttpHandler, LinkClosed

FRAMES_QUEUED_MAX = 1024  # as the TCP link has; a peer that falls further behind loses the connection
ABNORMAL, GOING_AWAY, NORMAL = 1006, 1001, 1000  # RFC 6455, section 7.4.1

WebSocketHandler = Callable[["MemoryWebSocket"], Awaitable[None]]


class MemoryWebSocket:
    """One end of a WebSocket in memory: a WebSocketLink. `memory_pair` makes both ends."""

    def __init__(self, silent_after_s: float, on_traffic: Callable[[], None] | None = None) -> None:
        self.peer: MemoryWebSocket = self  # memory_pair says who
        self.half_open = False  # True: what is sent goes nowhere, and no one is told
        self.corrupt_next: Callable[[str], str] | None = None  # applied once to a frame on its way out
        self.wire: Wire | None = None  # what it sends goes through it; None: straight to the peer
        self.yields = True  # others have their turn after each frame that is sent
        self.leave: Callable[[], None] | None = None  # off the link that both wires are of
        self._silent_after_s = silent_after_s
        self._on_traffic = on_traffic
        self._frames: deque[str] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed: LinkClosed | None = None
        self._silence: asyncio.TimerHandle | None = None

    async def send(self, frame: str) -> None:
        self._put(frame)
        if self.wire is not None and self.wire.full:
            await self.wire.room()
        if self.yields:
            await asyncio.sleep(0)

    def post(self, frame: str) -> bool:
        """`send` where it need not wait; where it would have to: False, with nothing sent."""
        if self.wire is not None and self.wire.full:
            return False
        self._put(frame)
        return True

    def _put(self, frame: str) -> None:
        if self._closed is not None:
            raise LinkClosed(self._closed.reason, self._closed.code)
        if self.half_open:
            return
        if self.corrupt_next is not None:
            frame, self.corrupt_next = self.corrupt_next(frame), None
        if self.wire is None:
            self.peer._arrive(frame)
        else:
            self.wire.put(frame)

    async def receive(self) -> str:
        while not self._frames:
            if self._closed is not None:
                raise LinkClosed(self._closed.reason, self._closed.code)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._frames.popleft()

    async def close(self) -> None:
        self._go(LinkClosed("closed here", NORMAL), LinkClosed("closed by the peer", NORMAL), reset=False)
        await asyncio.sleep(0)

    def abort(self) -> None:
        self._go(LinkClosed("aborted here", ABNORMAL), LinkClosed("reset by the peer", ABNORMAL), reset=True)

    def _go(self, here: LinkClosed, there: LinkClosed, *, reset: bool) -> None:
        if self.wire is not None and self._closed is None:
            self.wire.carry_end(there, reset=reset)
        elif self.wire is None and not self.half_open:
            self.peer._end(there)
        self._end(here)

    def cut(self) -> None:
        """Both ends lose the connection at once."""
        for end in (self, self.peer):
            end._end(LinkClosed("the connection was cut", ABNORMAL))

    def fall_silent(self) -> None:
        """Nothing passes any more, either way, and nobody is told. The pings notice, as they would on TCP."""
        for end in (self, self.peer):
            if not end.half_open:
                end.half_open = True
                end._silence = asyncio.get_running_loop().call_later(
                    end._silent_after_s, end._end, LinkClosed("no answer to a ping", ABNORMAL)
                )

    def pings(self, answered: bool) -> None:
        """Whether the peer answers from now on. Where it does not, this end gives up in time."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if not answered and self._closed is None:
            self._silence = asyncio.get_running_loop().call_later(
                self._silent_after_s, self._end, LinkClosed("no answer to a ping", ABNORMAL)
            )

    @property
    def closed(self) -> bool:
        return self._closed is not None

    def forsake(self, *, silent: bool = False) -> None:
        """This end is gone without a word, with the process that held it: the peer is told of a reset, or (`silent`)
        of nothing, as by a machine without power; its own pings notice. Nothing reaches this end any more."""
        peer = self.peer
        peer.peer = peer
        peer.half_open = True
        if self.leave is not None:
            self.leave()
        if self._silence is not None:
            self._silence.cancel()
        if not silent:
            peer._end(LinkClosed("reset by the peer", ABNORMAL))

    def _arrive(self, frame: str) -> None:
        if self._closed is not None:
            return
        if len(self._frames) >= FRAMES_QUEUED_MAX:
            self.cut()
            return
        self._frames.append(frame)
        if self._on_traffic is not None:
            self._on_traffic()
        self._wake()

    def _end(self, closed: LinkClosed) -> None:
        if self._closed is None:
            self._closed = closed
            if self._silence is not None:
                self._silence.cancel()
            if self.leave is not None and self.peer._closed is not None:
                self.leave()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def memory_pair(
    silent_after_s: float = 10.5, on_traffic: Callable[[], None] | None = None
) -> tuple[MemoryWebSocket, MemoryWebSocket]:
    """The client's end and the server's end of one connection."""
    client, server = MemoryWebSocket(silent_after_s, on_traffic), MemoryWebSocket(silent_after_s)
    client.peer, server.peer = server, client
    server.yields = False  # a venue writes what it has to say at once
    return client, server


def wired_pair(
    link: MemoryLink, silent_after_s: float, on_traffic: Callable[[], None] | None
) -> tuple[MemoryWebSocket, MemoryWebSocket]:
    """The same over a link that may do wrong."""
    client, server = memory_pair(silent_after_s, on_traffic)

    # Through the server's end always: the client's may be gone, with the process that held it.
    def arrive(frame: str) -> None:
        if not server.half_open:
            server.peer._arrive(frame)  # pyright: ignore[reportPrivateUsage]

    def end(closed: LinkClosed) -> None:
        if not server.half_open:
            server.peer._end(closed)  # pyright: ignore[reportPrivateUsage]

    cut = server.cut
    up = client.wire = link.wired(Way.UP, server._arrive, server._end, cut)  # pyright: ignore[reportPrivateUsage]
    down = server.wire = link.wired(Way.DOWN, arrive, end, cut)
    client.leave = server.leave = lambda: link.gone(cut, up, down)
    link.stands(cut, client.pings)
    return client, server


class MemoryNetwork:
    """Routes connections to handlers by address."""

    def __init__(self, dice: Dice | None = None) -> None:
        self.faults = NetworkFaults()
        self._dice = dice or SeededDice("network")
        self._links: dict[str, MemoryLink] = {}  # by address
        self._websockets: dict[str, tuple[Callable[..., Awaitable[None]], Callable[[], object] | None]] = {}
        self._https: dict[str, HttpHandler] = {}
        self._connections: dict[MemoryWebSocket, None] = {}  # clients' ends that are open
        self._serving: dict[asyncio.Task[Any], None] = {}
        self.context = contextvars.copy_context()

    def serve_websocket(
        self, url: str, handler: Callable[..., Awaitable[None]], enter: Callable[[], object] | None = None
    ) -> None:
        """`handler` runs for each connection with the server's end; when it returns, the connection closes. `enter` is
        the handshake: it raises ConnectFailed to refuse, and what it returns the handler gets too."""
        self._websockets[url] = (handler, enter)

    def serve_http(self, base_url: str, handler: HttpHandler) -> None:
        self._https[base_url] = handler

    def link(self, *urls: str) -> MemoryLink:
        """One link for all connections to these addresses that are made from now on. It is whole until told."""
        link = MemoryLink(self._dice)
        self._links.update(dict.fromkeys(urls, link))
        return link

    async def connect_websocket(
        self,
        url: str,
        *,
        open_timeout_s: float = 5.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        close_timeout_s: float = 0.5,
        on_traffic: Callable[[], None] | None = None,
    ) -> MemoryWebSocket:
        """A WebSocketConnector."""
        await asyncio.sleep(min(self.faults.delay_s, open_timeout_s))
        served = self._websockets.get(url)
        if self.faults.refuse_connects or served is None:
            raise ConnectFailed(f"{url}: connection refused", reached=False)
        if self.faults.delay_s > open_timeout_s:
            raise ConnectFailed(f"{url}: timed out during opening handshake")
        link = self._links.get(url)
        if link is not None:
            await link.opened(url, open_timeout_s)
        handler, enter = served
        entered = () if enter is None else (enter(),)
        silent_after_s = ping_interval_s + ping_timeout_s + close_timeout_s
        client, server = (
            memory_pair(silent_after_s, on_traffic)
            if link is None
            else wired_pair(link, silent_after_s, on_traffic)
        )
        for end in [end for end in self._connections if end.closed]:
            del self._connections[end]
        self._connections[client] = None
        self.run(_serve(handler, server, entered))
        return client

    def forget(self, client: MemoryWebSocket) -> None:
        """Of an end that nobody holds any more."""
        self._connections.pop(client, None)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of the network's own."""
        task = asyncio.get_running_loop().create_task(coroutine, context=self.context)
        self._serving[task] = None
        task.add_done_callback(self._served, context=self.context)
        return task

    def _served(self, task: asyncio.Task[Any]) -> None:
        del self._serving[task]

    def open_http(self, base_url: str, *, max_connections: int = 4) -> MemoryHttp:
        """An HttpOpener."""
        return MemoryHttp(self, base_url, max_connections, self._links.get(base_url))

    def handler(self, base_url: str) -> HttpHandler | None:
        return None if self.faults.refuse_connects else self._https.get(base_url)

    def cut_websockets(self) -> None:
        for end in self._connections:
            end.cut()

    def silence_websockets(self) -> None:
        for end in self._connections:
            end.fall_silent()

    def corrupt_next_frame(self, change: Callable[[str], str]) -> None:
        """The next frame that each connected client receives is changed on its way."""
        for end in self._connections:
            end.peer.corrupt_next = change

    async def close(self) -> None:
        """Cuts everything and ends the handlers."""
        self.cut_websockets()
        for serving in list(self._serving):
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _serve(
    handler: Callable[..., Awaitable[None]], server: MemoryWebSocket, entered: tuple[object, ...]
) -> None:
    try:
        await handler(server, *entered)
    except LinkClosed:
        pass  # the client has gone, which ends a handler
    finally:
        await server.close()
