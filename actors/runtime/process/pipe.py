"""Frames over a socket pair. What is sent within one turn of the loop goes out in one write. What comes is handled some
frames at a time: nothing more is read meanwhile, so whoever floods us waits, and the loop belongs to others in between.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from allstop.actors.errors import AllstopError
from allstop.actors.runtime.process.frames import FRAME_BYTES_MAX, Frame, framed

FRAMES_A_TURN: Final = 128  # near a millisecond of the loop


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
        self._outgoing_bytes = 0
        self._flushing = False
        self._buffer = bytearray()
        self._paused = False
        self._emptied: asyncio.Future[None] | None = None
        self.ended = False
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def send(self, frame: Frame) -> None:
        """Soon. What is sent after the end is dropped: nobody is there."""
        if self.ended:
            return
        data = framed(frame)
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if not self._flushing and self._transport is not None:
            self._flushing = True
            self._loop.call_soon(self.flush)

    @property
    def waiting_bytes(self) -> int:
        """What the other side has not taken yet."""
        written = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return written + self._outgoing_bytes

    def flush(self) -> None:
        self._flushing = False
        if self._outgoing and self._transport is not None and not self.ended:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_bytes = 0
            self._transport.write(data)

    async def taken(self, timeout_s: float) -> None:
        """Returns when the other side has taken all that was sent, or after `timeout_s`."""
        self.flush()
        if self._transport is None or self.ended:
            return
        self._transport.set_write_buffer_limits(high=0)
        if self._transport.get_write_buffer_size():
            self._emptied = self._loop.create_future()
            await asyncio.wait([self._emptied], timeout=timeout_s)

    def close(self) -> None:
        """After what was sent has gone out."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self.ended = True
        self._outgoing.clear()
        self._outgoing_bytes = 0
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.ended:
            self._transport.abort()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._paused and self._take(FRAMES_A_TURN):
            self._paused = True
            assert self._transport is not None
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.ended or self._transport is None:
            return
        if self._take(FRAMES_A_TURN):
            self._loop.call_soon(self._go_on)
        elif not self.ended:
            self._paused = False
            self._transport.resume_reading()

    def _take(self, at_most: float) -> bool:
        """Handles the frames that are there. True: there may be more of them."""
        buffer, start = self._buffer, 0
        try:
            while len(buffer) - start >= 4 and not self.ended:
                if at_most <= 0:
                    return True
                size = int.from_bytes(buffer[start : start + 4], "big")
                if size > FRAME_BYTES_MAX:
                    raise BrokenFrame(f"a frame of {size} bytes; {FRAME_BYTES_MAX} is the most")
                if len(buffer) - start - 4 < size:
                    return False
                payload = bytes(buffer[start + 4 : start + 4 + size])
                start += 4 + size
                at_most -= 1
                self._on_frame(self._decoder.decode(payload))
        except (BrokenFrame, msgspec.MsgspecError, RecursionError) as error:
            self.abort()
            self._on_end(error if isinstance(error, BrokenFrame) else BrokenFrame(str(error)))
        finally:
            del buffer[:start]
        return False

    def resume_writing(self) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # the other process is gone, whatever the socket calls it
        self._take(math.inf)  # its last words: no more than was read
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.ended:
            self.ended = True
            self._on_end(None)
