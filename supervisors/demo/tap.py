"""A tap on the engine's WebSockets: every frame that came in, as it came, for an independent look afterwards."""

from collections.abc import Callable

from allstop.actors.errors import BadInput
from allstop.actors.ports import WebSocketConnector, WebSocketLink
from allstop.actors.protocols.capture import CaptureVerdict, verify

FRAMES_MAX = 500_000  # of a run; a minute of the demo has some ten thousand


class _TappedLink:
    def __init__(self, link: WebSocketLink, frames: list[str]) -> None:
        self._link = link
        self._frames = frames

    async def send(self, frame: str) -> None:
        await self._link.send(frame)

    async def receive(self) -> str:
        frame = await self._link.receive()
        if len(self._frames) < FRAMES_MAX:
            self._frames.append(frame)
        return frame

    async def close(self) -> None:
        await self._link.close()

    def abort(self) -> None:
        self._link.abort()


class Tap:
    """Wraps a connector. `frames_in` counts all frames; `verdicts` checks each connection's books from its own frames."""

    def __init__(self, connect: WebSocketConnector) -> None:
        self._connect = connect
        self._connections: list[tuple[str, list[str]]] = []

    async def __call__(
        self, url: str, *, open_timeout_s: float = 5.0, ping_interval_s: float = 5.0, ping_timeout_s: float = 5.0,
        close_timeout_s: float = 0.5, on_traffic: Callable[[], None] | None = None,
    ) -> WebSocketLink:  # fmt: skip
        link = await self._connect(
            url, open_timeout_s=open_timeout_s, ping_interval_s=ping_interval_s, ping_timeout_s=ping_timeout_s,
            close_timeout_s=close_timeout_s, on_traffic=on_traffic,
        )  # fmt: skip
        frames: list[str] = []
        self._connections.append((url, frames))
        return _TappedLink(link, frames)

    @property
    def frames_in(self) -> int:
        return sum(len(frames) for _, frames in self._connections)

    def verdicts(self, url: str) -> list[CaptureVerdict]:
        """One verdict per connection to `url` that had any frame. Damaged frames count as malformed."""
        found: list[CaptureVerdict] = []
        for number, (used, frames) in enumerate(self._connections):
            if used == url and frames:
                try:
                    found.append(verify(_readable(frames), name=f"connection {number}"))
                except BadInput:  # not one readable frame came before it was cut
                    continue
        return found


def _readable(frames: list[str]) -> list[str]:
    """Without frames that are no JSON at all: the chaos script damages some, and a capture file has none."""
    return [frame for frame in frames if frame.startswith(("{", "[")) and frame.endswith(("}", "]"))]
