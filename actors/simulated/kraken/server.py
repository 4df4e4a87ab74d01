"""The simulated Kraken on loopback sockets: REST, both WebSocket faces, and an admin port for faults and the truth."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as WsRequest
from websockets.http11 import Response as WsResponse

from allstop.actors.clock import Clock, SystemClock
from allstop.actors.simulated.kraken import admin, rest, stream
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.http_server import HttpServer
from allstop.actors.simulated.kraken.rest import Answer, Request
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.tape import TapeFrame, read_tape
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings

TICK_S = 0.05
LOOP_PAUSE_S = 0.5  # between the last frame of the tape and its first
FRAME_MAX = 1024 * 1024
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


class KrakenServer:
    """Serves one venue until it is closed. Ports: http, ws, ws_auth, admin; 0 takes any."""

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
        self.clock = clock or SystemClock()
        if venue is None:
            tape = (
                tape_from(feed) if isinstance(feed, Path) else feed if feed is not None else packaged_tape()
            )
            venue = KrakenVenue(settings, tape, wall_ns=self.clock.wall_ns())
        self.venue = venue
        self.speed = speed
        self.paused = False
        self.http_url = self.ws_url = self.ws_auth_url = self.admin_url = ""
        self._ports = [port + n if port else 0 for n in range(4)]
        self._http = HttpServer(self._serve_http)
        self._admin = HttpServer(self._serve_admin)
        self._ws: list[Server] = []
        self._opened: dict[ServerConnection, Connection] = {}
        self._wakes: dict[int, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
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
        self._run(self._tick(), "simulated-kraken-tick")
        self._run(self._feed(), "simulated-kraken-feed")

    async def stop(self) -> None:
        """Closes every socket and ends every task."""
        for server in self._ws:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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

    def at(self) -> At:
        return At(self.clock.now_s(), self.clock.wall_ns())

    # -- HTTP ----------------------------------------------------------------------------------------------------

    async def _serve_http(self, request: Request) -> Answer | None:
        plan = self.venue.plan(rest.method_of(request.path))
        if plan.delay_before_s:
            await asyncio.sleep(plan.delay_before_s)
        answer: Answer | None = None
        if plan.execute:
            answer = self.venue.http(request, self.at())
            self._flush()
        if plan.delay_after_s:
            await asyncio.sleep(plan.delay_after_s)
        if plan.http_520:
            return rest.PAGE_520
        if plan.error is not None:
            return rest.enveloped(None, plan.error)
        return None if plan.drop else answer

    async def _serve_admin(self, request: Request) -> Answer:
        answer = admin.answered(self, request, self.at())
        self._flush()
        return answer

    # -- WebSocket -----------------------------------------------------------------------------------------------

    async def _listen(self, port: int, *, private: bool) -> int:
        def enter(connection: ServerConnection, request: WsRequest) -> WsResponse | None:
            if request.path.split("?")[0] != "/v2":
                return connection.respond(HTTPStatus.NOT_FOUND, "no such path: this venue speaks /v2\n")
            peer = connection.remote_address
            opened = self.venue.ws_open(private=private, ip=peer[0] if peer else "", at=self.at())
            if opened is None:
                return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "error code: 1015\n")
            self._opened[connection] = opened
            return None

        server = await serve(
            self._converse,
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

    async def _converse(self, socket: ServerConnection) -> None:
        connection = self._opened.pop(socket)
        wake = self._wakes[connection.number] = asyncio.Event()
        writer = asyncio.create_task(self._write(socket, connection, wake))
        self._tasks.add(writer)
        self._flush()
        try:
            async for text in socket:
                await self._request(connection, text if isinstance(text, str) else text.decode())
        except ConnectionClosed:
            pass  # the client went without a goodbye
        finally:
            self.venue.ws_close(connection, self.at())
            self._wakes.pop(connection.number, None)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._tasks.discard(writer)

    async def _request(self, connection: Connection, text: str) -> None:
        """Answers one request. A delayed one waits by itself, so that those behind it overtake it, as at the venue."""
        plan = self.venue.plan(stream.method_of(text))
        came = self.at()
        if not plan.delay_before_s and not plan.delay_after_s:
            replies = self.venue.ws_frame(connection, text, came) if plan.execute else []
            self._reply(connection, text, plan.error, plan.drop or plan.http_520, replies, came)
            return

        async def later() -> None:
            await asyncio.sleep(plan.delay_before_s)
            replies = self.venue.ws_frame(connection, text, self.at())
            if plan.delay_after_s:
                self.venue.settle(self.at())
                self._flush()
                await asyncio.sleep(plan.delay_after_s)
            self._reply(connection, text, None, False, replies, came)

        self._run(later(), "simulated-kraken-delayed")

    def _reply(
        self,
        connection: Connection,
        text: str,
        error: str | None,
        drop: bool,
        replies: list[dict[str, Any]],
        came: At,
    ) -> None:
        at = self.at()
        if error is not None:
            replies = [stream.refused(text, error)]
        if not drop:
            self.venue.ws_reply(connection, replies, came, at)
        self.venue.settle(at)
        self._flush()

    async def _write(self, socket: ServerConnection, connection: Connection, wake: asyncio.Event) -> None:
        """Writes a connection's frames in order. A cut connection is dropped without a closing handshake."""
        try:
            while True:
                await wake.wait()
                wake.clear()
                frames, connection.out = connection.out, []
                for frame in frames:
                    await socket.send(frame)
                if connection.cut:
                    socket.transport.abort()
                    return
        except ConnectionClosed:
            return

    def _flush(self) -> None:
        for connection in self.venue.take_output():
            wake = self._wakes.get(connection.number)
            if wake is not None:
                wake.set()

    # -- time and the feed ----------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.venue.tick(self.at())
            self._flush()

    async def _feed(self) -> None:
        """Plays the tape for every pair, for ever; each round begins with its snapshot."""
        tapes = self.venue.tapes
        length = len(next(iter(tapes.values())))
        due_s = self.clock.now_s()
        while True:
            for n in range(length):
                wait_s = next(iter(tapes.values()))[n].wait_s if n else LOOP_PAUSE_S
                due_s = max(due_s + wait_s / self.speed, self.clock.now_s() - 1.0)
                await asyncio.sleep(max(0.0, due_s - self.clock.now_s()))
                while self.paused:
                    await asyncio.sleep(TICK_S)
                    due_s = self.clock.now_s()
                for symbol, tape in tapes.items():
                    self.venue.play(symbol, tape[n], self.at())
                self._flush()

    def _run(self, coroutine: Any, name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
