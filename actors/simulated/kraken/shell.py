"""What both shells of the simulated Kraken do alike: time, the feed, and talking through the faults that are armed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from allstop.actors.clock import Clock
from allstop.actors.simulated.kraken import methods, rest
from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.faults import CallPlan
from allstop.actors.simulated.kraken.rest import Answer, Request
from allstop.actors.simulated.kraken.stream import Connection
from allstop.actors.simulated.kraken.venue import KrakenVenue

TICK_S = 0.05
LOOP_PAUSE_S = 0.5  # between the last frame of the tape and its first
BEHIND_MAX_S = 1.0  # a feed that fell further behind than this does not try to catch up


class Shell:
    """Runs a venue on the loop. A subclass brings the links; every link error that means "gone" is in `gone`."""

    gone: tuple[type[Exception], ...] = ()

    def __init__(self, venue: KrakenVenue, *, clock: Clock, speed: float = 1.0) -> None:
        self.venue = venue
        self.clock = clock
        self.speed = speed
        self.paused = False
        self._lines: dict[int, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def at(self) -> At:
        return At(self.clock.now_s(), self.clock.wall_ns())

    def begin(self) -> None:
        """Starts time and the feed."""
        self.begin_time()
        self._run(self._feed(), "simulated-kraken-feed")

    def begin_time(self) -> None:
        """From now on the venue is told that time passes."""
        self._run(self._tick(), "simulated-kraken-tick")

    async def end(self) -> None:
        """Ends every task of this shell and waits for it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- REST ----------------------------------------------------------------------------------------------------

    async def exchange(self, request: Request) -> Answer | None:
        """Serves one REST request as the armed faults want it; None for no answer at all."""
        plan = self.planned(request)
        if plan.delay_before_s or plan.delay_after_s:
            return await self.answered_late(request, plan)
        return self.answered(request, plan)

    def planned(self, request: Request) -> CallPlan:
        """What the armed faults make of it. Spends them."""
        return self.venue.plan(rest.method_of(request.path))

    def answered(self, request: Request, plan: CallPlan) -> Answer | None:
        """The same without the waits of its plan."""
        return self._as_planned(plan, self._executed(request, plan))

    async def answered_late(self, request: Request, plan: CallPlan) -> Answer | None:
        if plan.delay_before_s:
            await asyncio.sleep(plan.delay_before_s)
            request = msgspec.structs.replace(request, late=True)
        answer = self._executed(request, plan)
        if plan.delay_after_s:
            await asyncio.sleep(plan.delay_after_s)
        return self._as_planned(plan, answer)

    def _executed(self, request: Request, plan: CallPlan) -> Answer | None:
        if not plan.execute:
            return None
        answer = self.venue.http(request, self.at())
        self.flush()
        return answer

    def _as_planned(self, plan: CallPlan, answer: Answer | None) -> Answer | None:
        if plan.http_520:
            return rest.PAGE_520
        if plan.error is not None:
            return rest.enveloped(None, plan.error)
        return None if plan.drop else answer

    # -- WebSocket -----------------------------------------------------------------------------------------------

    async def talk(
        self,
        connection: Connection,
        frames: AsyncIterator[str],
        send: Callable[[str], Awaitable[None]],
        abort: Callable[[], None],
        post: Callable[[str], bool] | None = None,
    ) -> None:
        """Serves one connection until it is gone. `post` sends at once, or says that `send` would have to wait; without it
        every frame is for `send`."""
        line = self._lines[connection.number] = _Line(connection, send, abort, post, self.gone)
        writer = asyncio.create_task(line.write())
        self._tasks.add(writer)
        line.flush()  # the status frame waits already
        try:
            async for text in frames:
                self._request(connection, text)
        except self.gone:
            pass  # the client went without a goodbye
        finally:
            self.venue.ws_close(connection, self.at())
            self._lines.pop(connection.number, None)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._tasks.discard(writer)

    def _request(self, connection: Connection, text: str) -> None:
        """Answers one request. A delayed one waits by itself, so that those behind it overtake it, as at the venue."""
        plan = self.venue.plan(methods.method_of(text))
        came = self.at()
        quiet = plan.drop or plan.http_520  # the edge's page has no WebSocket form: silence
        if not plan.delay_before_s and not plan.delay_after_s:
            replies = self.venue.ws_frame(connection, text, came) if plan.execute else []
            if plan.error is not None:
                replies = [methods.refused(text, plan.error)]
            self._reply(connection, [] if quiet else replies, came)
            return

        async def later() -> None:
            await asyncio.sleep(plan.delay_before_s)
            replies = self.venue.ws_frame(connection, text, self.at())
            if plan.delay_after_s:
                self._reply(connection, [], came)
                await asyncio.sleep(plan.delay_after_s)
            self._reply(connection, replies, came)

        self._run(later(), "simulated-kraken-delayed")

    def _reply(self, connection: Connection, replies: list[dict[str, Any]], came: At) -> None:
        at = self.at()
        self.venue.ws_reply(connection, replies, came, at)
        self.venue.settle(at)
        self.flush()

    def flush(self) -> None:
        """Has what the connections have to write written."""
        for connection in self.venue.take_output():
            line = self._lines.get(connection.number)
            if line is not None:
                line.flush()

    # -- time and the feed ---------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.venue.tick(self.at())
            self.flush()

    async def _feed(self) -> None:
        """Plays the tape for every pair, for ever; each round begins with its snapshot. The venue itself has played the
        first one."""
        due_s, rounds = self.clock.now_s(), self.venue.rounds
        n = 1 % len(self.venue.reel.waits)
        while True:
            reel = self.venue.reel
            due_s += (reel.waits[n] if n else LOOP_PAUSE_S) / self.speed
            due_s = max(due_s, self.clock.now_s() - BEHIND_MAX_S)
            await asyncio.sleep(max(0.0, due_s - self.clock.now_s()))
            while self.paused:
                await asyncio.sleep(TICK_S)
                due_s = self.clock.now_s()
            if self.venue.rounds != rounds:
                rounds, n = self.venue.rounds, 1 % len(reel.waits)
            at = self.at()
            for symbol, frames in reel.tapes.items():
                if (frame := frames[n]) is not None:
                    self.venue.play(symbol, frame, at)
            self.flush()
            n = (n + 1) % len(reel.waits)

    def _run(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of the model must not look like a quiet venue.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the simulated Kraken broke", "exception": error}
            )


