"""`allstop demo`: the main job, on the embedded default."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from allstop.supervisors.demo.report import Report
from allstop.supervisors.demo.rig import RigError
from allstop.supervisors.demo.run import DemoFailed, Watch, run_demo
from allstop.supervisors.oracles import Verdict

COLUMN = 18


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the chaos.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Leave journals, latch and log in this directory.",
)
def command(seed: int, as_json: bool, keep: Path | None) -> int:
    """Trade against the simulated Kraken on loopback, get hurt, recover, halt by command and prove it. Under 60 s.

    Exit 0 only if every oracle that applies holds; else 1, with the broken ones named.
    """
    live = not as_json and sys.stdout.isatty()
    try:
        report, verdicts = asyncio.run(_run(seed, live, keep, quiet=as_json))
    except (DemoFailed, RigError) as error:
        click.echo(f"the demo failed: {error}", err=True)
        return 1
    if as_json:
        click.echo(msgspec.json.encode(report))
        for verdict in verdicts:
            if (
                verdict.holds is False
            ):  # stdout is for the object alone; why it broke is for who reads the log
                click.echo(f"{verdict.oracle} BROKEN: {verdict.why}", err=True)
    else:
        _show(report, verdicts)
    return 1 if report.broken else 0


async def _run(seed: int, live: bool, keep: Path | None, *, quiet: bool) -> tuple[Report, Sequence[Verdict]]:
    with contextlib.ExitStack() as stack:
        watch: Watch | None = None
        if live:
            from allstop.supervisors.demo.view import LiveView

            watch = stack.enter_context(LiveView())
        elif not quiet:
            watch = _Lines()
        return await run_demo(seed, watch=watch, keep=keep)


class _Lines:
    """Progress where there is no terminal: a line per phase and per act."""

    def __init__(self) -> None:
        self._phase = ""
        self._acts = 0

    def __call__(self, demo: object) -> None:
        from allstop.supervisors.demo.run import Demo

        assert isinstance(demo, Demo)
        if demo.phase != self._phase:
            self._phase = demo.phase
            click.echo(f"-- {demo.phase}")
        for act in demo.acts[self._acts :]:
            click.echo(f"   {act.at_s:6.2f} s  {act.verb} {act.target} {act.detail}".rstrip())
        self._acts = len(demo.acts)


def _show(report: Report, verdicts: Sequence[Verdict]) -> None:
    for name in report.__struct_fields__:
        if name not in ("oracles", "recovery_ms"):
            click.echo(f"{name:{COLUMN}} {getattr(report, name)}")
    recovery = report.recovery_ms
    click.echo(f"{'recovery_ms':{COLUMN}} p50 {recovery.p50}, p99 {recovery.p99}, max {recovery.max}")
    for verdict in verdicts:
        mark = {True: "holds", False: "BROKEN", None: "no occasion"}[verdict.holds]
        click.echo(f"{verdict.oracle:{COLUMN}} {mark}: {verdict.why}")
    click.echo("all that applies holds" if not report.broken else f"BROKEN: {', '.join(report.broken)}")
