"""The other side of the tests' connections: servers that do exactly what a test says, byte by byte."""

import asyncio
import contextlib
import ssl as tls
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost-test-only.pem"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A raw TCP server that counts what reaches it: `answer` decides what each connection gets."""

    def __init__(self, answer: Serve) -> None:
        self.received = bytearray()
        self.connections = 0
        self.arrived = asyncio.Event()
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._answer(_Counted(reader, self), writer)  # pyright: ignore[reportArgumentType]
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    @contextlib.asynccontextmanager
    async def listening(self, ssl: tls.SSLContext | None = None) -> AsyncGenerator[str, None]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=ssl)
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Counted:
    def __init__(self, reader: asyncio.StreamReader, server: Server) -> None:
        self._reader, self._server = reader, server

    async def readuntil(self, separator: bytes) -> bytes:
        found = await self._reader.readuntil(separator)
        self._server.received += found
        self._server.arrived.set()
        return found

    async def read(self, count: int) -> bytes:
        found = await self._reader.read(count)
        self._server.received += found
        return found


def tls_server() -> tls.SSLContext:
    """A server with a certificate for localhost that signed itself."""
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def tls_client() -> tls.SSLContext:
    """A client that trusts that certificate and no other."""
    return tls.create_default_context(cafile=str(CERTIFICATE))
