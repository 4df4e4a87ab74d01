"""A disk whose commits take a large part of a second, and no error: stops are placed all the same, and nothing halts."""

import asyncio

import pytest

from allstop.actors.levels import ROOT, Level
from allstop.actors.links.condition import DiskCondition
from allstop.supervisors.simulation import trees
from allstop.supervisors.simulation.stage import Stage

pytestmark = pytest.mark.virtual
BEFORE_S, BETWEEN_S, CANCELED = 20.0, 15.0, 3


@pytest.mark.parametrize("commit_s", [0.2, 0.3, 0.4, 0.6, 0.8])
async def test_a_stop_that_is_gone_is_placed_again_though_commits_are_slow(commit_s: float) -> None:
    """Half a second of patience was less than two commits: the guardian's stop left without one, egress took it for
    stray and halted everything, and the position stayed bare."""
    stage = Stage(trees.busy(), seed=0)
    async with stage:
        await asyncio.sleep(BEFORE_S)
        await stage.chaos.lay_on_disk("kraken.main", "slow", DiskCondition(commit_s=commit_s))
        for _ in range(CANCELED):
            if stops := [order for order in stage.venue.truth()["orders"].values() if _is_stop(order)]:
                stage.venue.by_hand("CancelOrder", txid=stops[-1]["order_id"])
            await asyncio.sleep(BETWEEN_S)
        assert stage.runtime.levels.effective(ROOT) is Level.NONE
        cover = await stage.ask(stage.runtime.cover("kraken.main"))
        assert [pair.pair for pair in cover.pairs if pair.state == "uncovered"] == []
        await stage.chaos.heal_disk("kraken.main")


def _is_stop(order: dict[str, object]) -> bool:
    return bool(order["open"]) and str(order["order_type"]).startswith("stop")