class _Line:
    """What is written on one connection, in order: at once, or by its task where that takes time. Each link error that
    means "gone" is in `gone`."""

    def __init__(
        self,
        connection: Connection,
        send: Callable[[str], Awaitable[None]],
        abort: Callable[[], None],
        post: Callable[[str], bool] | None,
        gone: tuple[type[Exception], ...],
    ) -> None:
        self._connection = connection
        self._send = send
        self._abort = abort
        self._post = post
        self._gone = gone
        self._wake = asyncio.Event()
        self._writing = False

    def flush(self) -> None:
        """Writes what waits, or wakes the writer. One that is cut is dropped: its writer may hang on a client that does
        not read."""
        connection, post = self._connection, self._post
        if connection.cut:
            self._abort()
        elif post is not None and not self._writing:
            try:
                sent = 0
                for frame in connection.out:
                    if not post(frame):
                        break
                    sent += 1
            except self._gone:
                return  # the reader notices too
            del connection.out[:sent]
            if not connection.out:
                return
        self._wake.set()

    async def write(self) -> None:
        """Writes a connection's frames in order. A cut connection is dropped without a closing handshake."""
        connection = self._connection
        try:
            while True:
                self._writing = False
                await self._wake.wait()
                self._wake.clear()
                self._writing = True
                frames, connection.out = connection.out, []
                for frame in frames:
                    await self._send(frame)
                if connection.cut:
                    self._abort()
                    return
        except self._gone:
            return  # the reader notices too
