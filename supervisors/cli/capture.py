"""`allstop capture verify FILE`: check a captured run of market data frame by frame."""

from pathlib import Path

import click
import msgspec

from allstop.actors.errors import BadInput, Problem
from allstop.actors.protocols.capture import CaptureVerdict, verify


@click.group()
def command() -> None:
    """Captured market data."""


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON object.")
def verify_file(file: Path, as_json: bool) -> int:
    """Check every frame of FILE: a session ({"t","d","m"} lines), bare frames, or samples ({"from","m"} lines).

    Prints frames, checksums good and bad, and gaps. Exit 0 if all hold, 1 if any is bad, 2 if FILE is no capture.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            verdict = verify(lines, name=str(file))
    except OSError as error:
        raise BadInput(Problem(f"{error.strerror}", str(file))) from None
    except UnicodeDecodeError as error:
        raise BadInput(Problem(f"not text: {error.reason} at byte {error.start}", str(file))) from None
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.structs.asdict(verdict), "good": verdict.good}))
    else:
        _show(verdict)
    return 0 if verdict.good else 1


def _show(verdict: CaptureVerdict) -> None:
    click.echo(f"{verdict.name}: {'ok' if verdict.good else 'BAD'}")
    click.echo(f"  frames        {verdict.frames}")
    click.echo(f"  checksums ok  {verdict.checksums_ok}")
    click.echo(f"  checksums bad {verdict.checksums_bad}")
    click.echo(f"  unchecked     {verdict.unchecked}")
    click.echo(f"  gaps          {verdict.gaps}")
    click.echo(f"  malformed     {verdict.malformed}")
    for symbol, one in sorted(verdict.symbols.items()):
        click.echo(f"  {symbol}: {one.checksums_ok} ok, {one.checksums_bad} bad, {one.unchecked} unchecked")
    if verdict.first_bad is not None:
        bad = verdict.first_bad
        click.echo(f"  first bad: line {bad.line}{f', {bad.symbol}' if bad.symbol else ''}: {bad.reason}")
