"""What lies between the two ends of connections in memory: delays, silence, slow readers, cuts at any byte.

A `MemoryLink` is all connections to one face of a venue, as a fault proxy is over TCP, and keeps TCP's promises: what
is sent on one connection arrives in its order or not at all, and nothing is promised across connections. A connection
that is cut within a frame has not carried that frame. While the link is whole nothing is held and nothing is late.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable

from allstop.actors.clock import Dice
from allstop.actors.links.condition import WHOLE, LinkCondition, Turned, Way
from allstop.actors.ports import ConnectFailed, HttpNoReply, HttpNotSent, LinkClosed

HELD_BYTES_MAX = 256 * 1024  # what the sockets of both sides hold, about; then the sender waits, as on TCP
STEP_S = 0.25  # how soon a slow request notices that its reader is fast again

TURNED = {
    Turned.REFUSED: "connection refused",
    Turned.DNS: "name or service not known",
    Turned.TLS: "certificate verify failed: hostname mismatch",
}


class Wire:
    """One direction of one WebSocket connection. `arrive`, `end` and `cut` are the receiving end's, and the
    connection's."""

    def __init__(
        self,
        link: "MemoryLink",
        way: Way,
        arrive: Callable[[str], None],
        end: Callable[[LinkClosed], None],
        cut: Callable[[], None],
    ) -> None:
        self._link = link
        self._way = way
        self._arrive = arrive
        self._end = end
        self._cut = cut
        self._held: deque[tuple[float, str | LinkClosed]] = deque()  # when it is due, what it is
        self._bytes = 0
        self._last_due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._over = False

    def put(self, frame: str) -> None:
        """Takes a frame from the sender."""
        if self._link.plain and not self._held:
            if not self._over:
                self._arrive(frame)
        else:
            self._take(frame, len(frame))

    @property
    def full(self) -> bool:
        """So much is held that the sender has to wait."""
        return self._bytes > HELD_BYTES_MAX and not self._over

    async def room(self) -> None:
        """Waits while too much is held: raises nothing then, the sender looks at its own end."""
        while self.full:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def carry_end(self, closed: LinkClosed, *, reset: bool) -> None:
        """The sender has closed: the receiver learns it after what is on its way; at a reset that is thrown away."""
        if reset:
            self._drop()
        self._take(closed, 0)

    def drop(self) -> None:
        """The connection is gone: nothing arrives any more."""
        self._over = True
        self._drop()

    def changed(self) -> None:
        """The link is another: what is held comes when it comes now."""
        condition, now_s = self._link.condition, asyncio.get_running_loop().time()
        rate = condition.bytes_per_s(self._way)
        latest_s = due_s = now_s + condition.delay_s + condition.jitter_s
        for place, (was_s, what) in enumerate(self._held):
            if rate:
                due_s += len(what) / rate if isinstance(what, str) else 0.0
                self._held[place] = (due_s, what)
            else:
                self._held[place] = (min(was_s, latest_s), what)
        self._last_due_s = self._held[-1][0] if self._held else 0.0
        self._schedule()

    def _take(self, what: str | LinkClosed, size: int) -> None:
        condition, now_s = self._link.condition, asyncio.get_running_loop().time()
        due_s = max(self._last_due_s, now_s + self._link.late_s())
        if rate := condition.bytes_per_s(self._way):
            due_s += size / rate
        self._last_due_s = due_s
        self._held.append((due_s, what))
        self._bytes += size
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._held and not self._link.condition.silent(self._way):
            due_s, what = self._held[0]
            if due_s > loop.time():
                # In the link's context: what is on its way outlives whoever sent it.
                self._timer = loop.call_at(due_s, self._due, context=self._link.context)
                return
            self._held.popleft()
            self._give(what)

    def _due(self) -> None:
        self._timer = None
        self._schedule()

    def _give(self, what: str | LinkClosed) -> None:
        if isinstance(what, LinkClosed):
            self._end(what)
            return
        self._bytes -= len(what)
        if self._link.spent(self._way, len(what)):
            self._cut()
            return
        self._arrive(what)
        self._wake()

    def _drop(self) -> None:
        self._held.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)


class Flight:
    """One HTTP exchange on a link: a connection of its own."""

    def __init__(self, link: "MemoryLink") -> None:
        self._link = link
        self._was_cut = False
        self._cutting: asyncio.Future[None] | None = None  # of one that takes its time
        self._moved: asyncio.Future[None] | None = None

    @property
    def plain(self) -> bool:
        """Whatever it carries passes at once."""
        return self._link.plain

    async def carried(self, way: Way, size: int) -> bool:
        """Returns when so many bytes have passed in this direction; True when that took its time.
        Raises HttpNoReply when the connection is cut under them."""
        link = self._link
        if link.plain:
            return False
        began_s = asyncio.get_running_loop().time()
        await self._audible(way)
        await self._sleep(link.late_s())
        left = float(size)
        while left > 0 and (rate := link.condition.bytes_per_s(way)):
            part = min(left, rate * STEP_S)
            await self._sleep(part / rate)
            left -= part
        await self._audible(way)
        if link.spent(way, size):
            raise HttpNoReply("the connection was cut")
        return asyncio.get_running_loop().time() > began_s

    def land(self) -> None:
        """Over, one way or the other."""
        self._link.landed(self)

    def cut(self) -> None:
        self._was_cut = True
        if self._cutting is not None and not self._cutting.done():
            self._cutting.set_result(None)
        self.changed()

    def changed(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    async def _audible(self, way: Way) -> None:
        while self._link.condition.silent(way):
            self._moved = asyncio.get_running_loop().create_future()
            await self._moved
            self._whole()

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0 and not self._was_cut:
            self._cutting = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._cutting], timeout=seconds)
        self._whole()

    def _whole(self) -> None:
        if self._was_cut:
            raise HttpNoReply("the connection was cut")


