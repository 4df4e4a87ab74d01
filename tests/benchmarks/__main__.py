"""Measures the runtime against its limits and its peers, prints the table, writes JSON; exit code 1 below a floor."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import harness, machine, measuring, table
from tests.benchmarks.harness import Row

ROUNDS, QUICK_ROUNDS, QUICK_SCALE = 7, 3, 0.2
CODE = {
    "pure Python": "pure Python",
    "compiled": "ours with the compiled module (hot.c); floors and goals are those of pure Python",
}
MINUTES = 20.0  # a run of all rounds takes about 12; a machine that is slower than that gets fewer rounds
TRAVELLING = ("tell", "call", "queued-call", "fan-out", "ring", "thread-tell", "pipeline", "async-tell")
DOCS = harness.ROOT / "docs" / "performance.md"


def main() -> int:
    arguments = _arguments()
    if arguments.side:
        print("FIGURES " + json.dumps(harness.run_side(arguments.side, with_it=arguments.compiled)))
        return 0
    known = {workload.name: workload for workload in harness.workloads()}
    if arguments.list:
        for workload in known.values():
            print(
                f"{workload.name:<14} {workload.about}\n{'':<14} against {', '.join(workload.peers) or 'nobody'}"
            )
        return 0
    if arguments.read:
        return _show(json.loads(arguments.read.read_text()), arguments)
    usual = TRAVELLING if arguments.compiled else known
    names = [name for name in arguments.only.split(",") if name] or list(usual)
    if unknown := set(names) - set(known):
        print(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        chosen = [known[name] for name in names]
        run = _measured(_compiled(chosen) if arguments.compiled else chosen, arguments)
    except harness.SideFailed as error:
        print(f"FAILED, and there are no figures: {error}", file=sys.stderr)
        return 2
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(run, indent=2) + "\n")
    return _show(run, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__,
        epilog="With make: make bench ARGS='--only tell,ring --rounds 3'.",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="where to write the run as JSON")
    parser.add_argument("--rounds", type=int, help=f"how often every side runs (default {ROUNDS})")
    parser.add_argument("--only", default="", help="names of workloads, with commas between them")
    parser.add_argument("--list", action="store_true", help="say what the workloads do, and measure nothing")
    parser.add_argument(
        "--quick", action="store_true",
        help=f"{QUICK_ROUNDS} rounds of a fifth of the work: says whether it works, breaks no floor",
    )  # fmt: skip
    parser.add_argument("--peers", action="store_true", help="also those that `make bench-peers` installs")
    parser.add_argument(
        "--cpu", action="store_true",
        help="processor time instead of wall time, without BEAM: for tuning what computes, on a busy machine",
    )  # fmt: skip
    parser.add_argument(
        "--compiled", action="store_true",
        help="our side with the compiled module (built into build/, needs a compiler), beside the pure one; breaks no floor",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=MINUTES, help="start no round after this long")
    parser.add_argument(
        "--read", type=Path, metavar="FILE", help="show an earlier run again, and measure nothing"
    )
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compiled(chosen: list[harness.Workload]) -> list[harness.Workload]:
    """With a build of its own. Raises SideFailed where none can be made."""
    from allstop.actors.errors import BadInput  # not above: a peer's environment has no allstop
    from allstop.supervisors.cli.compile import build

    try:
        build(harness.COMPILED_FILES)
    except BadInput as error:
        raise harness.SideFailed(str(error)) from None
    return [harness.with_compiled(workload) for workload in chosen]


def _measured(chosen: list[harness.Workload], arguments: argparse.Namespace) -> dict[str, Any]:
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    scale = QUICK_SCALE if arguments.quick else 1.0
    about, busy = machine.described(), machine.busy()
    if harness.Beam("").missing() is None:
        harness.compile_beam()
    if arguments.cpu:
        os.environ[measuring.CLOCK] = "cpu"
    measurement = harness.Measurement(chosen, peers=arguments.peers, beam=not arguments.cpu, scale=scale)
    started = time.monotonic()
    for number in range(1, rounds + 1):
        if time.monotonic() - started > arguments.minutes * 60:
            _say(f"{arguments.minutes:g} minutes are over: no more rounds")
            break
        since = time.monotonic()
        measurement.round(lambda name, number=number: _say(f"round {number} of {rounds}: {name}", again=True))
        _say(f"round {number} of {rounds}: {time.monotonic() - since:.0f} s")
    return {
        "machine": about,
        "busy": busy,
        "rounds": measurement.rounds,
        "scale": scale,
        "clock": "processor" if arguments.cpu else "wall",
        "peers": arguments.peers,
        "code": "compiled" if arguments.compiled else "pure Python",
        "rows": [row.as_json() for row in measurement.rows()],
    }


def _say(words: str, *, again: bool = False) -> None:
    """Progress, on stderr: over itself on a terminal, else a line per round."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="" if again else "\n", file=sys.stderr, flush=True)
    elif not again:
        print(words, file=sys.stderr, flush=True)


