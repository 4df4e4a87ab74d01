"""`python -m tests.fuzz [--minutes M] [--seed S] [--target NAME]`: mutated captures through every codec, for long.

A line every ten seconds with rate and ETA. What breaks a promise is written to tests/fuzz/found/ as it came in (each
distinct fault once, its name says for which target), where `make test` replays it for ever. Exit 1 if anything was found.
"""

import argparse
import sys
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.fuzz.corpus import Sample, bodies, frames, kinds
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import FRAME_TARGETS, TARGETS, broke

from allstop.actors.clock import SystemClock

FOUND = Path(__file__).parent / "found"
SLOW_S = 3.0  # for one text through one target: the links let through a megabyte at most
TELL_EVERY_S = 10.0
EACH = 40  # samples of one shape in one file


def samples_for(target: str) -> tuple[Sample, ...]:
    return kinds(frames(), EACH) if target in FRAME_TARGETS else bodies()


def keep(target: str, text: bytes, where: Path = FOUND) -> Path:
    """Writes a failing input as a file that `test_found` replays."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{target}.{sha256(text).hexdigest()[:12]}.bin"
    path.write_bytes(text)
    return path


def fuzz(minutes: float, seed: int, only: str | None = None, where: Path = FOUND) -> int:
    """How many distinct faults were found. The same seed tries the same texts in the same order."""
    dice, clock = Random(seed), SystemClock()
    names = [only] if only else list(TARGETS)
    pools = {name: samples_for(name) for name in names}
    began_s = told_s = clock.now_s()
    faults: dict[str, Path] = {}
    tried = 0
    slowest = (0.0, "")
    while (spent_s := clock.now_s() - began_s) < minutes * 60:
        target = dice.choice(names)
        sample = dice.choice(pools[target])
        damage, text = mutated(sample.text, dice)
        at_s = clock.now_s()
        fault = broke(target, text)
        took_s = clock.now_s() - at_s
        slowest = max(slowest, (took_s, f"{target} {damage} of {sample.place}"))
        if fault is None and took_s > SLOW_S:
            fault = f"{target}: {took_s:.1f} s for {len(text)} bytes"
        tried += 1
        if fault is not None and (name := fault[:120]) not in faults:
            faults[name] = keep(target, text, where)
            print(f"FOUND {fault} | {damage} of {sample.place} | {faults[name]}", flush=True)
        if at_s - told_s >= TELL_EVERY_S:
            told_s = at_s
            print(
                f"{tried} texts, {tried / spent_s:.0f} a second, {len(faults)} faults, slowest {slowest[0] * 1000:.0f} ms"
                f" ({slowest[1]}), ETA {minutes - spent_s / 60:.1f} min", flush=True,
            )  # fmt: skip
    print(
        f"{tried} texts with seed {seed}: {len(faults)} faults; slowest {slowest[0] * 1000:.0f} ms ({slowest[1]})"
    )
    return len(faults)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Mutated captures through every codec."
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="for how long (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same texts (default 1)")
    parser.add_argument("--target", choices=sorted(TARGETS), help="only this one")
    asked = parser.parse_args()
    if asked.minutes <= 0:
        parser.error("--minutes is above 0")
    return 1 if fuzz(asked.minutes, asked.seed, asked.target) else 0


if __name__ == "__main__":
    sys.exit(main())
