"""The tap hears every frame as it came, and judges books from the frames alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from allstop.actors.ports import WebSocketLink
from allstop.supervisors.demo.tap import Tap

BOOK = Path(__file__).parents[1] / "captures/kraken/ws/v2_book10_btcusd_2023-07-30_part1.ndjson"
PUBLIC, PRIVATE = "ws://public/v2", "ws://private/v2"


class Replay:
    """A link that gives these frames, and remembers what was asked of it."""

    def __init__(self, frames: list[str]) -> None:
        self._frames = iter(frames)
        self.said: list[str] = []

    async def send(self, frame: str) -> None:
        self.said.append(frame)

    async def receive(self) -> str:
        return next(self._frames)

    async def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")


class Network:
    """Gives out links, one after the other; remembers the last options."""

    def __init__(self, *links: Replay) -> None:
        self._links = iter(links)
        self.options: dict[str, object] = {}

    async def __call__(
        self, url: str, *, open_timeout_s: float = 5.0, ping_interval_s: float = 5.0, ping_timeout_s: float = 5.0,
        close_timeout_s: float = 0.5, on_traffic: Callable[[], None] | None = None,
    ) -> WebSocketLink:  # fmt: skip
        self.options = {
            "open": open_timeout_s, "interval": ping_interval_s, "timeout": ping_timeout_s, "close": close_timeout_s,
            "on_traffic": on_traffic,
        }  # fmt: skip
        return next(self._links)


def frames() -> list[str]:
    return BOOK.read_text().splitlines()


async def drained(tap: Tap, url: str, count: int) -> None:
    link = await tap(url)
    for _ in range(count):
        await link.receive()


async def test_every_frame_is_counted_on_every_connection() -> None:
    tap = Tap(Network(Replay(frames()), Replay(["{}", "{}"])))
    await drained(tap, PUBLIC, 10)
    await drained(tap, PRIVATE, 2)
    assert tap.frames_in == 12


async def test_the_books_of_one_address_are_judged_connection_by_connection() -> None:
    good, bad = frames()[:40], frames()[:40]
    bad[20] = bad[20].replace('"qty":', '"qty":1', 1)
    tap = Tap(Network(Replay(good), Replay(bad), Replay(good)))
    for url in (PUBLIC, PUBLIC, PRIVATE):
        await drained(tap, url, 40)
    verdicts = tap.verdicts(PUBLIC)
    assert [verdict.checksums_bad > 0 for verdict in verdicts] == [False, True]
    assert verdicts[0].checksums_ok == 40


async def test_half_a_frame_is_counted_and_not_judged() -> None:
    cut = frames()[:5]
    cut.insert(3, cut[3][: len(cut[3]) // 2])
    tap = Tap(Network(Replay(cut)))
    await drained(tap, PUBLIC, 6)
    (verdict,) = tap.verdicts(PUBLIC)
    assert (tap.frames_in, verdict.checksums_ok, verdict.checksums_bad) == (6, 5, 0)


async def test_a_connection_without_one_readable_frame_has_no_verdict() -> None:
    tap = Tap(Network(Replay(["{half"]), Replay([])))
    await drained(tap, PUBLIC, 1)
    await tap(PUBLIC)
    assert tap.verdicts(PUBLIC) == []


async def test_what_is_sent_and_how_it_ends_passes_through() -> None:
    replay = Replay([])
    network = Network(replay)

    def heard() -> None: ...

    link = await Tap(network)(
        PUBLIC,
        open_timeout_s=1.0,
        ping_interval_s=2.0,
        ping_timeout_s=3.0,
        close_timeout_s=4.0,
        on_traffic=heard,
    )
    await link.send("hello")
    await link.close()
    link.abort()
    assert replay.said == ["hello", "close", "abort"]
    assert network.options == {
        "open": 1.0,
        "interval": 2.0,
        "timeout": 3.0,
        "close": 4.0,
        "on_traffic": heard,
    }


@pytest.mark.parametrize("count", [0, 1])
async def test_a_tap_that_heard_nothing_says_so(count: int) -> None:
    tap = Tap(Network(Replay([])))
    for _ in range(count):
        await tap(PUBLIC)
    assert (tap.frames_in, tap.verdicts(PUBLIC)) == (0, [])
