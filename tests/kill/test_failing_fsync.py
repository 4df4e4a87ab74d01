"""A real engine on real SQLite whose disk stops flushing while it trades: it halts, proves it, covers what it has, is
killed, and is halted when it comes back."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.kill.engine import NotInTime
from tests.kill.plan import Kill
from tests.kill.shim import FLAG, environ_of, why_not
from tests.kill.story import RTO_S, Story, Told

from allstop.actors.links.latch import read_latch
from allstop.supervisors.demo.rig import Rig

STORY_S = 100.0


class FailingFsync(Story):
    """The one life that trades ends with a disk that no longer flushes, and then with a SIGKILL."""

    async def run(self, kills: Sequence[Kill] = ()) -> Told:
        engine = await self._start()
        await self._wait_trading(engine)
        await self._wait_executions()
        failing = Path(self.environ[FLAG])
        failing.touch()
        try:
            async with asyncio.timeout(RTO_S):
                while not read_latch(self.state_dir).latched:
                    await asyncio.sleep(0.02)
                status = await engine.wait_answering(RTO_S)
                while not status.get("proven"):
                    status = await engine.wait_answering(RTO_S)
        except TimeoutError:
            raise NotInTime(f"a disk that does not flush was no halt with a proof in {RTO_S:.0f} s") from None
        await self._kill(engine)
        failing.unlink()
        await self._starts_halted_and_stops()
        await self._judge()
        return self.told

    async def _wait_executions(self) -> None:
        async with asyncio.timeout(RTO_S):
            while not (await self.rig.venue.truth())["executions"]:
                await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.loopback
@pytest.mark.skipif(bool(why_not()), reason=why_not())
async def test_an_engine_whose_disk_stops_flushing_halts_for_good_and_loses_nothing(tmp_path: Path) -> None:
    async with asyncio.timeout(STORY_S), Rig("--seed", "fsync") as rig:
        story = FailingFsync(1, rig, tmp_path, lambda _: None)
        story.environ |= environ_of(tmp_path)
        try:
            told = await story.run()
        finally:
            await story.end()
    assert told.broken == []
    assert told.executions > 0
    latch = read_latch(tmp_path / "state")
    assert latch.latched
    assert "journal" in str(latch.reason).lower()
