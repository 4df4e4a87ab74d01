"""`allstop simulate`: a tree in a simulated world, seed by seed, in virtual time."""

import math
import os
import sys
from pathlib import Path

import click
import msgspec

from allstop.actors.clock import ticks_ns
from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.simulation.campaign import (
    DURATION_S,
    Campaign,
    FailedSeed,
    Progress,
    run_campaign,
    seeds_of,
    tree_named,
)
from allstop.supervisors.simulation.failures import SHRUNK_MAX, TRIES, written
from allstop.supervisors.simulation.profiles import PROFILES
from allstop.supervisors.simulation.replay import read_replay
from allstop.supervisors.simulation.run import NONE, Outcome, simulate
from allstop.supervisors.simulation.shrink import Shrinking
from allstop.supervisors.simulation.trees import TREES

PROGRESS_S = 2.0  # between two lines of progress
FAILED_SHOWN = 20


@click.command(
    epilog=f"TREE is file.py:attribute, package.module:attribute, or one of {', '.join(TREES)} (default: busy). "
    f"Fault profiles: {NONE}, {', '.join(PROFILES)}. Exit codes: 0 every seed held; 1 one did not; 2 the input is wrong."
)
@click.argument("tree", default="busy")
@click.option(
    "--seeds", "seeds_text", metavar="A..B", help="The seeds to run, both included.  [default: 1..100]"
)
@click.option("--seed", type=click.IntRange(min=0), help="One seed.")
@click.option(
    "--trace", is_flag=True, help="With --seed or --replay: print everything that happens, line by line."
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0, min_open=True),
    default=DURATION_S / 3600,
    help="Virtual hours of each run.  [default: 3 minutes]",
)
@click.option(
    "--faults", "profile", default="bad-day", show_default=True, metavar="PROFILE", help="What goes wrong."
)
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes.  [default: one per core]")
@click.option(
    "--replay",
    "replay_file",
    type=click.Path(path_type=Path),
    help="Run again what is in this file, and nothing else.",
)
@click.option(
    "--shrink",
    "tries",
    type=click.IntRange(min=0),
    default=TRIES,
    show_default=True,
    metavar="TRIES",
    help=f"Runs spent on making each of the first {SHRUNK_MAX} failures smaller; 0 leaves them as they are.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/simulate"),
    show_default=True,
    help="Where the seeds that fail are written, each as a file for --replay.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def command(
    tree: str,
    seeds_text: str | None,
    seed: int | None,
    trace: bool,
    hours: float,
    profile: str,
    jobs: int | None,
    replay_file: Path | None,
    tries: int,
    out: Path,
    as_json: bool,
) -> int:
    """Run TREE in a simulated world: virtual time, a simulated Kraken at the addresses that it names, a network, a disk
    and a process that go wrong by plan. The same seed is the same run, to the last byte, on every machine."""
    if replay_file is not None:
        if seed is not None or seeds_text is not None:
            raise BadInput(Problem("a file holds its own seed: leave --seed and --seeds away", "--replay"))
        return _replay(replay_file, trace=trace, as_json=as_json)
    if seed is not None and seeds_text is not None:
        raise BadInput(Problem("--seed is one seed, --seeds are many: give one of the two", "--seed"))
    if trace and seed is None:
        raise BadInput(Problem("--trace shows one run: name it with --seed", "--trace"))
    if profile != NONE and profile not in PROFILES:
        raise BadInput(
            Problem(f"no fault profile {profile!r}; there are {', '.join((NONE, *PROFILES))}", "--faults")
        )
    if not math.isfinite(hours):
        raise BadInput(Problem(f"{hours} hours are no time to run", "--hours"))
    if trace and as_json:
        raise BadInput(
            Problem("a trace is lines, not one JSON object: give one of --trace and --json", "--trace")
        )
    duration_s = hours * 3600
    if trace:
        assert seed is not None
        return _show_trace(tree, seed, duration_s, profile)
    seeds = seeds_of(seeds_text or "1..100") if seed is None else range(seed, seed + 1)
    progress = _Lines(quiet=as_json)
    campaign = run_campaign(
        tree, seeds, profile=profile, duration_s=duration_s, jobs=jobs, on_outcome=progress.outcome, on_progress=progress.progress
    )  # fmt: skip
    try:
        campaign = written(campaign, out, duration_s, tries=tries, on_try=progress.shrinking)
    except OSError as error:  # what failed is told all the same
        click.echo(f"error: --out: {error.filename or out}: cannot be written: {error.strerror}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(campaign))
    else:
        _show(campaign, hours)
    return 1 if campaign.failed else 0


def _print(line: str) -> None:
    click.echo(line, nl=False)


def _replay(file: Path, *, trace: bool, as_json: bool) -> int:
    replay = read_replay(file)
    outcome = simulate(
        tree_named(replay.tree),
        replay.seed,
        duration_s=replay.duration_s,
        plan=replay.plan,
        keep=_print if trace else None,
    )
    if as_json:
        click.echo(msgspec.json.encode(outcome))
    else:
        click.echo(f"digest {outcome.digest}")
        click.echo(_failed_in_words(outcome) if outcome.failed is not None else "every oracle held")
    return 0 if outcome.failed is None else 1


def _show_trace(tree: str, seed: int, duration_s: float, profile: str) -> int:
    outcome = simulate(
        tree_named(tree), seed, duration_s=duration_s, profile=profile, keep=_print
    )  # fmt: skip
    click.echo(f"digest {outcome.digest}")
    if outcome.failed is not None:
        click.echo(_failed_in_words(outcome), err=True)
    return 0 if outcome.failed is None else 1


class _Lines:
    """Progress on stderr: failures when they come, the rest every two seconds."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said_ns = ticks_ns()

    def outcome(self, outcome: Outcome) -> None:
        if outcome.failed is not None and not self._quiet:
            click.echo(_failed_in_words(outcome), err=True)

    def progress(self, progress: Progress) -> None:
        if not self._quiet and ticks_ns() - self._said_ns >= PROGRESS_S * 1e9:
            self._said_ns = ticks_ns()
            click.echo(progress.words, err=True)

    def shrinking(self, failed: FailedSeed, now: Shrinking) -> None:
        if not self._quiet and ticks_ns() - self._said_ns >= PROGRESS_S * 1e9:
            self._said_ns = ticks_ns()
            click.echo(
                f"seed {failed.seed}: try {now.tries} of {now.tries_max}, {len(now.plan.faults)} faults are left",
                err=True,
            )


def _failed_in_words(outcome: Outcome) -> str:
    failed = outcome.failed
    assert failed is not None
    return f"seed {outcome.seed} FAILED {failed.oracle} at {failed.at_s:.3f} s: {failed.why}"


def _show(campaign: Campaign, hours: float) -> None:
    rate = campaign.virtual_s / campaign.wall_s if campaign.wall_s else 0.0
    click.echo(
        f"{campaign.runs} seeds of {campaign.tree} under {campaign.profile}: {campaign.virtual_s:.0f} virtual s in "
        f"{campaign.wall_s:.1f} s ({rate:.0f} virtual s/s)"
    )
    click.echo(
        f"{campaign.submitted} orders, {campaign.executions} executions, {sum(campaign.faults.values())} faults of "
        f"{len(campaign.faults)} kinds, {campaign.crashes} crashes, {campaign.restarts} restarts, {campaign.lives} processes"
    )
    if not campaign.submitted:
        click.echo("no order was placed: nothing that is promised of orders was tried")
    click.echo(f"digest {campaign.digest}")
    for failed in campaign.failed[:FAILED_SHOWN]:
        click.echo(f"FAILED seed {failed.seed}: {failed.oracle} at {failed.at_s:.3f} s{_where(failed)}")
    if len(campaign.failed) > FAILED_SHOWN:
        click.echo(f"FAILED {len(campaign.failed) - FAILED_SHOWN} more")
    if campaign.failed:
        long = "" if hours == DURATION_S / 3600 else f"--hours {hours} "
        click.echo(
            f"again: {os.path.basename(sys.argv[0])} simulate {campaign.tree} --faults {campaign.profile} {long}"
            f"--seed {campaign.failed[0].seed} --trace, or --replay with its file"
        )


def _where(failed: FailedSeed) -> str:
    return f"  {failed.file} ({failed.faults} faults)" if failed.file else ""
