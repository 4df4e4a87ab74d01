"""`allstop doctor`: what on this machine would hurt an engine."""

from pathlib import Path

import click
import msgspec

from allstop.actors.clock import SystemClock
from allstop.actors.links.doctor import FindingLevel, examine, judge_runtime
from allstop.actors.runtime import compiled
from allstop.supervisors.cli.options import state_dir_option

_MARK = {FindingLevel.OK: "ok  ", FindingLevel.WARN: "warn", FindingLevel.BAD: "BAD "}


@click.command()
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list of findings.")
def command(state_dir: Path, as_json: bool) -> int:
    """Measure the disk, the clock, limits and versions that an engine leans on.

    Exit 0 if nothing is bad, 1 if something is. One small file is written in the state directory and removed.
    """
    findings = [*examine(state_dir, SystemClock()), judge_runtime(compiled.in_use, compiled.refused)]
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        for finding in findings:
            click.echo(f"{_MARK[finding.level]} {finding.name}: {finding.what}")
            if finding.level is not FindingLevel.OK:
                click.echo(f"       {finding.why}")
                if finding.advice:
                    click.echo(f"       do: {finding.advice}")
    return 1 if any(finding.level is FindingLevel.BAD for finding in findings) else 0
