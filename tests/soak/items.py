"""What each item of the soak runs, and what it has to tell. Every process that is begun here ends with this one."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from tests.kill.child import PR_SET_PDEATHSIG
from tests.kill.engine import ROOT
from tests.kill.story import StoryFailed, run_story
from tests.soak.book import FUZZ_S, KILLS_PER_STORY, MODEL_PER_ITEM, Item

# A bound that only something that hangs meets: on two idle cores each takes a fifth of it or less.
LIMITS_S: Mapping[str, float] = {
    "kills": 300.0,  # eight starts, each bounded by the recovery time objective of 30 s, and a halt
    "demo": 120.0,  # it promises 60
    "seeds": 900.0,
    "mutants": 2400.0,  # two minutes where every known seed still catches its bug; else it searches
    "model": 900.0,
    "fuzz": 4 * FUZZ_S,
}
NICENESS = 10  # of what computes: what runs in real time gets a core when it wants one

CAUGHT: Counter[str] = Counter()  # of this run: where between their steps the kills caught intents

_libc = ctypes.CDLL(None)


class ItemFailed(Exception):
    """An item did not hold, and why."""


async def run_item(item: Item, keep: Path) -> str:
    """What it has to tell; evidence of a failure is left in `keep`. Raises ItemFailed."""
    limit_s = LIMITS_S[item.kind]
    runs = {
        "kills": run_kills, "demo": run_demo, "seeds": run_seeds, "mutants": run_mutants, "model": run_model, "fuzz": run_fuzz,
    }  # fmt: skip
    try:
        async with asyncio.timeout(limit_s):
            return await runs[item.kind](item, keep)
    except TimeoutError:
        raise ItemFailed(f"not over after {limit_s:.0f} s") from None


async def run_kills(item: Item, keep: Path) -> str:
    try:
        told = await run_story(item.seed, KILLS_PER_STORY - 2, keep=keep)
    except StoryFailed as failed:
        raise ItemFailed(f"{failed}; its journals, logs and the venue's truth: {keep}") from failed
    bare = told.uncovered
    CAUGHT.update(told.caught)
    return (
        f"{told.kills} kills, {told.orders} orders, {told.executions} executions; starts up to {max(told.starts_ms) / 1000:.1f} s; "
        f"uncovered up to {bare.unbarred_ms_max:.0f} ms ({bare.live_ms_max:.0f} with barred time) live, {bare.starting_ms_max:.0f} starting, {bare.dead_ms_max:.0f} dead"
    )


async def run_demo(item: Item, keep: Path) -> str:
    await run_process(*allstop("demo", "--seed", str(item.seed), "--json", "--keep", str(keep)))
    shutil.rmtree(keep, ignore_errors=True)
    return "every oracle that applies holds"


async def run_seeds(item: Item, keep: Path) -> str:
    """One process for a batch: other batches have the other cores. Raises ItemFailed with every seed that failed and
    its file."""
    seeds = item.simulated
    said = await run_process(
        *allstop("simulate", "busy", "--seeds", f"{seeds[0]}..{seeds[-1]}", "--faults", "bad-day", "--jobs", "1", "--json", "--out", str(keep)),
        held=lambda out: failed_seeds(out) or None, quiet=True,
    )  # fmt: skip
    told = msgspec.json.decode(said)
    faults = sum(told["faults"].values())
    return (
        f"seeds {told['seeds']}: {told['submitted']} orders, {faults} faults, {told['crashes']} crashes, {told['lives']} processes, "
        f"{told['virtual_s'] / told['wall_s']:.0f} virtual s/s"
    )


def failed_seeds(said: str) -> str:
    """Each seed that failed, with the file that runs it again; empty when none did, or when that is no campaign."""
    try:
        told = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return ""
    return "; ".join(
        f"seed {one['seed']} {one['oracle']} at {one['at_s']:.3f} s: {one['why']}"
        + (f": allstop simulate --replay {one['file']}" if one["file"] else "")
        for one in told["failed"]
    )


async def run_mutants(_item: Item, _keep: Path) -> str:
    said = await run_process(
        sys.executable, "-m", "tests.mutants", quiet=True,
        held=lambda out: "; ".join(line for line in out.splitlines() if "NOT CAUGHT" in line) or None,
    )  # fmt: skip
    return said.splitlines()[-1]


async def run_model(item: Item, _keep: Path) -> str:
    await run_process(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "0", "--hypothesis-seed", str(item.seed), "tests/supervisors/test_model.py",
        environ={"ALLSTOP_MODEL_EXAMPLES": str(MODEL_PER_ITEM)}, quiet=True,
    )  # fmt: skip
    return f"{MODEL_PER_ITEM} histories of supervisors and of dynamic ones are those of their model"


async def run_fuzz(item: Item, _keep: Path) -> str:
    said = await run_process(
        sys.executable, "-m", "tests.fuzz", "--minutes", str(FUZZ_S / 60), "--seed", str(item.seed + 1), quiet=True,
        held=lambda out: "; ".join(line for line in out.splitlines() if line.startswith("FOUND")) or None,
    )  # fmt: skip
    return said.splitlines()[-1]


def allstop(*arguments: str) -> tuple[str, ...]:
    """A command of allstop, from this checkout."""
    return (sys.executable, "-m", "tests.kill.child", str(os.getpid()), *arguments)


async def run_process(
    *command: str,
    environ: Mapping[str, str] | None = None,
    quiet: bool = False,
    held: Callable[[str], str | None] = lambda _: None,
) -> str:
    """What it printed. `quiet`: at a low priority. Raises ItemFailed when it does not exit with 0: with what `held` finds
    in its output, else with the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, preexec_fn=_quiet_child if quiet else _child,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it may have processes of its own
            await process.communicate()
    if process.returncode != 0:
        said = held(out.decode()) or f"{err.decode()[-800:].strip()} {out.decode()[-1200:].strip()}"
        raise ItemFailed(f"exit {process.returncode}: {said}")
    return out.decode()


def _child() -> None:
    """The kernel ends it with this process, also when that is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _quiet_child() -> None:
    _child()
    os.nice(NICENESS)
