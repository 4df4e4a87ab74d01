"""What becomes of seeds that failed: each is shrunk for as long as the same oracle says no, and written as a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from allstop.supervisors.config import Tree
from allstop.supervisors.simulation.campaign import Campaign, FailedSeed, tree_named
from allstop.supervisors.simulation.hand import shape_of
from allstop.supervisors.simulation.plan import FaultPlan, make_plan
from allstop.supervisors.simulation.replay import replay_of, write_replay
from allstop.supervisors.simulation.run import NONE, Failure, simulate
from allstop.supervisors.simulation.shrink import Shrinking, shrunk
from allstop.supervisors.simulation.venue import urls_of

SHRUNK_MAX: Final = 5  # seeds; a hundred that fail mostly fail of the same
TRIES: Final = 60  # runs for each of them


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while failures were made smaller. They are all written, each as small as it was by then."""

    def __init__(self, campaign: Campaign) -> None:
        super().__init__("interrupted")
        self.campaign = campaign


def written(
    campaign: Campaign,
    directory: Path,
    duration_s: float,
    *,
    tries: int = TRIES,
    on_try: Callable[[FailedSeed, Shrinking], None] | None = None,
) -> Campaign:
    """The same campaign, once each failed seed is a file in this directory; the first five are shrunk before, with so
    many `tries` each. A seed without faults has nothing to write: its number says it all. Raises OSError before any
    try when the directory cannot be made."""
    if campaign.profile == NONE or not campaign.failed:
        return campaign
    directory.mkdir(parents=True, exist_ok=True)
    tree = tree_named(campaign.tree)
    shape = shape_of(tree, [link for link, urls in urls_of(tree).items() if urls])
    failed: list[FailedSeed] = []
    interrupted = False
    for place, one in enumerate(campaign.failed):
        plan = make_plan(one.seed, campaign.profile, duration_s, shape)
        if place < SHRUNK_MAX and tries and not interrupted:
            plan, interrupted = _shrunk(tree, one, plan, tries, on_try)
        replay = replay_of(plan, tree=campaign.tree, oracle=one.oracle, at_s=one.at_s, why=one.why)
        file = write_replay(directory / f"{campaign.profile}-{one.seed}.json", replay)
        failed.append(msgspec.structs.replace(one, file=str(file), faults=len(plan.faults)))
    done = msgspec.structs.replace(campaign, failed=failed)
    if interrupted:
        raise Interrupted(done)
    return done


def failure_of(tree: Tree, plan: FaultPlan) -> Failure | None:
    """What does not hold when this plan is carried out. A run that breaks fails as `simulation`."""
    try:
        return simulate(tree, plan.seed, duration_s=plan.duration_s, plan=plan).failed
    except Exception as error:  # noqa: BLE001 - the plan under search broke the simulation itself: that is its finding
        return Failure(oracle="simulation", at_s=0.0, why=f"{type(error).__name__}: {error}")


def _shrunk(
    tree: Tree, one: FailedSeed, plan: FaultPlan, tries: int, on_try: Callable[[FailedSeed, Shrinking], None] | None
) -> tuple[FaultPlan, bool]:  # fmt: skip
    """The smallest plan found, and whether Ctrl-C ended the search."""
    found = [plan]

    def fails(smaller: FaultPlan) -> bool:
        failure = failure_of(tree, smaller)
        return failure is not None and failure.oracle == one.oracle

    def told(now: Shrinking) -> None:
        found[0] = now.plan
        if on_try is not None:
            on_try(one, now)

    try:
        return shrunk(plan, fails, tries_max=tries, on_try=told).plan, False
    except KeyboardInterrupt:
        return found[0], True
