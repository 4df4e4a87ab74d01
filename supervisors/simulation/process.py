"""What a run sets in the process that it runs in, and puts back: where logs go, when garbage is collected, and who is told
of the ends of coroutines that nobody runs any more.
"""

import contextlib
import gc
import sys
import warnings
from collections.abc import Generator
from typing import Any, Final

import structlog

from allstop.supervisors.simulation.ended import WorldEnded

OUTPUT_MAX: Final = 20_000  # log lines kept for the oracle that looks for secrets


@contextlib.contextmanager
def quiet_logs() -> Generator[list[str]]:
    """The process's log events go into a list; thousands of runs would fill a terminal."""
    lines: list[str] = []

    def take(_logger: Any, method: str, event: Any) -> Any:
        if len(lines) < OUTPUT_MAX:
            lines.append(f"{method} {event}")
        raise structlog.DropEvent

    configured, before = structlog.is_configured(), structlog.get_config()
    structlog.configure(processors=[take], cache_logger_on_first_use=False)
    try:
        yield lines
    finally:
        if configured:
            structlog.configure(**before)
        else:
            structlog.reset_defaults()


@contextlib.contextmanager
def no_collector() -> Generator[None]:
    """When garbage is collected depends on all that the process did before; what is dropped in cycles may be seen by
    who holds a weak reference. So nothing is collected while a run lasts."""
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # what stands already is none of the run's garbage: to look through it took 25 ms a run (measured)
    try:
        yield
    finally:
        if enabled:
            with warnings.catch_warnings():
                # Of lives that were cut: a coroutine that was made and not begun yet. One that somebody forgot to await
                # was told of when it was dropped.
                warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
                gc.collect()
            gc.enable()
        gc.unfreeze()


@contextlib.contextmanager
def quiet_ends() -> Generator[None]:
    """A coroutine of a life that is over meets an inert port when it is freed, or waits for something that will never
    come. That is no trouble of anybody's."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        unclosed = "ignored GeneratorExit" in str(unraisable.exc_value)
        if not issubclass(unraisable.exc_type, WorldEnded) and not unclosed:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
