"""Frames over a socket pair. What is sent within one turn of the loop goes out in one write."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from allstop.actors.errors import AllstopError
from allstop.actors.runtime.process.frames import FRAME_BYTES_MAX, Frame, framed


class BrokenFrame(AllstopError):
    """The other process sent what is no frame: it cannot be understood any further."""


class Pipe(asyncio.Protocol):
    """One end. `on_frame` is called with each frame, `on_end` once with None at the end of the stream, or with a
    BrokenFrame."""

    def __init__(
        self,
        decoder: "msgspec.msgpack.Decoder[Any]",
        on_frame: Callable[[Any], None],
        on_end: Callable[[BrokenFrame | None], None],
    ) -> None:
        self._decoder = decoder
        self._on_frame = on_frame
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._flushing = False
        self._buffer = bytearray()
        self.ended = False
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def send(self, frame: Frame) -> None:
        """Soon. What is sent after the end is dropped: nobody is there."""
        if self.ended:
            return
        self._outgoing.append(framed(frame))
        if not self._flushing and self._transport is not None:
            self._flushing = True
            self._loop.call_soon(self.flush)

    @property
    def waiting_bytes(self) -> int:
        """What the other side has not taken yet."""
        written = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return written + sum(map(len, self._outgoing))

    def flush(self) -> None:
        self._flushing = False
        if self._outgoing and self._transport is not None and not self.ended:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._transport.write(data)

    def close(self) -> None:
        """After what was sent has gone out."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self.ended = True
        self._outgoing.clear()
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.ended:
            self._transport.abort()
        self.flush()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                size = int.from_bytes(buffer[start : start + 4], "big")
                if size > FRAME_BYTES_MAX:
                    raise BrokenFrame(f"a frame of {size} bytes; {FRAME_BYTES_MAX} is the most")
                if len(buffer) - start - 4 < size:
                    break
                payload = bytes(buffer[start + 4 : start + 4 + size])
                start += 4 + size
                if not self.ended:
                    self._on_frame(self._decoder.decode(payload))
        except (BrokenFrame, msgspec.MsgspecError) as error:
            self.abort()
            self._on_end(error if isinstance(error, BrokenFrame) else BrokenFrame(str(error)))
            return
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the other process is gone, whatever the socket calls it
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.ended:
            self.ended = True
            self._on_end(None)
