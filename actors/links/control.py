"""The control socket: how commands reach a running engine. One JSON object per line each way, for the owner alone."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from allstop.actors.errors import AllstopError, BadInput, Problem, ReplyError
from allstop.actors.links.durable_file import ensure_directory

FILE = "control.sock"
LINE_BYTES_MAX = 1024 * 1024  # the status of a tree of a thousand actors is near 300 KiB
CONNECTIONS_MAX = 16  # people and a watchdog
IDLE_S = 60.0  # a client that says nothing loses its place
ANSWER_S = 30.0  # the longest command is a halt that waits for its proof
CONNECT_S = 1.0  # on the same machine
ADDRESS_BYTES_MAX = 107  # sun_path of Linux, without its end

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message]]
_encoder, _decoder = msgspec.json.Encoder(decimal_format="string"), msgspec.json.Decoder(Message)


class NoEngine(AllstopError):
    """Nobody answers on the control socket of this state directory: no engine runs there."""


class ControlFailed(AllstopError):
    """An engine is there and gave no usable answer."""


class ControlServer:
    """Listens on control.sock (mode 0600) and hands each request to `handler`, one at a time per connection.

    A ReplyError or BadInput of the handler becomes {"ok": false, "error": its type, "message": its text}. Anything
    else is a crash: it ends the connection and reaches the loop's exception handler.
    """

    def __init__(
        self, state_dir: str | Path, handler: Handler, *, answer_timeout_s: float = ANSWER_S
    ) -> None:
        self.path = Path(state_dir) / FILE
        self._handler = handler
        self._answer_timeout_s = answer_timeout_s
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        """Raises BadInput when another engine already listens here. What a dead one left is removed."""
        ensure_directory(self.path.parent)
        await self._remove_stale()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            os.fchmod(listener.fileno(), 0o600)  # before bind, so that there is no moment with another mode
            with _address(self.path) as address:
                listener.bind(address)
            self.path.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES_MAX)
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Stops listening, ends the connections and removes the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.path.unlink(missing_ok=True)
        connections = dict(self._connections)
        for conversation, writer in connections.items():
            conversation.cancel()
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.gather(
            *(writer.wait_closed() for writer in connections.values()), return_exceptions=True
        )

    async def _remove_stale(self) -> None:
        if not self.path.exists():
            return
        try:
            _, writer = await _connected(self.path)
        except NoEngine:
            self.path.unlink(missing_ok=True)
            return
        await _hung_up(writer)
        raise BadInput(Problem("another engine is running in this state directory", str(self.path.parent)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        # A task of its own: the stream server takes a cancelled handler for an error.
        conversation = asyncio.create_task(self._converse(reader, writer))
        self._connections[conversation] = writer
        await asyncio.wait([conversation])
        del self._connections[conversation]
        writer.close()
        if not conversation.cancelled():
            conversation.result()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await _request_line(reader, writer)) is not None:
                answer = await self._answer(line)
                await _put(writer, answer)
        except ConnectionError:
            pass  # the client has gone
        except TimeoutError:  # it does not read: what waits for it is thrown away
            writer.transport.abort()

    async def _answer(self, line: bytes) -> Message:
        try:
            request = _decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _refusal("BadRequest", f"a request is one JSON object: {error}")
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                return {"ok": True, **await self._handler(request)}
        except (ReplyError, BadInput) as error:
            return _refusal(type(error).__name__, str(error))
        except TimeoutError:
            return _refusal("Timeout", f"no answer within {self._answer_timeout_s} s")


async def ask_engine(state_dir: str | Path, request: Message, *, timeout_s: float = ANSWER_S) -> Message:
    """The engine's answer; its "ok" says whether it did it. Raises NoEngine or ControlFailed."""
    path = Path(state_dir) / FILE
    reader, writer = await _connected(path)
    try:
        async with asyncio.timeout(timeout_s):
            await _put(writer, request)
            line = await reader.readline()
        return _decoder.decode(line)
    except TimeoutError:
        raise ControlFailed(f"the engine at {path} gave no answer within {timeout_s} s") from None
    except (ConnectionError, ValueError) as error:  # also an answer that is too long, cut off or not JSON
        raise ControlFailed(f"the engine at {path} gave no usable answer: {error}") from error
    finally:
        await _hung_up(writer)


async def _request_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    """The next request, or None when the client has gone, is silent for too long, or sends without end."""
    try:
        async with asyncio.timeout(IDLE_S):
            line = await reader.readline()
    except TimeoutError:
        return None
    except ValueError:  # what readline makes of an overrun
        await _put(writer, _refusal("LineTooLong", f"a request is at most {LINE_BYTES_MAX} bytes"))
        return None
    return line if line.endswith(b"\n") else None


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        with _address(path) as address:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_unix_connection(address, limit=LINE_BYTES_MAX)
    except FileNotFoundError:
        raise NoEngine(f"no engine is running: {path} does not exist") from None
    except ConnectionRefusedError:
        raise NoEngine(f"no engine is running: the one that made {path} is gone") from None
    except TimeoutError:
        raise ControlFailed(f"the engine at {path} does not accept connections") from None
    except OSError as error:  # not ours to open, above all
        raise ControlFailed(f"{path}: {error.strerror}") from error


@contextmanager
def _address(path: Path) -> Generator[str, None, None]:
    """The path as a socket address. One that is too long for that is reached through its open directory."""
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


async def _hung_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):  # how the connection ended is of no interest any more
        await writer.wait_closed()


async def _put(writer: asyncio.StreamWriter, message: Message) -> None:
    writer.write(_encoder.encode(message) + b"\n")
    async with asyncio.timeout(IDLE_S):
        await writer.drain()


def _refusal(error: str, message: str) -> Message:
    return {"ok": False, "error": error, "message": message}
