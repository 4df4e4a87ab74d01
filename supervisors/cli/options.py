"""Options that several commands share."""

import getpass
from pathlib import Path

import click

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var"),
    show_default=True,
    envvar="ALLSTOP_STATE_DIR",
    help="Where the engine keeps journals, the latch and its control socket.",
)


def operator() -> str:
    """Who is typing, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user on this machine, as in some containers
        return ""
