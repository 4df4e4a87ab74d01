"""HTTP without sockets: a client of handlers on a network in memory, and each exchange on its way."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from allstop.actors.links.condition import Way
from allstop.actors.links.memory_wire import Flight, MemoryLink
from allstop.actors.ports import (
    HttpAnswer,
    HttpHandler,
    HttpNoReply,
    HttpNotSent,
    HttpRequest,
    HttpResponse,
    response_of,
)

HEAD_BYTES = 400  # the headers of a request or an answer, about


class NetworkFaults:
    """What goes wrong on a MemoryNetwork. Counts are used up one by one."""

    def __init__(self) -> None:
        self.refuse_connects = False
        self.delay_s = 0.0  # each way of an HTTP exchange, and of opening a WebSocket
        self.lose_requests = 0  # written, but they never arrive: no reply
        self.lose_replies = 0  # the handler runs, its answer is lost
        self.requests_sent = 0  # counted, for tests that prove that nothing was sent


class Network(Protocol):
    """What exchanges run on: memory_link.MemoryNetwork is one."""

    faults: NetworkFaults
    context: contextvars.Context

    def handler(self, base_url: str) -> HttpHandler | None: ...

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]: ...


class MemoryHttp:
    """An HttpLink to a handler on a MemoryNetwork. Build it with `MemoryNetwork.open_http`."""

    def __init__(
        self, network: Network, base_url: str, max_connections: int, link: MemoryLink | None = None
    ) -> None:
        self._link = link
        self._network = network
        self._base_url = base_url
        self._slots = asyncio.Semaphore(max_connections)
        self._exchanges: dict[_Exchange, None] = {}
        self._closed = False

    async def request(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        pool_timeout_s: float = 0.05,
        before_send: Callable[[], None] | None = None,
    ) -> HttpResponse:
        if not self._slots.locked():
            await self._slots.acquire()  # at once
        else:
            try:
                async with asyncio.timeout(pool_timeout_s):
                    await self._slots.acquire()
            except TimeoutError:
                raise HttpNotSent(f"no connection slot came free within {pool_timeout_s} s") from None
        flight: Flight | None = None
        try:
            handler = self._network.handler(self._base_url)
            if self._closed or handler is None:
                raise HttpNotSent("the client is closed" if self._closed else "connection refused")
            await asyncio.sleep(0)
            flight = None if self._link is None else self._link.flight()
            if before_send is not None:
                before_send()
        except BaseException:
            if flight is not None:
                flight.land()
            self._slots.release()
            raise
        # From here on the request counts as written, and its handler runs whether or not anyone waits for it.
        exchange = _Exchange(self, self._network, flight, handler, request, timeout_s)
        self._exchanges[exchange] = None
        exchange.begin()
        timer = asyncio.get_running_loop().call_later(timeout_s, exchange.late)
        try:
            return await exchange.reply
        finally:
            exchange.awaited = False
            timer.cancel()

    async def close(self) -> None:
        self._closed = True
        for exchange in list(self._exchanges):
            exchange.failed(HttpNoReply("the client was closed"))
            exchange.end()
        await asyncio.sleep(0)

    def forsake(self) -> None:
        """The client is gone without a word, with the process that held it. What it has sent is carried out, and
        nobody is there for the answers."""
        for exchange in self._exchanges:
            exchange.client = None

    @property
    def over_and_done(self) -> bool:
        """Closed, and nothing of it is on its way any more."""
        return self._closed and not self._exchanges

    def over(self, exchange: "_Exchange") -> None:
        del self._exchanges[exchange]
        self._slots.release()


class _Exchange:
    """One request on its way. It belongs to the network: its client may be gone before it ends.

    On a link that is whole, with a handler that answers at once, it is two timers; only what waits on its way is a task.
    """

    def __init__(
        self,
        client: MemoryHttp,
        network: Network,
        flight: Flight | None,
        handler: HttpHandler,
        request: HttpRequest,
        timeout_s: float,
    ) -> None:
        self.client: MemoryHttp | None = client
        self.awaited = True
        self.reply: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        self._network = network
        self._flight = flight
        self._handler = handler
        self._request = request
        self._timeout_s = timeout_s
        self._under_way: asyncio.TimerHandle | asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._network.faults.requests_sent += 1
        self._after(self._arrived)

    def end(self) -> None:
        """It goes no further."""
        if self._under_way is not None:
            self._under_way.cancel()
        if not isinstance(self._under_way, asyncio.Task):
            self._over()

    def late(self) -> None:
        self.failed(HttpNoReply(f"no whole answer within {self._timeout_s} s"))

    def failed(self, error: Exception) -> None:
        if self.client is not None and not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # the caller has it, or has gone away

    def _after(self, step: Callable[..., None], *args: object) -> None:
        network = self._network
        self._under_way = asyncio.get_running_loop().call_later(
            network.faults.delay_s, step, *args, context=network.context
        )

    def _arrived(self) -> None:
        if self._network.faults.lose_requests > 0 or not self._plain:
            self._waits(self._carried_on(None))
            return
        try:
            answer = self._handler(self._request)
        except Exception as error:  # noqa: BLE001 - the client's to handle, HttpNoReply above all
            self._ended(error)
            return
        if isinstance(answer, HttpResponse) and self._plain:
            self._after(self._answered, answer)
        else:
            self._waits(self._carried_on(answer))

    def _answered(self, response: HttpResponse) -> None:
        faults = self._network.faults
        if faults.lose_replies > 0:
            faults.lose_replies -= 1
            self._ended(HttpNoReply("the server closed the connection without an answer"))
            return
        if self.client is not None and not self.reply.done():
            self.reply.set_result(response)
        self._over()

    def _ended(self, error: Exception) -> None:
        self.failed(error)
        self._over()

    def _over(self) -> None:
        self._under_way = None  # which leads back here
        if self._flight is not None:
            self._flight.land()
        if self.client is not None:
            self.client.over(self)

    @property
    def _plain(self) -> bool:
        return self._flight is None or self._flight.plain

    @property
    def _wanted(self) -> bool:
        return self.client is not None and self.awaited

    # -- what takes its time -----------------------------------------------------------------------------------------

    def _waits(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._under_way = self._network.run(coroutine)

    async def _carried_on(self, answer: HttpAnswer | None) -> None:
        """From where it is: there, or (`answer`) answered."""
        try:
            response = await self._carried(answer)
        except asyncio.CancelledError:
            self._ended(HttpNoReply("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - the client's to handle, HttpNoReply above all
            self._ended(error)
        else:
            self._answered(response)

    async def _carried(self, answer: HttpAnswer | None) -> HttpResponse:
        faults, flight = self._network.faults, self._flight
        if answer is None:
            if faults.lose_requests > 0:
                faults.lose_requests -= 1
                await asyncio.sleep(self._timeout_s)
                raise HttpNoReply("ReadTimeout")
            took = flight is not None and await flight.carried(Way.UP, _size(self._request))
            if took and not self._wanted:
                # Its client closed the connection before all of it was there: a server drops half a request.
                raise HttpNoReply("the connection was closed")
            answer = self._handler(self._request)
        response = await response_of(answer)
        if flight is not None:
            await flight.carried(Way.DOWN, len(response.body) + HEAD_BYTES)
        await asyncio.sleep(faults.delay_s)
        return response


def _size(request: HttpRequest) -> int:
    return len(request.path) + len(request.body) + HEAD_BYTES
