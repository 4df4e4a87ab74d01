"""How far a campaign is, said on stderr: in one line that changes, on a terminal; in a pipe only what failed."""

import sys

import click

from allstop.actors.clock import ticks_ns
from allstop.supervisors.simulation.campaign import FailedSeed, Progress
from allstop.supervisors.simulation.run import Outcome
from allstop.supervisors.simulation.shrink import Shrinking

EVERY_S = 0.5  # between two changes of the line
FRESH_LINE = "\r\x1b[K"  # to its beginning, and nothing in it


class ProgressLine:
    """What `run_campaign` and `written` report to. Quiet, it only remembers how far they are."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._said_ns = 0
        self._failed: list[int] = []
        self._last: Progress | None = None

    def outcome(self, outcome: Outcome) -> None:
        if outcome.failed is None:
            return
        self._failed.append(outcome.seed)
        if not self._quiet:
            self.clear()
            click.echo(failed_in_words(outcome), err=True)

    def progress(self, progress: Progress) -> None:
        self._last = progress
        self._show(progress.words)

    def shrinking(self, failed: FailedSeed, now: Shrinking) -> None:
        self._show(
            f"seed {failed.seed}: try {now.tries} of {now.tries_max}, {len(now.plan.faults)} faults are left"
        )

    def interrupted(self, of: int) -> None:
        """One line: what was done before Ctrl-C."""
        self.clear()
        last = self._last or Progress(done=0, of=of, failed=0, virtual_s=0.0, wall_s=0.0)
        which = f" ({', '.join(map(str, sorted(self._failed)))})" if self._failed else ""
        click.echo(
            f"interrupted after {last.done} of {last.of} seeds: {last.failed} failed{which}, {last.virtual_s:.0f} virtual s "
            f"in {last.wall_s:.1f} s",
            err=True,
        )

    def clear(self) -> None:
        if self._live:
            click.echo(FRESH_LINE, nl=False, err=True)

    def _show(self, words: str) -> None:
        if self._live and ticks_ns() - self._said_ns >= EVERY_S * 1e9:
            self._said_ns = ticks_ns()
            click.echo(FRESH_LINE + words, nl=False, err=True)


def failed_in_words(outcome: Outcome) -> str:
    """One line of a run that failed."""
    failed = outcome.failed
    assert failed is not None
    return f"seed {outcome.seed} FAILED {failed.oracle} at {failed.at_s:.3f} s: {failed.why}"
