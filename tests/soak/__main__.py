"""`python -m tests.soak`: the longer tier, an hour on two cores.

Stories in which the engine is killed again and again (tests/kill), whole demos with other seeds, simulated bad days by
the thousand, the planted bugs (tests/mutants), supervisors against their model, mutated captures through the codecs.
What computes has every core, what runs in real time goes on beside it. A line per item, with rate and ETA. What is done
is kept in build/soak.json: a soak that was interrupted, killed, or ran out of minutes, goes on from there; `--fresh`
begins anew. An item that failed is named with its seed, the file of it, and how to run it alone; it is run again by the
next soak. What a failed item left is in build/soak/.

Exit codes: 0 everything that was run holds, and that was all of it, or all that fits into the --minutes asked for; 1 an
item failed; 2 the input is wrong; 3 an hour is over with items left; 130 interrupted.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable

from tests.kill.engine import ROOT
from tests.soak.book import Book, Item, eta_s, expected_s, parse_seeds, parse_simulated, planned, startable
from tests.soak.items import CAUGHT, ItemFailed, run_item

from allstop.actors.clock import SystemClock

BUILD = ROOT / "build"
MINUTES = 60.0
UNFINISHED = 3


class Soak:
    """Runs what is left of the items, beside one another."""

    def __init__(self, items: list[Item], book: Book, minutes: float, cores: int) -> None:
        self._items, self._book, self._cores = items, book, cores
        self._within_s = minutes * 60
        self._clock = SystemClock()
        self._began_s = self._clock.now_s()
        self._running: dict[asyncio.Task[str], tuple[Item, float]] = {}
        self.left = book.left(items)
        self.failed: dict[Item, str] = {}
        self._ran = 0

    @property
    def _spent_s(self) -> float:
        return self._clock.now_s() - self._began_s

    async def run(self) -> None:
        """Until nothing is left, or nothing that would be over in time."""
        done = len(self._items) - len(self.left)
        if done:
            say(f"resuming: {done} of {len(self._items)} passed before ({self._book.path})")
        try:
            self._begin()
            while self._running:
                over, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in over:
                    self._ended(task)
                self._begin()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self) -> None:
        """As many as there is room for; what would end too late waits for the next soak."""
        inside = [
            item for item in self.left if self._spent_s + expected_s(item, self._book.done) <= self._within_s
        ]
        while item := startable(inside, [item for item, _ in self._running.values()], self._cores):
            inside.remove(item)
            self.left.remove(item)
            task = asyncio.create_task(run_item(item, BUILD / "soak" / str(item).replace(":", "-")))
            self._running[task] = item, self._clock.now_s()

    def _ended(self, task: "asyncio.Task[str]") -> None:
        item, started_s = self._running.pop(task)
        took_s = self._clock.now_s() - started_s
        self._ran += 1
        try:
            told = task.result()
        except ItemFailed as error:
            self.failed[item] = str(error)
            told = f"FAILED: {error}"
        else:
            self._book.passed(item, took_s)
        beside = [item for item, _ in self._running.values()]
        over = len(self._items) - len(self.left) - len(beside)
        left_s = eta_s([*beside, *self.left], self._book.done, self._cores)
        say(
            f"[{over}/{len(self._items)}] {item}: {told} | {took_s:.0f} s, {self._ran / self._spent_s * 60:.1f} a minute, "
            f"ETA {left_s / 60:.0f} min"
        )


def say(line: str) -> None:
    print(line, flush=True)


def soak(items: list[Item], book: Book, minutes: float | None, cores: int) -> int:
    """Runs what is left of the items. The exit code."""
    run = Soak(items, book, MINUTES if minutes is None else minutes, cores)
    asyncio.run(run.run())
    if CAUGHT:
        say("the kills caught intents: " + ", ".join(f"{n} {what}" for what, n in CAUGHT.most_common()))
    for item, why in run.failed.items():
        say(f"FAILED {item}: {why}\n  again: python -m tests.soak --only {item}")
    if run.left:
        say(
            f"{MINUTES if minutes is None else minutes:g} minutes are over with {len(run.left)} of {len(items)} items left: run it again to go on"
        )
    elif not run.failed:
        say(f"all {len(items)} items hold")
        book.close()
    if run.failed:
        return 1
    return UNFINISHED if run.left and minutes is None else 0


def main() -> int:
    asked = parsed()
    book = Book.open(BUILD / "soak.json")
    if asked.fresh:
        book = Book(book.path)
        book.close()
    items = planned(
        asked.kills, asked.seeds, asked.simulated, mutants=not asked.no_mutants, model=asked.model, fuzz=asked.fuzz
    )  # fmt: skip
    if asked.only:
        items, book = [asked.only], Book(BUILD / "soak-only.json")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    try:
        return soak(items, book, asked.minutes, asked.cores)
    except KeyboardInterrupt:
        print(
            f"interrupted with {len(book.left(items))} of {len(items)} items left: run it again to go on",
            file=sys.stderr,
        )
        return 130


def in_words(parse: Callable[[str], object]) -> Callable[[str], object]:
    """The same parser, whose own words argparse repeats."""

    def parsed(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kills", type=int, default=200, help="at least so many SIGKILLs (default 200)")
    add("--seeds", type=in_words(parse_seeds), default=range(30), help="demo seeds A..B (default 0..29)")
    add("--simulated", type=in_words(parse_simulated), default=parse_simulated("2000"), metavar="N|A..B",
        help="simulated seeds of three virtual minutes, in whole batches of 50 (default 2000)")  # fmt: skip
    add("--model", type=int, default=3000, help="histories of supervisors (default 3000)")
    add("--fuzz", type=int, default=5, help="minutes of mutated captures (default 5)")
    add("--no-mutants", action="store_true", help="leave the planted bugs out")
    add(
        "--minutes",
        type=float,
        help="start nothing that would end later (default 60): a slice, and what is left is no failure",
    )
    add(
        "--cores",
        type=int,
        default=os.cpu_count() or 1,
        help="how many items compute at once (default: one per core)",
    )
    add(
        "--only",
        type=in_words(Item.parse),
        help="one item: kills:N, demo:N, seeds:N, mutants:0, model:N or fuzz:N",
    )
    add("--fresh", action="store_true", help="forget what an interrupted soak has done")
    asked = parser.parse_args()
    if min(asked.kills, asked.model, asked.fuzz) < 0:
        parser.error("--kills, --model and --fuzz are at least 0")
    if asked.cores < 1 or (asked.minutes is not None and not asked.minutes > 0):
        parser.error("--cores is at least 1 and --minutes above 0")
    return asked


if __name__ == "__main__":
    sys.exit(main())
