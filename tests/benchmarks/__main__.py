"""`python -m tests.benchmarks --out build/bench.json [--rounds N] [--only NAME,...]`: prints a table, writes JSON."""

import argparse
import json
from pathlib import Path

from tests.benchmarks import harness


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, help="where to write the list of results as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names of workloads, with commas between them")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(repr(harness.run_side(arguments.side)))
        return
    known = harness.workloads()
    names = [name for name in arguments.only.split(",") if name] or [workload.name for workload in known]
    if unknown := set(names) - {workload.name for workload in known}:
        parser.error(
            f"no workload {', '.join(sorted(unknown))}; there are {', '.join(w.name for w in known)}"
        )
    if harness.Beam("").missing() is None:
        harness.compile_beam()
    rows: list[harness.Row] = []
    print(f"{'workload':<26} {'peer':<26} {'ours':>14} {'theirs':>14} {'ratio':>7}  unit")
    for workload in known:
        if workload.name in names:
            for row in harness.measure(workload, arguments.rounds):
                rows.append(row)
                print(_line(row), flush=True)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")


def _line(row: harness.Row) -> str:
    theirs = "-" if row.theirs is None else f"{row.theirs:,.2f}"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    note = f"  ({row.note})" if row.note else ""
    return f"{row.workload:<26} {row.peer:<26} {row.ours:>14,.2f} {theirs:>14} {ratio:>7}  {row.unit}{note}"


if __name__ == "__main__":
    main()
