"""Prints the digest of each of some seeds: `python -m tests.simulation.digests PROFILE SECONDS FIRST LAST [TRACE_DIR]`.

FIRST may be the larger one: the seeds then run the other way round, so that nothing lies where it lay in memory.
"""

import sys
from pathlib import Path

from allstop.supervisors.simulation.run import simulate
from allstop.supervisors.simulation.trees import busy


def main(profile: str, seconds: str, first: str, last: str, directory: str | None = None) -> None:
    begin, end = int(first), int(last)
    step = 1 if begin <= end else -1
    clutter = [bytearray(16 + seed % 700) for seed in range(begin * 997)]
    for seed in range(begin, end + step, step):
        del clutter[:: 2 + seed % 5]
        lines: list[str] = []
        keep = lines.append if directory else None
        outcome = simulate(busy(), seed, duration_s=float(seconds), profile=profile, keep=keep)
        if directory:
            Path(directory, f"{seed}.txt").write_text("".join(lines))
        print(seed, outcome.digest, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
