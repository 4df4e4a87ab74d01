"""Looking at a running actor, and holding it, without its help: what OTP's `sys` does for its processes.

    state = await inspection.get_state(ref)
    await inspection.suspend(ref)

Every function works on any actor, supervisors included, and concerns the incarnation that runs now: what follows a
restart is unwatched. It raises ActorDead where none runs, or if that one ends first, and NotOnLoop off the loop's
thread: there, `inspection.blocking(inspection.get_state, ref)`.

`get_state`, `replace_state` and `suspend` happen between two messages and go before all waiting ones; a handler that
is suspended is waited for. They raise InspectionTimeout after `timeout_s`, and then have changed nothing. The others
are done at once, also beside a handler that hangs.
"""

from allstop.actors.runtime.inspection.observer import Statistics
from allstop.actors.runtime.inspection.onlookers import DONE, STEPS_MAX, Hook, Step, StepKind
from allstop.actors.runtime.inspection.questions import (
    QUESTIONS_MAX,
    InspectionRefused,
    InspectionTimeout,
    StateUnchanged,
    blocking,
    get_state,
    get_status,
    install,
    log,
    remove,
    replace_state,
    resume,
    statistics,
    suspend,
    trace,
)
from allstop.actors.runtime.inspection.status import Status

__all__ = [
    "DONE",
    "QUESTIONS_MAX",
    "STEPS_MAX",
    "Hook",
    "InspectionRefused",
    "InspectionTimeout",
    "StateUnchanged",
    "Statistics",
    "Status",
    "Step",
    "StepKind",
    "blocking",
    "get_state",
    "get_status",
    "install",
    "log",
    "remove",
    "replace_state",
    "resume",
    "statistics",
    "suspend",
    "trace",
]
