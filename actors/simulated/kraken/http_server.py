"""A small HTTP/1.1 server on asyncio streams and h11: keep-alive, bounded, and closable without a leak."""

import asyncio
from collections.abc import Awaitable, Callable

import h11

from allstop.actors.simulated.kraken.rest import Answer, Request

BODY_MAX = (
    1024 * 1024
)  # the largest real request, a batch of 50, is under 8 KiB; /faults and /reset are smaller
IDLE_S = 75.0  # Kraken's edge keeps idle connections about this long
READ_BYTES = 64 * 1024

Serve = Callable[[Request], Awaitable[Answer | None]]  # None: cut the connection without an answer


class HttpServer:
    """Listens on loopback. `serve` answers one request; requests of one connection are served one after another."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Starts to listen; the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, h11.RemoteProtocolError):
            pass  # the client went, slept or spoke nonsense: the connection ends, that is all
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        connection = h11.Connection(h11.SERVER)
        while True:
            request = await self._read(connection, reader, peer[0] if peer else "")
            if request is None:
                return
            answer = await self._serve(request)
            if answer is None:
                return
            headers = [*answer.headers.items(), ("content-length", str(len(answer.body)))]
            head = h11.Response(status_code=answer.status, headers=headers, reason=b"")
            writer.write(
                b"".join(connection.send(event) or b"" for event in (head, h11.Data(data=answer.body)))
            )
            writer.write(connection.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _read(
        self, connection: h11.Connection, reader: asyncio.StreamReader, ip: str
    ) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(IDLE_S):
                    connection.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_MAX:
                    return None
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                target = head.target.decode()
                return Request(
                    method=head.method.decode(), path=target, headers=headers, body=bytes(body), ip=ip
                )
            else:
                return None
