"""`allstop simulate`: a tree in a simulated world, seed by seed, in virtual time."""

import contextlib
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
import msgspec
from click.core import ParameterSource

from allstop.actors.clock import ticks_ns
from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.cli.progress import ProgressLine, failed_in_words
from allstop.supervisors.simulation.campaign import (
    DURATION_S,
    Campaign,
    FailedSeed,
    WorkerDied,
    run_campaign,
    seeds_of,
    summed_up,
    tree_named,
)
from allstop.supervisors.simulation.failures import SHRUNK_MAX, TRIES, Interrupted, written
from allstop.supervisors.simulation.plan import FAULTED_MIN_S, QUIET_S
from allstop.supervisors.simulation.profiles import PROFILES
from allstop.supervisors.simulation.replay import Replay, read_replay, this_version
from allstop.supervisors.simulation.run import NONE, Outcome, simulate
from allstop.supervisors.simulation.trees import TREES

FAILED_SHOWN = 20
CRASHED_SHOWN = 5
HOURS_MIN = (FAULTED_MIN_S + QUIET_S) / 3600
INTERRUPTED = 130

EPILOG = f"""
TREE is file.py:attribute, package.module:attribute, or one of {", ".join(TREES)} (default: busy).
Fault profiles: {NONE}, {", ".join(PROFILES)}.

\b
Exit codes:
  0    every seed held
  1    one did not
  2    the input is wrong, nothing was run
  130  interrupted: one line says what was done
"""


@dataclass(frozen=True)
class _Asked:
    """What one run, or each of many, is."""

    tree: str
    profile: str
    hours: float

    @property
    def duration_s(self) -> float:
        return round(self.hours * 3600, 6)


