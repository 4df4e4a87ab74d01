"""`python -m tests.soak [--kills N] [--seeds A..B] [--simulated N] [--minutes M]`: the longer tier.

Stories in which the engine is killed again and again (tests/kill), whole demos with other seeds, simulated bad days by
the thousand and the planted bugs (tests/mutants), each judged by every oracle. A line per item. What is done is kept in build/soak.json: a soak that was interrupted, or ran out of
minutes, goes on from there; `--fresh` begins anew. Exit 1 when an item failed, with its seed and how to run it alone;
its journals, logs and the venue's truth are left in build/soak/.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import msgspec
from tests.kill.engine import ROOT
from tests.kill.story import StoryFailed, run_story
from tests.soak.book import KILLS_PER_STORY, Book, Item, eta_s, expected_s, parse_seeds, planned

from allstop.actors.clock import SystemClock

BUILD = ROOT / "build"
STORY_MAX_S = 300.0  # eight starts, each bounded by the recovery time objective of 30 s, and a halt
DEMO_MAX_S = 120.0  # it promises 60
SEEDS_MAX_S = 900.0  # fifty seeds take one minute on two idle cores
MUTANTS_MAX_S = 1800.0  # two minutes where every known seed still catches its bug; else it searches
LIMITS_S = {"kills": STORY_MAX_S, "demo": DEMO_MAX_S, "seeds": SEEDS_MAX_S, "mutants": MUTANTS_MAX_S}


CAUGHT: Counter[str] = Counter()  # of this run: where between their steps the kills caught intents


class ItemFailed(Exception):
    """An item did not hold, and why."""


async def run_item(item: Item, keep: Path) -> str:
    """What it has to tell. Raises ItemFailed."""
    limit_s = LIMITS_S[item.kind]
    runs = {"kills": run_kills, "demo": run_demo, "seeds": run_seeds, "mutants": run_mutants}
    try:
        async with asyncio.timeout(limit_s):
            return await runs[item.kind](item, keep)
    except TimeoutError:
        raise ItemFailed(f"not over after {limit_s:.0f} s") from None


async def run_kills(item: Item, keep: Path) -> str:
    try:
        told = await run_story(item.seed, KILLS_PER_STORY - 2, keep=keep)
    except StoryFailed as failed:
        raise ItemFailed(str(failed)) from failed
    bare = told.uncovered
    CAUGHT.update(told.caught)
    return (
        f"{told.kills} kills, {told.orders} orders, {told.executions} executions; starts up to {max(told.starts_ms) / 1000:.1f} s; "
        f"uncovered up to {bare.unbarred_ms_max:.0f} ms ({bare.live_ms_max:.0f} with barred time) live, {bare.starting_ms_max:.0f} starting, {bare.dead_ms_max:.0f} dead"
    )


async def run_demo(item: Item, keep: Path) -> str:
    await run_child("demo", "--seed", str(item.seed), "--json", "--keep", str(keep))
    shutil.rmtree(keep, ignore_errors=True)
    return "every oracle that applies holds"


async def run_seeds(item: Item, keep: Path) -> str:
    seeds = item.simulated
    said = await run_child(
        "simulate", "busy", "--seeds", f"{seeds[0]}..{seeds[-1]}", "--faults", "bad-day", "--json", "--out", str(keep)
    )  # fmt: skip
    told = msgspec.json.decode(said)
    faults = sum(told["faults"].values())
    return (
        f"seeds {told['seeds']}: {told['submitted']} orders, {faults} faults, {told['crashes']} crashes, {told['lives']} processes, "
        f"{told['virtual_s'] / told['wall_s']:.0f} virtual s/s"
    )


async def run_mutants(_item: Item, _keep: Path) -> str:
    return (await run_process(sys.executable, "-m", "tests.mutants")).splitlines()[-1]


async def run_child(*arguments: str) -> str:
    """A command of allstop, which ends with this process, however that ends."""
    return await run_process(sys.executable, "-m", "tests.kill.child", str(os.getpid()), *arguments)


async def run_process(*command: str) -> str:
    """What it printed. Raises ItemFailed, with the end of what it said, when it does not exit with 0."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # a campaign has processes of its own
            await process.communicate()
    if process.returncode != 0:
        raise ItemFailed(
            f"exit {process.returncode}: {err.decode()[-800:].strip()} {out.decode()[-1200:].strip()}"
        )
    return out.decode()


async def soak(items: list[Item], book: Book, minutes: float) -> int:
    """Runs what is left of the items. The exit code."""
    clock = SystemClock()
    began_s = clock.now_s()
    left, failed = book.left(items), dict[Item, str]()
    if len(left) < len(items):
        print(f"resuming: {len(items) - len(left)} of {len(items)} passed before ({book.path})", flush=True)
    ran = 0
    while left:
        item = left[0]
        spent_s = clock.now_s() - began_s
        if spent_s + expected_s(item, book.done) > minutes * 60:
            print(
                f"{minutes:g} minutes are over with {len(left)} items left: run it again to go on", flush=True
            )
            break
        left.pop(0)
        started_s = clock.now_s()
        try:
            told = await run_item(item, BUILD / "soak" / str(item).replace(":", "-"))
        except ItemFailed as error:
            failed[item] = str(error)
            told = f"FAILED: {error}"
        else:
            book.passed(item, clock.now_s() - started_s)
        ran += 1
        spent_s = clock.now_s() - began_s
        done = len(items) - len(left)
        print(
            f"[{done}/{len(items)}] {item}: {told} | {clock.now_s() - started_s:.0f} s, {ran / spent_s * 60:.1f} a minute, "
            f"ETA {eta_s(left, book.done) / 60:.0f} min",
            flush=True,
        )
    if CAUGHT:
        print(
            "the kills caught intents: " + ", ".join(f"{n} {what}" for what, n in CAUGHT.most_common()),
            flush=True,
        )
    if not left and not failed:
        print(f"all {len(items)} items hold", flush=True)
        book.close()
    for item in failed:
        print(f"FAILED {item}: python -m tests.soak --only {item}", flush=True)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Many process kills, demos on real sockets, simulated bad days, and the planted bugs.",
    )
    parser.add_argument("--kills", type=int, default=200, help="at least so many SIGKILLs (default 200)")
    parser.add_argument(
        "--seeds", type=parse_seeds, default=range(30), help="demo seeds A..B (default 0..29)"
    )
    parser.add_argument(
        "--simulated", type=int, default=2000, help="simulated seeds of three virtual minutes (default 2000)"
    )
    parser.add_argument("--no-mutants", action="store_true", help="leave the planted bugs out")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="starts nothing that would end later (default 60)"
    )
    parser.add_argument("--only", type=Item.parse, help="one item: kills:N, demo:N, seeds:N or mutants:0")
    parser.add_argument("--fresh", action="store_true", help="forget what an interrupted soak has done")
    asked = parser.parse_args()
    if asked.kills < 0 or asked.simulated < 0 or asked.minutes <= 0:
        parser.error("--kills and --simulated are at least 0 and --minutes above 0")
    book = Book.open(BUILD / "soak.json")
    if asked.fresh:
        book = Book(book.path)
    items = planned(asked.kills, asked.seeds, asked.simulated, mutants=not asked.no_mutants)
    if asked.only:
        items, book = [asked.only], Book(BUILD / "soak-only.json")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    try:
        return asyncio.run(soak(items, book, asked.minutes))
    except KeyboardInterrupt:
        print("interrupted: run it again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
