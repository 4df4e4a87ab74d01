"""One WebSocket connection as an actor: it asks for a permit, connects once, reads until the end, and then ends.

It never reconnects. A lost connection is a crash with LinkClosed, a refused one with ConnectFailed, and the supervisor
decides what follows, within its budget; the connect permit decides when. Frames are read by one task of this
incarnation and handed to `on_frame` directly, between messages and never while another frame is handled: a handler
that waits for an answer over this connection must not keep the answer from being read. When the incarnation ends, in
whatever way, that task is cancelled and drops the connection with it.
"""

import asyncio
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.exits import Exit
from allstop.actors.host_ledger import ConnectPermit, NoteBan, NoteUnreached
from allstop.actors.limits.lanes import Lane
from allstop.actors.ports import ConnectFailed, LinkClosed, WebSocketLink, World
from allstop.actors.runtime import Actor, ActorDead, CallTimeout, Continue, Ref

FRAMES_PER_TURN = 64  # read without letting others run: under a millisecond of work
BAN_WORDS = ("HTTP 429", "HTTP 403", "HTTP 1015")  # how Cloudflare refuses an address at the handshake


class Open(msgspec.Struct, frozen=True):
    """To itself: ask for a permit and connect."""


class Probe(msgspec.Struct, frozen=True):
    """To itself: look how long nothing has come in."""


class Connection(Actor):
    """Reads frames from `url` until silence, close or stop. Subclasses say what to do with them.

    `hosts` is the HostLedger that gives permits. Nothing is connected when a start succeeds: opening is the first
    thing it does afterwards, so that a slow venue does not hold up a tree.
    """

    keeps_task: ClassVar[bool] = False

    def __init__(self, *, url: str, world: World, hosts: Ref, settings: ConnectionSettings | None = None,
                 connect_lane: Lane = Lane.QUERY) -> None:  # fmt: skip
        self.url = url
        self.world = world
        self.settings = settings or ConnectionSettings()
        self.websocket: WebSocketLink | None = None
        self.frames_in = 0
        self.heartbeat_due = False  # the venue promised frames: from then on a pong proves no living venue
        self._host = urlsplit(url).netloc
        self._hosts = hosts
        self._connect_lane = connect_lane
        self._opening = False
        self._leaving = False
        self._heard_s = 0.0

    # What a subclass says

    async def before_open(self) -> bool:
        """What must be had before a permit is asked for, a token for instance. False: not yet; it has arranged for
        another `Open` by itself."""
        return True

    async def on_connected(self) -> None:
        """The connection stands; frames are read from now on."""

    def on_frame(self, frame: str) -> None:
        """One frame. What this raises ends the connection."""
        raise NotImplementedError

    def on_message(self, message: object) -> object:
        """What else is told or asked: an answer, or a coroutine where that takes time."""
        raise TypeError(f"{self.path} takes no {message!r}")

    # The connection's life

    def on_start(self) -> Any:
        return Continue(Open())

    def on_continue(self, argument: object) -> None:
        self._begin()

    def on_receive(self, message: object) -> object:
        match message:
            case Open():
                return self._begin()
            case Probe():
                return self._probe()
            case _:
                return self.on_message(message)

    async def on_stop(self, exit_: Exit) -> None:
        self._leaving = True
        if self.websocket is not None:
            await self.websocket.close()

    async def send(self, frame: str) -> None:
        """Raises LinkClosed when there is no connection, with nothing written, or when it broke while writing."""
        if self.websocket is None:
            raise LinkClosed("not connected")
        await self.websocket.send(frame)

    def _begin(self) -> None:
        """Opens in a task of its own, so that whoever asks for something meanwhile is refused at once."""
        if self.websocket is None and not self._opening:
            self._opening = True
            self.start_task(self._open(), "open")

    async def _open(self) -> None:
        try:
            await self._open_once()
        finally:
            self._opening = False

    async def _open_once(self) -> None:
        if not await self.before_open():
            return
        wait_s = await self._permit()
        if wait_s > 0:
            self.log.info("connect.waits", host=self._host, wait_s=round(wait_s, 3))
            self.send_after(wait_s, Open())
            return
        settings = self.settings
        try:
            self.websocket = await self.world.connect_websocket(
                self.url,
                open_timeout_s=settings.open_timeout_s,
                ping_interval_s=settings.ping_interval_s,
                ping_timeout_s=settings.ping_timeout_s,
                close_timeout_s=settings.close_timeout_s,
                on_traffic=self._traffic,
            )
        except ConnectFailed as failed:
            if any(word in str(failed) for word in BAN_WORDS):
                self._hosts.tell(NoteBan(host=self._host, reason=str(failed)))
            if not failed.reached:
                self._hosts.tell(NoteUnreached(host=self._host))
            raise
        self._heard()
        reading = self.start_task(self._read(self.websocket), "read")
        # Also when this incarnation was killed, and before the task's first step: a fenced actor has no connection.
        reading.add_done_callback(lambda _, link=self.websocket: link.abort())
        self.send_after(settings.probe_interval_s, Probe())
        await self.on_connected()

    async def _permit(self) -> float:
        """Seconds to wait before connecting. A ledger that is away gives no permit; it is asked again."""
        try:
            return await self._hosts.call(
                ConnectPermit(host=self._host, lane=self._connect_lane),
                timeout_s=self.settings.permit_timeout_s,
            )
        except (ActorDead, CallTimeout):
            return self.settings.retry_first_s

    async def _read(self, link: WebSocketLink) -> None:
        try:
            while True:
                for _ in range(FRAMES_PER_TURN):
                    frame = await link.receive()
                    self._heard()
                    self.frames_in += 1
                    self.on_frame(frame)
                await asyncio.sleep(0)
        except LinkClosed:
            if (
                not self._leaving
            ):  # else it is `on_stop` that closes it: an end that was asked for is no crash
                raise

    def _traffic(self) -> None:
        if not self.heartbeat_due:
            self._heard()

    def _heard(self) -> None:
        self._heard_s = self.clock.now_s()

    def _probe(self) -> None:
        silent_s = self.clock.now_s() - self._heard_s
        if silent_s > self.settings.silence_max_s:
            raise LinkClosed(f"{self._host} was silent for {silent_s:.1f} s")
        # Not before it could be silent for too long.
        self.send_after(max(self.settings.silence_max_s - silent_s, self.settings.probe_interval_s), Probe())
