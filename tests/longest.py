"""Which files of tests take longest, and so are begun first when there are several workers."""

from pathlib import Path

TESTS = Path(__file__).parent

# The files that take a worker more than five seconds, the longest first. They are begun first: one that was begun last
# kept one of two cores idle until it was done. Whoever is missing here costs time and nothing else.
LONG = (
    "simulation/test_seeds.py", "kill/test_kill.py", "guide/test_guide.py", "runtime/test_isolation_process.py",
    "cli/test_chaos_command.py", "runtime/test_process_attacks.py", "runtime/test_compiled.py", "demo/test_demo.py",
    "benchmarks/test_workloads.py", "captures/test_replay.py", "scenarios/test_process.py", "cli/test_bad_input.py",
    "otp/test_sup_counting.py", "simulation/test_plan.py", "protocols/test_order_life.py", "simulation/test_digests.py",
    "simulated/test_loopback.py", "supervisors/test_model.py", "simulation/test_campaign.py", "fuzz/test_codecs.py",
    "packaging/test_packaging.py", "packaging/test_set_up.py", "benchmarks/test_harness.py",
    "cli/test_simulate_command.py", "connections/test_loopback.py", "kill/test_failing_fsync.py",
)  # fmt: skip


def rank(path: Path) -> int:
    """The place of a file of tests in their order: all that are not long share the last."""
    place = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else ""
    return LONG.index(place) if place in LONG else len(LONG)
