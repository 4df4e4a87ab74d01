"""How much faster than life a whole tree runs in the simulated world: engine, venue, network, disk and oracles, on one core.

In processor time, whatever clock the run has: a simulation waits for nothing.
"""

import time

from tests.benchmarks.harness import Measure, Python, Workload
from tests.benchmarks.measuring import amount, settle

QUIET_S = 900  # 2 pairs, 20 orders an hour
BUSY_S = 180  # 2 pairs, at least 20 orders, with the faults of a bad day
BUSY_SEEDS = (1, 2, 3)
WARM_S = 20.0


def ours() -> dict[str, float]:
    from allstop.supervisors.config import Tree
    from allstop.supervisors.simulation.run import NONE, simulate
    from allstop.supervisors.simulation.trees import busy, quiet

    def run(tree: Tree, seed: int, profile: str, seconds: float) -> tuple[float, float, int]:
        """Virtual seconds, those of the processor, and orders."""
        began_s = time.process_time()
        outcome = simulate(tree, seed, duration_s=seconds, profile=profile)
        took_s = time.process_time() - began_s
        if outcome.failed is not None:
            raise AssertionError(f"seed {seed}: {outcome.failed}")
        return outcome.virtual_s, took_s, outcome.submitted

    run(busy(), 1, NONE, WARM_S)
    settle()
    quiet_s, quiet_took_s, _ = run(quiet(), 1, NONE, float(amount(QUIET_S)))
    seconds = float(amount(BUSY_S, at_least=60))  # faults, and the time to recover
    runs = [run(busy(), seed, "bad-day", seconds) for seed in BUSY_SEEDS]
    if seconds == BUSY_S and (fewest := min(orders for _, _, orders in runs)) < 20:
        raise AssertionError(f"{fewest} orders in {BUSY_S} s: that is no busy tree")
    busy_s, busy_took_s = sum(one[0] for one in runs), sum(one[1] for one in runs)
    return {
        "quiet": quiet_s / quiet_took_s,
        "busy": busy_s / busy_took_s,
        "quiet-cost": quiet_took_s / quiet_s * 1e3,
        "busy-cost": busy_took_s / busy_s * 1e3,
    }


WORKLOADS = [
    Workload(
        name="simulate",
        about="a whole tree in the simulated world: virtual seconds in a second of one core, quiet and on a busy bad day",
        measures=(
            Measure("quiet", "virtual s/s"),
            Measure("busy", "virtual s/s"),
            Measure("quiet-cost", "ms", more_is_better=False),
            Measure("busy-cost", "ms", more_is_better=False),
        ),
        ours=Python("tests.benchmarks.workload_simulate:ours"),
    ),
]
