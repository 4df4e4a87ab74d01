"""WebSocket connections over TCP or TLS. Each is single-shot: supervisors reconnect, sockets do not."""

import asyncio
import functools
import ssl
from collections.abc import Callable
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode

from allstop.actors.ports import ConnectFailed, LinkClosed

# The largest frames a venue sends are snapshots: 1000 book levels are near 100 KiB, a few thousand open orders
# near 2 MiB. A peer that sends more is not the venue we know.
FRAME_BYTES_MAX = 4 * 1024 * 1024
# A burst of a busy book is a few hundred frames. When we fall further behind, reading stops, pongs are no longer
# seen and the ping closes the connection: an actor that cannot keep up loses its link instead of living in the past.
FRAMES_QUEUED_MAX = 1024
# An order frame is under 1 KiB. `send` waits when this much has not left the process.
WRITE_BYTES_MAX = 32 * 1024
CLOSE_SLACK_S = 0.25  # for what the close timeout of the library does not cover


class _Connection(ClientConnection):
    on_traffic: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        # Counted here and not in `receive`, so that pongs and half frames prove a living peer too.
        if self.on_traffic is not None:
            self.on_traffic()
        super().data_received(data)


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        # A redirect would be a second connection that no connect budget has counted.
        return exc


class TcpWebSocket:
    """A WebSocketLink over one TCP connection. Build it with `connect_websocket`."""

    __slots__ = ("_close_timeout_s", "_connection", "_loop", "url")

    def __init__(self, connection: ClientConnection, url: str, close_timeout_s: float) -> None:
        self._connection = connection
        self._close_timeout_s = close_timeout_s
        self._loop = asyncio.get_running_loop()
        self.url = url

    async def send(self, frame: str) -> None:
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise _link_closed(closed) from closed

    async def receive(self) -> str:
        try:
            frame = await self._connection.recv()
        except ConnectionClosed as closed:
            raise _link_closed(closed) from closed
        if isinstance(frame, str):
            return frame
        self.abort()
        raise LinkClosed("the peer sent a binary frame", CloseCode.UNSUPPORTED_DATA)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(self._close_timeout_s + CLOSE_SLACK_S):
                await self._connection.close()
        except TimeoutError:
            pass  # a peer that does not shake hands; the abort below ends it
        finally:
            self.abort()

    def abort(self) -> None:
        self._connection.transport.abort()

    def __del__(self) -> None:
        # A killed actor closes nothing, and the loop alone would keep the connection alive and answer its pings.
        # The collector may run in any thread.
        with suppress(RuntimeError):  # the loop is closed, and its sockets with it
            self._loop.call_soon_threadsafe(self._connection.transport.abort)


async def connect_websocket(
    url: str,
    *,
    open_timeout_s: float = 5.0,
    ping_interval_s: float = 5.0,
    ping_timeout_s: float = 5.0,
    close_timeout_s: float = 0.5,
    on_traffic: Callable[[], None] | None = None,
) -> TcpWebSocket:
    """One connection to a ws:// or wss:// address; raises ConnectFailed.

    A peer that has gone silent is noticed after at most ping interval + ping timeout + close timeout. `on_traffic`
    is called for everything that arrives, pongs included. Proxies of the environment are not used.
    """

    def create(*args: object, **kwargs: object) -> _Connection:
        connection = _Connection(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        connection.on_traffic = on_traffic
        return connection

    try:
        connection = await _Connect(
            url,
            ssl=_certificates() if url.startswith("wss:") else None,
            proxy=None,
            compression=None,  # frames are small, and inflating them costs more than it saves
            open_timeout=open_timeout_s,
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            close_timeout=close_timeout_s,
            max_size=FRAME_BYTES_MAX,
            max_queue=FRAMES_QUEUED_MAX,
            write_limit=WRITE_BYTES_MAX,
            create_connection=create,  # pyright: ignore[reportArgumentType]
        )
    except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
        answered = isinstance(error, WebSocketException)
        reached = answered or isinstance(error, TimeoutError | ssl.SSLError)
        raise ConnectFailed(f"{url}: {_said(error)}", answered=answered, reached=reached) from error
    return TcpWebSocket(connection, url, close_timeout_s)


def _link_closed(closed: ConnectionClosed) -> LinkClosed:
    close = closed.rcvd or closed.sent
    return LinkClosed(_said(closed), CloseCode.ABNORMAL_CLOSURE if close is None else int(close.code))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Loading the certificates takes tens of milliseconds of the loop: once per process, not once per reconnect.
    return ssl.create_default_context()