@click.command(epilog=EPILOG)
@click.argument("tree", default="busy")
@click.option(
    "--seeds", "seeds_text", metavar="A..B", help="The seeds to run, both included.  [default: 1..100]"
)
@click.option("--seed", type=click.IntRange(min=0), help="One seed.")
@click.option(
    "--trace", is_flag=True, help="With --seed or --replay: print everything that happens, line by line."
)
@click.option(
    "--bodies",
    is_flag=True,
    help="With --trace: beneath each frame, request, answer and row what is in it; its line has the hash.",
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
@click.pass_context
def command(
    ctx: click.Context,
    tree: str,
    seeds_text: str | None,
    seed: int | None,
    trace: bool,
    bodies: bool,
    hours: float,
    profile: str,
    jobs: int | None,
    replay_file: Path | None,
    tries: int,
    out: Path,
    as_json: bool,
) -> int:
    """Run TREE in a simulated world: virtual time, a simulated Kraken at the addresses that it names, a network, a disk
    and a process that go wrong by plan. The same seed is the same run, to the last byte, on every machine.

    With faults, the last 45 s of a run are quiet, and from 30 s before its end the run is over as soon as the tree trades
    again (or is halted, with a proof and a reason): a run of 3 minutes mostly takes two and a half."""
    if trace and as_json:
        _refuse("a trace is lines, not one JSON object: leave --json away", "--trace")
    if bodies and not trace:
        _refuse("shows more of a trace: ask for one with --trace", "--bodies")
    if replay_file is not None:
        _allow_only(
            ctx,
            "replay_file",
            "trace",
            "bodies",
            "as_json",
            why="is of no use beside --replay: the file says all",
        )
        return _replay(replay_file, trace=trace, bodies=bodies, as_json=as_json)
    if seed is not None and seeds_text is not None:
        _refuse("is one seed, and --seeds are many: give one of the two", "--seed")
    if trace and seed is None:
        _refuse("shows one run: name it with --seed", "--trace")
    _check_profile(profile, hours)
    asked = _Asked(tree, profile, hours)
    if trace:
        assert seed is not None
        _allow_only(
            ctx, "trace", "bodies", "tree", "seed", "hours", "profile", why="is of no use beside --trace, which shows one run"
        )  # fmt: skip
        return _show_trace(
            partial(
                simulate, tree_named(tree), seed, duration_s=asked.duration_s, profile=profile, bodies=bodies
            )
        )
    seeds = seeds_of(seeds_text or "1..100") if seed is None else range(seed, seed + 1)
    if profile != NONE:
        _check_out(out)
    return _campaign(asked, seeds, jobs, tries, out, as_json=as_json)


# -- what is asked --------------------------------------------------------------------------------------------------


def _refuse(why: str, where: str) -> NoReturn:
    raise BadInput(Problem(why, where))


def _allow_only(ctx: click.Context, *allowed: str, why: str) -> None:
    """Refuses, by name, every other parameter that was given."""
    given = [
        param
        for param in ctx.command.params
        if param.name not in (None, *allowed)
        and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise BadInput(*(Problem(why, _spelt(param)) for param in given))


def _spelt(param: click.Parameter) -> str:
    return param.opts[0] if isinstance(param, click.Option) else "TREE"


def _check_profile(profile: str, hours: float) -> None:
    if profile != NONE and profile not in PROFILES:
        _refuse(f"no fault profile {profile!r}; there are {', '.join((NONE, *PROFILES))}", "--faults")
    if not math.isfinite(hours):
        _refuse(f"{hours} hours are no time to run", "--hours")
    if profile != NONE and hours < HOURS_MIN:
        _refuse(
            f"{hours:g} ({hours * 3600:g} s) are too short: {FAULTED_MIN_S:g} s of faults and {QUIET_S:g} s to recover are "
            f"needed, so at least {math.ceil(HOURS_MIN * 10_000) / 10_000}, or --faults {NONE}",
            "--hours",
        )


def _check_out(out: Path) -> None:
    """Hours of seeds are not run for files that cannot be written: one is, and taken away again with its folders."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        _refuse(f"{error.filename or out}: cannot be written: {error.strerror}", "--out")
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


# -- what is run ----------------------------------------------------------------------------------------------------


def _campaign(asked: _Asked, seeds: range, jobs: int | None, tries: int, out: Path, *, as_json: bool) -> int:
    line = ProgressLine(quiet=as_json)
    code = 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: its processes end with it
    try:
        campaign = run_campaign(
            asked.tree, seeds, profile=asked.profile, duration_s=asked.duration_s, jobs=jobs, on_outcome=line.outcome,
            on_progress=line.progress,
        )  # fmt: skip
    except KeyboardInterrupt:
        line.interrupted(len(seeds))
        return INTERRUPTED
    except WorkerDied as error:
        line.clear()
        raise click.ClickException(str(error)) from None
    try:
        campaign = written(campaign, out, asked.duration_s, tries=tries, on_try=line.shrinking)
    except Interrupted as cut:
        campaign, code = cut.campaign, INTERRUPTED
        line.clear()
        click.echo("interrupted: the failures are written as small as they were by then", err=True)
    except OSError as error:  # what failed is told all the same
        line.clear()
        click.echo(f"error: --out: {error.filename or out}: cannot be written: {error.strerror}", err=True)
    line.clear()
    if as_json:
        click.echo(msgspec.json.encode(report(campaign)))
    else:
        _show(campaign, asked)
    return code or (1 if campaign.failed else 0)


def report(campaign: Campaign) -> dict[str, Any]:
    """What --json prints: docs/simulation.md tells its keys. `file` is empty where none was written."""
    told = msgspec.to_builtins(campaign)
    del told["runs"]
    for failed in told["failed"]:
        del failed["faults"]
    return told


def _replay(file: Path, *, trace: bool, bodies: bool, as_json: bool) -> int:
    replay = read_replay(file)
    if replay.allstop != this_version():
        click.echo(
            f"note: written by allstop {replay.allstop or 'of no version'}, and this is {this_version() or 'of no version'}: "
            "the same file may be another run",
            err=True,
        )
    tree = tree_named(replay.tree)
    if trace:
        return _show_trace(
            partial(
                simulate, tree, replay.seed, duration_s=replay.duration_s, plan=replay.plan, bodies=bodies
            )
        )
    began_ns = ticks_ns()
    try:
        outcome = simulate(tree, replay.seed, duration_s=replay.duration_s, plan=replay.plan)
    except KeyboardInterrupt:
        click.echo(f"interrupted: {file} was not run to its end", err=True)
        return INTERRUPTED
    if as_json:
        wall_s = (ticks_ns() - began_ns) / 1e9
        campaign = summed_up(replay.tree, outcome.profile, [replay.seed], {replay.seed: outcome}, wall_s)
        failed = [msgspec.structs.replace(one, file=str(file)) for one in campaign.failed]
        click.echo(msgspec.json.encode(report(msgspec.structs.replace(campaign, failed=failed))))
    else:
        click.echo(f"digest {outcome.digest}")
        click.echo(_again_in_words(replay, outcome))
    return 0 if outcome.failed is None else 1


def _again_in_words(replay: Replay, outcome: Outcome) -> str:
    before = f" (when it was written, {replay.oracle} did not)" if replay.oracle else ""
    if outcome.failed is None:
        return f"every oracle held{before}"
    return failed_in_words(outcome) + (before if replay.oracle != outcome.failed.oracle else "")


def _show_trace(run: Callable[..., Outcome]) -> int:
    shown = _Shown()
    try:
        outcome = run(keep=shown.line)
    except KeyboardInterrupt:
        click.echo(f"interrupted at {shown.last.partition(' ')[0]} virtual s", err=True)
        return INTERRUPTED
    finally:
        shown.close()
    click.echo(f"digest {outcome.digest}")
    if outcome.failed is not None:
        click.echo(failed_in_words(outcome), err=True)
    return 0 if outcome.failed is None else 1


class _Shown:
    """Prints the trace up to Ctrl-C: how the world falls apart after it is no part of the run."""

    def __init__(self) -> None:
        self.last = "0"
        self._handler: Any = None
        self._over = False

    def line(self, line: str) -> None:
        if self._handler is None:  # only now the loop's own handler is there, which ends the run
            self._handler = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._interrupted)
        if not self._over:
            self.last = line
            click.echo(line, nl=False)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._over = True
        if callable(self._handler):
            self._handler(number, frame)

    def close(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)


# -- what is said of it ---------------------------------------------------------------------------------------------


def _show(campaign: Campaign, asked: _Asked) -> None:
    rate = campaign.virtual_s / campaign.wall_s if campaign.wall_s else 0.0
    click.echo(
        f"{campaign.runs} seed{'s' * (campaign.runs != 1)} of {campaign.tree} under {campaign.profile}: "
        f"{campaign.virtual_s:.0f} virtual s in {campaign.wall_s:.1f} s ({rate:.0f} virtual s/s)"
    )
    click.echo(
        f"{campaign.submitted} orders, {campaign.executions} executions, {sum(campaign.faults.values())} faults of "
        f"{len(campaign.faults)} kinds, {campaign.crashes} crashes, {campaign.restarts} restarts, {campaign.lives} processes"
    )
    if not campaign.submitted:
        click.echo("no order was placed: nothing that is promised of orders was tried")
    for words, times in list(campaign.crashed.items())[:CRASHED_SHOWN]:
        click.echo(f"crashed {times} time{'s' * (times != 1)}: {words}")
    if len(campaign.crashed) > CRASHED_SHOWN:
        click.echo(f"crashed of {len(campaign.crashed) - CRASHED_SHOWN} other errors: --json names them")
    click.echo(f"digest {campaign.digest}")
    for failed in campaign.failed[:FAILED_SHOWN]:
        click.echo(f"FAILED seed {failed.seed}: {failed.oracle} at {failed.at_s:.3f} s{_where(failed)}")
    if len(campaign.failed) > FAILED_SHOWN:
        click.echo(f"FAILED {len(campaign.failed) - FAILED_SHOWN} more")
    if campaign.failed:
        long = "" if asked.hours == DURATION_S / 3600 else f"--hours {asked.hours} "
        click.echo(
            f"again: {os.path.basename(sys.argv[0])} simulate {campaign.tree} --faults {campaign.profile} {long}"
            f"--seed {campaign.failed[0].seed} --trace"
            + (", or --replay with its file" if campaign.failed[0].file else "")
        )


def _where(failed: FailedSeed) -> str:
    return f"  {failed.file} ({failed.faults} faults)" if failed.file else ""
