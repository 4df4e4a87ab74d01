"""A TCP proxy that breaks connections on purpose: what a chaos script puts between the engine and its venue.

Each direction of a connection is a reader that stamps what arrives with the time it is due, a short queue, and a
writer that forwards it then. Faults act on the writer (silence, delay, damage) or on the sockets (cut, refuse).
"""

import asyncio
import socket
import struct

from allstop.actors.clock import Dice, SystemDice
from allstop.actors.links.condition import LinkCondition, Turned, Way

CHUNK_BYTES = 64 * 1024
CHUNKS_QUEUED_MAX = 64  # per direction: 4 MiB; when it is full the sender feels it, as on a slow line
CONNECTIONS_MAX = 256  # an engine has a dozen
CONNECT_S = 5.0
CLOSE_S = 1.0
CUT_S = 0.005  # so that the peer has read the bytes before the cut: a reset throws away what it has not
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST instead of FIN


__all__ = ["FaultProxy", "Way"]


class _Direction:
    """What is wrong with one direction, for all connections."""

    def __init__(self) -> None:
        self.corrupt_chunks = 0
        self.drop_after: int | None = None  # bytes still let through; then they vanish
        self.cut_after: int | None = None  # bytes still let through; then their connection is reset
        self.bytes_per_s = 0.0  # 0: as fast as they come
        self.flowing = asyncio.Event()
        self.flowing.set()


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
        self._slamming = False
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
        for direction in self._directions.values():
            direction.flowing.clear()

    def heal(self) -> None:
        """Everything passes again, what was held back first."""
        self._delay_s = self._jitter_s = 0.0
        self._slamming = False
        for direction in self._directions.values():
            direction.flowing.set()
            direction.corrupt_chunks, direction.bytes_per_s = 0, 0.0
            direction.drop_after = direction.cut_after = None

    async def become(self, condition: LinkCondition) -> None:
        """From now on the link is so. A name that is not found is a port that refuses: a proxy knows no names. A wrong
        certificate is a connection that is reset before a word is said."""
        self.delay(condition.delay_s, condition.jitter_s)
        for way, silent, rate in (
            (Way.UP, condition.up_silent, condition.up_bytes_per_s),
            (Way.DOWN, condition.down_silent, condition.down_bytes_per_s),
        ):
            direction = self._directions[way]
            direction.bytes_per_s = rate
            if silent:
                direction.flowing.clear()
            else:
                direction.flowing.set()
        self._slamming = condition.turned is Turned.TLS
        if condition.turned in (Turned.REFUSED, Turned.DNS):
            await self.refuse()
        else:
            await self.accept()

    def delay(self, delay_s: float, jitter_s: float = 0.0) -> None:
        """Each chunk comes later by this and by chance up to `jitter_s` more, in order."""
        self._delay_s, self._jitter_s = delay_s, jitter_s

    def drop_after(self, count: int, way: Way) -> None:
        """Lets `count` more bytes through in that direction; what follows vanishes until `heal`."""
        self._directions[way].drop_after = count

    def cut_after(self, count: int | None, way: Way) -> None:
        """The connection that carries the byte after `count` more is reset there: half a frame arrives. Once; None
        takes it back."""
        self._directions[way].cut_after = count

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
        if self._slamming or len(self._connections) >= CONNECTIONS_MAX:
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
                pumps.create_task(self._pump(connection, reader, up_writer, Way.UP))
                pumps.create_task(self._pump(connection, up_reader, writer, Way.DOWN))
        except* OSError:  # TimeoutError too
            connection.reset()  # one side is gone: so is the other
        finally:
            for each in connection.writers:
                each.close()

    async def _pump(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_QUEUED_MAX)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._take(reader, chunks))
            ends.create_task(self._give(connection, chunks, writer, way))

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
        self,
        connection: _Connection,
        chunks: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        way: Way,
    ) -> None:
        loop, direction = asyncio.get_running_loop(), self._directions[way]
        while True:
            due, chunk = await chunks.get()
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            await direction.flowing.wait()
            if not chunk:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            passed = self._damaged(chunk, direction)
            while passed and direction.bytes_per_s:
                # A tenth of a second's worth at a time, so that a faster reader is noticed soon.
                part = passed[: max(1, int(direction.bytes_per_s / 10))]
                await self._forwarded(connection, part, writer, way)
                await asyncio.sleep(len(part) / direction.bytes_per_s if direction.bytes_per_s else 0)
                passed = passed[len(part) :]
            await self._forwarded(connection, passed, writer, way)

    async def _forwarded(
        self, connection: _Connection, passed: bytes, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        direction = self._directions[way]
        cut = direction.cut_after is not None and len(passed) > direction.cut_after
        if direction.cut_after is not None:
            passed = passed[: direction.cut_after]
            direction.cut_after = None if cut else direction.cut_after - len(passed)
        self.forwarded[way] += len(passed)
        writer.write(passed)
        await writer.drain()
        if cut:
            await asyncio.sleep(CUT_S)
            raise ConnectionResetError("cut at a byte, as asked")

    def _damaged(self, chunk: bytes, direction: _Direction) -> bytes:
        if direction.corrupt_chunks > 0:
            direction.corrupt_chunks -= 1
            place = max(0, len(chunk) - 4)
            chunk = chunk[:place] + bytes([chunk[place] ^ 0x01]) + chunk[place + 1 :]
        if direction.drop_after is not None:
            chunk = chunk[: direction.drop_after]
            direction.drop_after -= len(chunk)
        return chunk