def _show(run: dict[str, Any], arguments: argparse.Namespace) -> int:
    rows = [Row(**row) for row in run["rows"]]
    lines = table.asked_for(table.judged(rows), {row.workload for row in rows})
    print(_report(run, rows, lines))
    if arguments.write_docs:
        figures, start = _for_docs(run, rows, lines), table.START
        if run.get("code") == "compiled":
            start = table.START_COMPILED
        elif run.get("peers"):
            figures, start = _of_libraries(run, rows), table.START_PEERS
        DOCS.write_text(table.replaced(DOCS.read_text(), figures, start))
        print(f"\nwritten to {DOCS.relative_to(harness.ROOT)}")
    below = table.broken(lines)
    if not below or run.get("code") == "compiled":  # floors are those of pure Python
        return 0
    for line in below:
        print(
            f"BELOW FLOOR: {line.target.id} {line.target.text}: {line.as_json()['value']:.2f}",
            file=sys.stderr,
        )
    return 1 if run["scale"] == 1 and run["clock"] == "wall" else 0


def _machine(run: dict[str, Any]) -> list[str]:
    return [f"{name}: {what}" for name, what in run["machine"].items()] + [
        f"code: {CODE[run.get('code', 'pure Python')]}",
        f"rounds: {run['rounds']}, {run['clock']} time; every side in a process of its own, medians, ratios paired by round, over 1 is better",
    ]


def _report(run: dict[str, Any], rows: list[Row], lines: list[table.Line]) -> str:
    parts = ["\n".join(_machine(run)), table.text(table.HEADS, [line.cells for line in lines])]
    if more := table.others(rows, lines):
        parts.append(table.text(table.MORE_HEADS, [table.other_cells(row) for row in more]))
    parts.append(table.beam(rows))
    if caveats := table.caveats(rows):
        parts.append("of the peers:\n" + "\n".join(f"  {line}" for line in caveats))
    if missed := table.absent(rows):
        parts.append("absent:\n" + "\n".join(f"  {line}" for line in missed))
    return "\n\n".join(parts)


def _for_docs(run: dict[str, Any], rows: list[Row], lines: list[table.Line]) -> str:
    shown = [line for line in lines if line.row is not None]
    parts = [
        "\n".join(f"- {line}" for line in _machine(run)),
        table.markdown(table.HEADS, [line.cells for line in shown]),
        table.beam(rows),
        table.markdown(table.MORE_HEADS, [table.other_cells(row) for row in table.others(rows, lines)]),
    ]
    if caveats := table.caveats(rows):
        parts.append("Of the peers:\n\n" + "\n".join(f"- {line}" for line in caveats))
    if missed := table.absent(rows):
        parts.append("Absent in this run:\n\n" + "\n".join(f"- {line}" for line in missed))
    return "\n\n".join(parts)


def _of_libraries(run: dict[str, Any], rows: list[Row]) -> str:
    measured = table.libraries(rows)
    parts = [
        "\n".join(f"- {line}" for line in _machine(run)),
        table.markdown(table.MORE_HEADS, [table.other_cells(row) for row in measured]),
        "Of them:\n\n" + "\n".join(f"- {line}" for line in table.caveats(measured)),
    ]
    if missed := table.absent(rows):
        parts.append("Absent in this run:\n\n" + "\n".join(f"- {line}" for line in missed))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