class MemoryLink:
    """All connections to one face of a venue. `plain`: nothing is wrong with it, and nothing is ordered."""

    def __init__(self, dice: Dice) -> None:
        self.condition = WHOLE
        self.plain = True
        self.context = contextvars.copy_context()
        self._dice = dice
        self._cut_after: dict[Way, int] = {}
        self._wires: dict[Wire, None] = {}
        self._flights: dict[Flight, None] = {}
        self._opening: list[asyncio.Future[None]] = []
        self._cuts: dict[Callable[[], None], Callable[[bool], None]] = {}  # of each connection: its pings

    # -- what chaos does ---------------------------------------------------------------------------------------------

    async def become(self, condition: LinkCondition) -> None:
        """From now on the link is so. What was held in silence passes when it ends, if its connection still stands."""
        silent = _deaf(condition)
        was_silent, self.condition = _deaf(self.condition), condition
        self._look()
        if silent != was_silent:
            for pings in list(self._cuts.values()):
                pings(not silent)
        for one in (*self._wires, *self._flights):
            one.changed()
        opening, self._opening = self._opening, []
        for waiting in opening:
            if not waiting.done():
                waiting.set_result(None)

    def cut(self) -> int:
        """Resets every open connection. The number cut."""
        cuts, flights = list(self._cuts), list(self._flights)
        for cut in cuts:
            cut()
        for flight in flights:
            flight.cut()
        return len(cuts) + len(flights)

    def cut_after(self, count: int | None, way: Way) -> None:
        """The connection on which so many more bytes have passed in this direction is cut, within whatever it carries.
        Once; None takes it back."""
        if count is None:
            self._cut_after.pop(way, None)
        else:
            self._cut_after[way] = count
        self._look()

    # -- what connections ask ----------------------------------------------------------------------------------------

    async def opened(self, what: str, timeout_s: float) -> None:
        """The handshake of a WebSocket. Raises ConnectFailed."""
        if self.plain:
            return
        try:
            async with asyncio.timeout(timeout_s):
                while _deaf(self.condition):
                    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._opening.append(waiting)
                    await waiting
                if self.condition.turned is None:
                    await asyncio.sleep(self.late_s() + self.late_s())
        except TimeoutError:
            raise ConnectFailed(f"{what}: timed out during opening handshake") from None
        if self.condition.turned is not None:
            reached = self.condition.turned is Turned.TLS
            raise ConnectFailed(f"{what}: {TURNED[self.condition.turned]}", reached=reached)

    def wired(
        self,
        way: Way,
        arrive: Callable[[str], None],
        end: Callable[[LinkClosed], None],
        cut: Callable[[], None],
    ) -> Wire:
        """One direction of a new WebSocket connection."""
        wire = Wire(self, way, arrive, end, cut)
        self._wires[wire] = None
        return wire

    def stands(self, cut: Callable[[], None], pings: Callable[[bool], None]) -> None:
        """A connection stands: `cut` resets it, `pings` is told whether its pings are answered."""
        self._cuts[cut] = pings
        if _deaf(self.condition):
            pings(False)

    def gone(self, cut: Callable[[], None], *wires: Wire) -> None:
        self._cuts.pop(cut, None)
        for wire in wires:
            wire.drop()
            self._wires.pop(wire, None)

    def flight(self) -> Flight:
        """A new HTTP exchange. Raises HttpNotSent where no connection is made."""
        if self.condition.turned is not None:
            raise HttpNotSent(TURNED[self.condition.turned])
        flight = Flight(self)
        self._flights[flight] = None
        return flight

    def landed(self, flight: Flight) -> None:
        """It is over, one way or the other."""
        self._flights.pop(flight, None)

    def late_s(self) -> float:
        """How much later the next thing comes, by the dice."""
        condition = self.condition
        return (
            condition.delay_s + condition.jitter_s * self._dice.draw()
            if condition.jitter_s
            else condition.delay_s
        )

    def spent(self, way: Way, size: int) -> bool:
        """So many bytes pass. True: the connection that carries them is cut before the last of them."""
        left = self._cut_after.get(way)
        if left is None:
            return False
        if size > left:
            del self._cut_after[way]
            self._look()
            return True
        self._cut_after[way] = left - size
        return False

    def _look(self) -> None:
        self.plain = self.condition.whole and not self._cut_after


def _deaf(condition: LinkCondition) -> bool:
    """A ping is not answered, whichever way is silent."""
    return condition.up_silent or condition.down_silent
