"""A TCP proxy that breaks connections on purpose: what a chaos script puts between the engine and its venue.

Each direction of a connection is a reader that stamps what arrives with the time it is due, a short queue, and a
writer that forwards it then. Faults act on the writer (silence, delay, damage) or on the sockets (cut, refuse).
"""

import asyncio
import socket
import struct
from enum import StrEnum

from allstop.actors.clock import Dice, SystemDice

CHUNK_BYTES = 64 * 1024
CHUNKS_QUEUED_MAX = 64  # per direction: 4 MiB; when it is full the sender feels it, as on a slow line
CONNECTIONS_MAX = 256  # an engine has a dozen
CONNECT_S = 5.0
CLOSE_S = 1.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST instead of FIN


class Way(StrEnum):
    """The direction of bytes: from the client up to the server, or down to the client."""

    UP = "up"
    DOWN = "down"


class _Direction:
    """What is wrong with one direction, for all connections."""

    def __init__(self) -> None:
        self.corrupt_chunks = 0
        self.drop_after: int | None = None  # bytes still let through; then they vanish


class _Connection:
    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.task: asyncio.Task[None] | None = None

    def reset(self) -> None:
        for writer in self.writers:
            sock = writer.transport.get_extra_info("socket")
            if sock is not None and not writer.transport.is_closing():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class FaultProxy:
    """Listens on loopback and forwards to `host:port`. All knobs may be turned at any time, and act at once."""

    def __init__(self, host: str, port: int, *, dice: Dice | None = None) -> None:
        self.target = (host, port)
        self.port = 0  # where it listens, once started
        self.accepted = 0  # connections so far
        self.forwarded = {Way.UP: 0, Way.DOWN: 0}  # bytes so far
        self._dice = dice or SystemDice()
        self._delay_s = 0.0
        self._jitter_s = 0.0
        self._directions = {Way.UP: _Direction(), Way.DOWN: _Direction()}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def start(self) -> "FaultProxy":
        await self.accept()
        return self

    async def close(self) -> None:
        """Resets what is open and stops listening."""
        await self.refuse()
        connections = list(self._connections)
        self.cut()
        if tasks := [connection.task for connection in connections if connection.task is not None]:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        writers = [writer.wait_closed() for connection in connections for writer in connection.writers]
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(*writers, return_exceptions=True)

    # Knobs

    def cut(self) -> int:
        """Resets every open connection, both sides. New ones are let in. The number cut."""
        for connection in self._connections:
            connection.reset()
            if connection.task is not None:
                connection.task.cancel()  # it may wait for a silence to end
        return len(self._connections)

    def half_open(self) -> None:
        """From now on nothing passes, either way, and no one is told: no FIN, no RST. New connections hang too."""
        self._flowing.clear()

    def heal(self) -> None:
        """Everything passes again, what was held back first."""
        self._flowing.set()
        self._delay_s = self._jitter_s = 0.0
        for direction in self._directions.values():
            direction.corrupt_chunks, direction.drop_after = 0, None

    def delay(self, delay_s: float, jitter_s: float = 0.0) -> None:
        """Each chunk comes later by this and by chance up to `jitter_s` more, in order."""
        self._delay_s, self._jitter_s = delay_s, jitter_s

    def drop_after(self, count: int, way: Way) -> None:
        """Lets `count` more bytes through in that direction; what follows vanishes until `heal`."""
        self._directions[way].drop_after = count

    def corrupt_next(self, way: Way, chunks: int = 1) -> None:
        """Flips one bit near the end of the next chunk, where the payload of a frame is and not its header."""
        self._directions[way].corrupt_chunks += chunks

    async def refuse(self) -> None:
        """Stops listening: new connections are refused. Open ones live on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Listens (again), on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    # Connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = _Connection()
        connection.writers.append(writer)
        if len(self._connections) >= CONNECTIONS_MAX:
            connection.reset()
            return
        # A task of its own: the stream server takes a cancelled handler for an error.
        connection.task = asyncio.create_task(self._forward(connection, reader, writer))
        self._connections.add(connection)
        await asyncio.wait([connection.task])
        self._connections.discard(connection)
        if not connection.task.cancelled():
            connection.task.result()

    async def _forward(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                up_reader, up_writer = await asyncio.open_connection(*self.target)
            connection.writers.append(up_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, up_writer, Way.UP))
                pumps.create_task(self._pump(up_reader, writer, Way.DOWN))
        except* OSError:  # TimeoutError too
            connection.reset()  # one side is gone: so is the other
        finally:
            for each in connection.writers:
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_QUEUED_MAX)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._take(reader, chunks))
            ends.create_task(self._give(chunks, writer, way))

    async def _take(self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        more = True
        while more:
            chunk = await reader.read(CHUNK_BYTES)
            late_s = (
                self._delay_s + self._jitter_s * self._dice.draw() if self._delay_s or self._jitter_s else 0
            )
            await chunks.put((loop.time() + late_s, chunk))
            more = bool(chunk)

    async def _give(
        self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: Way
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await chunks.get()
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await self._flowing.wait()
            if not chunk:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            passed = self._damaged(chunk, self._directions[way])
            self.forwarded[way] += len(passed)
            writer.write(passed)
            await writer.drain()

    def _damaged(self, chunk: bytes, direction: _Direction) -> bytes:
        if direction.corrupt_chunks > 0:
            direction.corrupt_chunks -= 1
            place = max(0, len(chunk) - 4)
            chunk = chunk[:place] + bytes([chunk[place] ^ 0x01]) + chunk[place + 1 :]
        if direction.drop_after is not None:
            chunk = chunk[: direction.drop_after]
            direction.drop_after -= len(chunk)
        return chunk
