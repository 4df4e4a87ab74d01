"""The running actors meet damage: each goes on with its proof withdrawn, or ends with a reason; it never just sits there.

In virtual time, over links in memory, against the simulated venue: frames are slipped in between its own, bodies are
damaged on their way. An actor that ended is started again, as its supervisor would.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
from tests.connections.rig import BTC, Rig, entry, exit_of
from tests.connections.test_market_data import DataRig
from tests.fuzz.corpus import Sample, bodies, frames, kinds
from tests.fuzz.mutations import mutated

from allstop.actors.channels import ConnectionView, GetConnection
from allstop.actors.errors import AllstopError
from allstop.actors.ports import HttpRequest, HttpResponse, response_of
from allstop.actors.protocols.kraken import frames as frames_v2
from allstop.actors.protocols.kraken.events import MalformedFrame
from allstop.actors.runtime import Ref
from allstop.actors.runtime.inspection.status import status_of

pytestmark = pytest.mark.virtual

SETTLE_S = 40.0  # a subscription anew, or a restart and a reconciliation
PRIVATE = ("executions", "balances")


def samples(*channels: str) -> tuple[Sample, ...]:
    """Captured v2 frames, of these channels where they are of any."""
    wanted = [s for s in frames() if s.place.startswith("v2")]
    return tuple(
        s for s in kinds(tuple(wanted), 6) if not channels or any(c.encode() in s.text for c in channels)
    )


class Standing:
    """Actors that are started again when they ended; what each ended with is kept."""

    def __init__(self) -> None:
        self.starts: dict[str, Callable[[], Coroutine[Any, Any, Ref]]] = {}
        self.refs: dict[str, Ref] = {}
        self.ended: list[tuple[str, BaseException | None]] = []

    async def start(self, name: str, how: Callable[[], Coroutine[Any, Any, Ref]]) -> None:
        self.starts[name] = how
        self.refs[name] = await how()

    async def look_after(self) -> None:
        for name, ref in list(self.refs.items()):
            if not ref.is_alive():
                error = exit_of(ref).error
                assert isinstance(error, AllstopError), (
                    f"{name} ended with {error!r}, which nobody expects of a venue"
                )
                self.ended.append((name, error))
                self.refs[name] = await self.starts[name]()

    def bounded(self) -> None:
        for ref in self.refs.values():
            told = status_of(ref)
            assert told is None or told.mailbox_len <= 2000


def slip_in(rig: Rig, text: str, *, private: bool) -> int:
    """Puts a frame on its way to every such connection; how many there are."""
    to = [c for c in rig.venue.connections.values() if c.private is private]
    for connection in to:
        connection.out.append(text)
        rig.venue.has_output(connection)
    rig.kraken.flush()
    return len(to)


@pytest.mark.parametrize("seed", range(3))
async def test_the_private_side_goes_on_in_doubt_or_ends_with_a_reason_and_trades_again(seed: int) -> None:
    dice, pool, standing = Random(f"private:{seed}"), samples(), Standing()
    async with Rig() as rig:
        await standing.start("session", rig.session)
        await standing.start("stream", rig.stream)
        await standing.start("reconciler", rig.reconciler)
        await settled(rig, standing)
        for _ in range(20):
            damage, text = mutated(dice.choice(pool).text, dice)
            await one_bad_frame(rig, standing, text.decode("utf-8", "replace"), damage)
        assert await trades(rig, standing), "it does not trade any more"


async def one_bad_frame(rig: Rig, standing: Standing, frame: str, damage: str) -> None:
    before = len(rig.gate_told)
    session = standing.refs["session"]
    counted = await malformed_of(session)
    assert slip_in(rig, frame, private=True) == 1
    await asyncio.sleep(0.5)
    bad = [event for event in frames_v2.decode(frame) if isinstance(event, MalformedFrame)]
    if bad and session.is_alive():
        assert await malformed_of(session) > counted, f"{damage}: nothing was said of {frame[:200]!r}"
    doubted = [proof for proof in rig.gate_told[before:] if not proof.holds]
    if any(event.channel in (None, *PRIVATE) for event in bad):
        assert doubted, f"{damage}: no proof fell after {frame[:200]!r}"
    standing.bounded()
    await settled(rig, standing)


async def malformed_of(session: Ref) -> int:
    view = await session.call(GetConnection(), timeout_s=1)
    assert isinstance(view, ConnectionView)
    return view.malformed


async def settled(rig: Rig, standing: Standing) -> None:
    """Until every proof is there again."""
    deadline_s = rig.clock.now_s() + SETTLE_S
    while not all(rig.proven(name) for name in ("session", "stream", "sequence", "reconciled")):
        assert rig.clock.now_s() < deadline_s, f"no proof again after {SETTLE_S} s: {rig.gate_told[-4:]}"
        await standing.look_after()
        await asyncio.sleep(0.1)
    await standing.look_after()
    await asyncio.sleep(25)  # so that three faults are not always within a minute


async def trades(rig: Rig, standing: Standing) -> bool:
    outcome = await standing.refs["session"].call(await rig.committed(entry()), timeout_s=10)
    return type(outcome).__name__ == "Accepted"


@pytest.mark.parametrize("seed", range(2))
async def test_market_data_is_stale_after_damage_and_fresh_again_or_ends_with_a_reason(seed: int) -> None:
    dice, pool, standing = Random(f"public:{seed}"), samples("book", "ticker", "trade", "status"), Standing()
    async with DataRig() as rig:
        await rig.data()
        standing.refs = {
            path: rig.system.address(path) for path in ("/data/connection", "/data/book.BTC-USD")
        }
        connection, pair = standing.refs.values()
        await rig.until(lambda: rig.freshness(BTC.pair))
        for _ in range(8):
            damage, text = mutated(dice.choice(pool).text, dice)
            frame = text.decode("utf-8", "replace")
            votes = len(rig.votes)
            assert slip_in(rig, frame, private=False) == 1
            await asyncio.sleep(0.2)
            if not pair.is_alive() or not connection.is_alive():
                for ref in (pair, connection):
                    if not ref.is_alive():
                        assert isinstance(exit_of(ref).error, AllstopError), (
                            f"{damage}: {exit_of(ref)} of {frame[:300]!r}"
                        )
                return  # it was seen: its supervisor starts it anew
            bad = [event for event in frames_v2.decode(frame) if isinstance(event, MalformedFrame)]
            if any(event.channel == "book" for event in bad):
                assert type(rig.votes[-2]) is not type(
                    rig.votes[-1]
                )  # cast for it, and withdrawn by a new snapshot
                assert len(rig.votes) > votes
            await rig.until(lambda: rig.freshness(BTC.pair))
            standing.bounded()
            await asyncio.sleep(25)


async def test_a_frame_whose_channel_cannot_even_be_read_puts_the_private_stream_in_doubt() -> None:
    standing = Standing()
    async with Rig() as rig:
        await standing.start("session", rig.session)
        await standing.start("stream", rig.stream)
        await standing.start("reconciler", rig.reconciler)
        await settled(rig, standing)
        slip_in(rig, '{"channel[":"executions","type":"update","sequ', private=True)
        await rig.until(lambda: rig.history("stream") == [True, False, True], within_s=5)
        assert rig.history("sequence") == [True, False, True]


async def test_a_flood_of_damage_is_bounded_and_ends_with_a_reason_or_goes_on() -> None:
    dice, standing = Random("flood"), Standing()
    pool = samples("executions", "balances")
    texts = [mutated(dice.choice(pool).text, dice)[1].decode("utf-8", "replace")[:20_000] for _ in range(200)]
    async with Rig() as rig:
        await standing.start("session", rig.session)
        await standing.start("stream", rig.stream)
        await standing.start("reconciler", rig.reconciler)
        await settled(rig, standing)
        for n in range(3000):
            slip_in(rig, texts[n % len(texts)], private=True)
            if n % 100 == 0:
                await asyncio.sleep(0.01)
                standing.bounded()
        await asyncio.sleep(1)
        assert not rig.proven("stream")  # three faults in a minute are an exit, and what ended proves nothing
        await settled(rig, standing)
        assert await trades(rig, standing)


@pytest.mark.parametrize("seed", range(4))
async def test_damaged_rest_answers_leave_the_account_in_doubt_until_good_ones_come(seed: int) -> None:
    """Tokens, open orders, closed orders, balances and every other read of the desk and the reconciler."""
    dice, standing = Random(f"rest:{seed}"), Standing()
    captured = bodies()
    async with Rig() as rig:
        damage_next = 0
        damaged: list[bytes] = []

        async def handler(request: HttpRequest) -> HttpResponse:
            nonlocal damage_next
            answer = await response_of(rig.kraken.handle_http(request))
            if damage_next <= 0:
                return answer
            damage_next -= 1
            body = answer.body if dice.random() < 0.6 else dice.choice(captured).text
            _, body = mutated(body, dice)
            damaged.append(body[:200])
            return HttpResponse(status=dice.choice((200, 200, 200, 502)), headers=answer.headers, body=body)

        rig.network.serve_http(rig.kraken.http_url, handler)
        await standing.start("session", rig.session)
        await standing.start("stream", rig.stream)
        await standing.start("reconciler", rig.reconciler)
        await settled(rig, standing)
        for _ in range(20):
            damage_next = dice.choice((1, 2, 3, 6))
            if dice.random() < 0.3:
                rig.network.cut_websockets()
            await asyncio.sleep(12)  # two rounds of the reconciler
            damage_next = 0
            standing.bounded()
            await settled(rig, standing)
        assert damaged
        assert await trades(rig, standing)
