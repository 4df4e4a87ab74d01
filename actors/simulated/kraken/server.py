"""The simulated Kraken on loopback sockets: REST, both WebSocket faces, and an admin port for faults and the truth."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as WsRequest
from websockets.http11 import Response as WsResponse

from allstop.actors.clock import Clock, SystemClock
from allstop.actors.simulated.kraken import admin
from allstop.actors.simulated.kraken.http_server import HttpServer
from allstop.actors.simulated.kraken.recording import read_tape
from allstop.actors.simulated.kraken.rest import Answer, Request
from allstop.actors.simulated.kraken.shell import Shell
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.tape import TapeFrame
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings

FRAME_MAX = 1024 * 1024  # the largest request, a batch of 50 cancels, is under 8 KiB
CLOSE_S = 0.5
FEED = "v2_book10_btcusd_2023-07-30_part1.ndjson"


def packaged_tape() -> tuple[TapeFrame, ...]:
    """The recording that comes with the package."""
    text = (files("allstop.actors.simulated.kraken") / "feed" / FEED).read_text(encoding="utf-8")
    return read_tape(text.splitlines())


def tape_from(path: Path) -> tuple[TapeFrame, ...]:
    """The tape in a file. Raises TapeError or OSError."""
    with path.open(encoding="utf-8") as lines:
        return read_tape(lines)


class KrakenServer(Shell):
    """Serves one venue until it is closed: `async with KrakenServer() as server`, then `server.http_url` and so on.

    `port` is the first of four in a row (REST, public and private WebSocket, admin); 0 takes any that are free.
    """

    gone = (ConnectionClosed,)

    def __init__(
        self,
        venue: KrakenVenue | None = None,
        *,
        feed: Sequence[TapeFrame] | Path | None = None,
        settings: Settings | None = None,
        speed: float = 1.0,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        if venue is None:
            tape = (
                tape_from(feed) if isinstance(feed, Path) else feed if feed is not None else packaged_tape()
            )
            venue = KrakenVenue(settings, tape, wall_ns=clock.wall_ns())
        super().__init__(venue, clock=clock, speed=speed)
        self.http_url = self.ws_url = self.ws_auth_url = self.admin_url = ""
        self._ports = [port + n if port else 0 for n in range(4)]
        self._http = HttpServer(self.exchange)
        self._admin = HttpServer(self._serve_admin)
        self._ws: list[Server] = []
        self._opened: dict[ServerConnection, Connection] = {}

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except OSError:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        http, ws, ws_auth, admin_port = self._ports
        self.http_url = f"http://127.0.0.1:{await self._http.start(http)}"
        self.ws_url = f"ws://127.0.0.1:{await self._listen(ws, private=False)}/v2"
        self.ws_auth_url = f"ws://127.0.0.1:{await self._listen(ws_auth, private=True)}/v2"
        self.admin_url = f"http://127.0.0.1:{await self._admin.start(admin_port)}"
        self.begin()

    async def stop(self) -> None:
        """Closes every socket and ends every task."""
        for server in self._ws:
            server.close()
        await self.end()
        await self._http.stop()
        await self._admin.stop()
        for server in self._ws:
            await server.wait_closed()

    def urls(self) -> dict[str, str]:
        return {
            "http_url": self.http_url,
            "ws_url": self.ws_url,
            "ws_auth_url": self.ws_auth_url,
            "admin_url": self.admin_url,
        }

    async def _serve_admin(self, request: Request) -> Answer:
        answer = admin.answered(self, request, self.at())
        self.flush()
        return answer

    async def _listen(self, port: int, *, private: bool) -> int:
        def enter(socket: ServerConnection, request: WsRequest) -> WsResponse | None:
            if request.path.split("?")[0] != "/v2":
                return socket.respond(HTTPStatus.NOT_FOUND, "no such path: this venue speaks /v2\n")
            peer = socket.remote_address
            ip, at = peer[0] if peer else "", self.at()
            connection = self.venue.ws_open(private=private, ip=ip, at=at)
            if connection is None:
                status = HTTPStatus(self.venue.refusal(ip, at))
                banned = status is HTTPStatus.TOO_MANY_REQUESTS
                return socket.respond(status, "error code: 1015\n" if banned else "no available server\n")
            self._opened[socket] = connection
            return None

        async def converse(socket: ServerConnection) -> None:
            await self.talk(self._opened.pop(socket), _frames(socket), socket.send, socket.transport.abort)

        server = await serve(
            converse,
            "127.0.0.1",
            port,
            process_request=enter,
            max_size=FRAME_MAX,
            ping_interval=None,  # Kraken sends heartbeats on its channel, no pings
            close_timeout=CLOSE_S,
            compression=None,
        )
        self._ws.append(server)
        return next(iter(server.sockets)).getsockname()[1]


async def _frames(socket: ServerConnection) -> AsyncIterator[str]:
    async for frame in socket:
        yield frame if isinstance(frame, str) else frame.decode(errors="replace")
