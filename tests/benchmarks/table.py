"""What was measured against what it must reach: as lines, as text, as Markdown, as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.harness import BEAM, PURE, PYKKA, RAW, Row
from tests.benchmarks.peers import PEERS
from tests.benchmarks.targets import BEST, TARGETS, Target, Verdict

START, END = "<!-- figures of one run: make bench ARGS=--write-docs -->", "<!-- end of figures -->"
START_COMPILED = "<!-- figures of one run: make bench ARGS='--compiled --write-docs' -->"
START_PEERS = "<!-- figures of one run: make bench-peers ARGS=--write-docs -->"


@dataclass(frozen=True)
class Line:
    """A target, the row that is compared with it, and the verdict. No row: the peer is absent, or was not asked for."""

    target: Target
    row: Row | None
    verdict: Verdict

    @property
    def cells(self) -> tuple[str, ...]:
        target, row = self.target, self.row
        peer = target.peer
        if row is not None and target.peer == BEST:
            peer = row.peer
        return (
            target.id,
            target.text,
            "-" if row is None else f"{number(row.ours)} {row.unit}",
            peer or "-",
            "-" if row is None or target.absolute or row.theirs is None else number(row.theirs),
            "-" if row is None else own_spread(row) if target.absolute else spread(row),
            "-" if target.floor is None else bound(target, target.floor),
            bound(target, target.goal),
            str(self.verdict),
        )

    def as_json(self) -> dict[str, Any]:
        target = self.target
        value = None
        if self.row is not None:
            value = self.row.ours if target.absolute else self.row.ratio
        return {
            "id": target.id,
            "text": target.text,
            "peer": self.row.peer if self.row is not None and not target.absolute else target.peer,
            "value": value,
            "floor": target.floor,
            "goal": target.goal,
            "least": self.row.least if self.row is not None and target.quietest else None,
            "verdict": str(self.verdict),
        }


HEADS = ("", "metric", "ours", "peer", "theirs", "ratio [min..max]", "floor", "goal", "verdict")
MORE_HEADS = ("workload", "measure", "ours", "peer", "theirs", "ratio [min..max]")


def judged(rows: Iterable[Row], targets: Sequence[Target] = TARGETS) -> list[Line]:
    """A line for each target."""
    rows = list(rows)
    return [_judged(target, rows) for target in targets]


def _judged(target: Target, rows: list[Row]) -> Line:
    measured = [row for row in rows if (row.workload, row.measure) == (target.workload, target.measure)]
    if target.absolute:
        row = measured[0] if measured else None
        return Line(target, row, target.verdict(row.ours, row.least) if row else Verdict.ABSENT)
    compared = [row for row in measured if row.ratio is not None and _is_meant(target, row.peer)]
    # Of several, the one that does best against us.
    row = min(compared, key=lambda row: row.ratio or 0.0, default=None)
    return Line(target, row, target.verdict(row.ratio if row else None))


def _is_meant(target: Target, peer: str) -> bool:
    return peer not in (RAW, BEAM, PYKKA, PURE) if target.peer == BEST else peer == target.peer


def broken(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if line.verdict is Verdict.BELOW]


def asked_for(lines: Iterable[Line], workloads: Iterable[str]) -> list[Line]:
    """The lines of these workloads, so that a part of a run does not call the rest absent."""
    names = set(workloads)
    return [line for line in lines if line.target.workload in names]


def others(rows: Iterable[Row], lines: Iterable[Line]) -> list[Row]:
    """The rows that no target speaks of."""
    spoken_of = {id(line.row) for line in lines}
    absolute = {
        (line.target.workload, line.target.measure) for line in lines if line.target.absolute and line.row
    }
    return [
        row
        for row in rows
        if id(row) not in spoken_of
        and not row.note.startswith("absent")
        and not (row.ratio is None and (row.workload, row.measure) in absolute)
    ]


def libraries(rows: Iterable[Row]) -> list[Row]:
    """The rows against the libraries that `make bench-peers` installs."""
    names = {peer.name for peer in PEERS}
    return [row for row in rows if row.peer in names and row.ratio is not None]


def beam(rows: Iterable[Row]) -> str:
    """Where we stand against one scheduler of BEAM."""
    against = [(row, row.ratio) for row in rows if row.peer == BEAM and row.ratio is not None]
    if not against:
        return "BEAM was not measured."

    def named(ahead: bool) -> str:
        found = [
            f"{' '.join(filter(None, (row.workload, row.measure)))} {ratio:.2f}"
            for row, ratio in against
            if (ratio >= 1) is ahead
        ]
        return ", ".join(found) or "nowhere"

    return f"Against BEAM on one scheduler, ahead or level: {named(True)}.\nBehind: {named(False)}."


def bound(target: Target, value: float) -> str:
    return f"<= {number(value)}" if target.absolute else f">= {value:.2f}".removesuffix(".00")


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(row: Row) -> str:
    if row.ratio is None or row.lowest is None or row.highest is None:
        return "-"
    return f"{row.ratio:.2f} [{row.lowest:.2f}..{row.highest:.2f}]"


def own_spread(row: Row) -> str:
    if row.least is None or row.most is None or row.least == row.most:
        return "-"
    return f"[{number(row.least)}..{number(row.most)}]"


def other_cells(row: Row) -> tuple[str, ...]:
    theirs = "-" if row.theirs is None else number(row.theirs)
    return (
        row.workload,
        row.measure,
        f"{number(row.ours)} {row.unit}",
        row.peer or "-",
        theirs,
        spread(row),
    )


def text(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Columns side by side."""
    widths = [max(len(line[at]) for line in (heads, *cells)) for at in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (heads, *cells)
    )


def markdown(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def caveats(rows: Iterable[Row]) -> list[str]:
    """What a reader must know of a peer, once each; with the workload, if it is of that one alone."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.ratio is not None and row.note:
            found.setdefault((row.peer, row.note), {})[row.workload] = None
    return [
        f"{peer}{f' in {next(iter(where))}' if len(where) == 1 else ''}: {note}"
        for (peer, note), where in sorted(found.items())
    ]


def absent(rows: Iterable[Row]) -> list[str]:
    """Each peer that has no figures, with the reason and where it is missed."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.note.startswith(("absent: ", "skipped: ")):
            missed = found.setdefault((row.peer or "ours", row.note.split(": ", 1)[1]), [])
            if row.workload not in missed:
                missed.append(row.workload)
    return [f"{peer}: {why} ({', '.join(missed)})" for (peer, why), missed in found.items()]


def replaced(document: str, figures: str, start: str = START) -> str:
    """The document with the figures between its two marks. Raises ValueError if they are not there."""
    before, found, rest = document.partition(start)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"the document has no place for figures: a line {start} and a line {END}")
    return f"{before}{start}\n\n{figures}\n\n{END}{after}"
