"""The `allstop` command.

Exit codes, everywhere: 0 it held; 1 it ran and something did not hold; 2 the input is wrong and nothing was started.
"""

import importlib.util
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """The entry point of the `allstop` command. Always ends with SystemExit."""
    if importlib.util.find_spec("click") is None:
        print("the allstop command needs its extra: pip install 'allstop[cli]'", file=sys.stderr)
        raise SystemExit(2)
    from allstop.supervisors.cli.group import invoke

    raise SystemExit(invoke(argv))
