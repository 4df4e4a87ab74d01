"""The actor runtime: actors on one event loop, with pykka's interface and OTP's semantics."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from allstop.actors.runtime import compiled, inspection
from allstop.actors.runtime.actor import Actor, ThreadActor
from allstop.actors.runtime.belongings import Reply, Timer
from allstop.actors.runtime.dead_letters import DeadLetter, DeadLetters, Refusal, Replayed
from allstop.actors.runtime.errors import (
    ActorDead,
    AlreadyStarted,
    BadReturnValue,
    BlockingOnLoop,
    CallingSelf,
    CallTimeout,
    ControlLaneFull,
    Fenced,
    FreeThreaded,
    HandlerTimeout,
    MailboxFull,
    NameTaken,
    NotOnLoop,
    StartError,
    StartTimeout,
    StashFull,
    TooManyEvents,
    UndefinedState,
    UnknownMessage,
)
from allstop.actors.runtime.future import Future
from allstop.actors.runtime.inspection import InspectionRefused, InspectionTimeout, StateUnchanged
from allstop.actors.runtime.inspection.observer import Statistics
from allstop.actors.runtime.inspection.onlookers import Step, StepKind
from allstop.actors.runtime.isolation import IsolationRefused
from allstop.actors.runtime.mailbox import Mailbox, MailboxMetrics, Overflow
from allstop.actors.runtime.messages import Continue, Down, ExitSignal, Ignore, MonitorRef, Overrun
from allstop.actors.runtime.ref import PinnedRef, Ref
from allstop.actors.runtime.registry import Keys, Registry, Via
from allstop.actors.runtime.states import State
from allstop.actors.runtime.system import ActorInfo, ActorSystem, Status

if TYPE_CHECKING:
    from allstop.actors.runtime.behaviours.event_handler import (
        EventHandler,
        HandlerDown,
        HandlerEnd,
        HandlerExists,
        HandlerFailed,
        HandlerRefused,
        NoSuchHandler,
        Remove,
        Swap,
        Why,
    )
    from allstop.actors.runtime.behaviours.event_manager import EventManager
    from allstop.actors.runtime.behaviours.state_machine import StateMachine
    from allstop.actors.runtime.behaviours.state_machine_core import (
        EventTimeout,
        Keep,
        NamedTimeout,
        Next,
        NextEvent,
        Postpone,
        Repeat,
        ReplyTo,
        StateTimeout,
        Stop,
    )
    from allstop.actors.runtime.process.errors import (
        ProcessDied,
        ProcessSilent,
        RemoteError,
        RemoteRefusal,
        Unencodable,
    )

__all__ = [
    "Actor",
    "ActorDead",
    "ActorInfo",
    "ActorSystem",
    "AlreadyStarted",
    "BadReturnValue",
    "BlockingOnLoop",
    "CallTimeout",
    "CallingSelf",
    "Continue",
    "ControlLaneFull",
    "DeadLetter",
    "DeadLetters",
    "Down",
    "EventHandler",
    "EventManager",
    "EventTimeout",
    "ExitSignal",
    "Fenced",
    "FreeThreaded",
    "Future",
    "HandlerDown",
    "HandlerEnd",
    "HandlerExists",
    "HandlerFailed",
    "HandlerRefused",
    "HandlerTimeout",
    "Ignore",
    "InspectionRefused",
    "InspectionTimeout",
    "IsolationRefused",
    "Keep",
    "Keys",
    "Mailbox",
    "MailboxFull",
    "MailboxMetrics",
    "MonitorRef",
    "NameTaken",
    "NamedTimeout",
    "Next",
    "NextEvent",
    "NoSuchHandler",
    "NotOnLoop",
    "Overflow",
    "Overrun",
    "PinnedRef",
    "Postpone",
    "ProcessDied",
    "ProcessSilent",
    "Ref",
    "Refusal",
    "Registry",
    "RemoteError",
    "RemoteRefusal",
    "Remove",
    "Repeat",
    "Replayed",
    "Reply",
    "ReplyTo",
    "StartError",
    "StartTimeout",
    "StashFull",
    "State",
    "StateMachine",
    "StateTimeout",
    "StateUnchanged",
    "Statistics",
    "Status",
    "Step",
    "StepKind",
    "Stop",
    "Swap",
    "ThreadActor",
    "Timer",
    "TooManyEvents",
    "UndefinedState",
    "Unencodable",
    "UnknownMessage",
    "Via",
    "Why",
    "compiled",
    "inspection",
]

compiled.choose()

# Imported when first asked for: half of the programs need none of them, and every child process imports this.
_LATE: Final = {
    "EventHandler": "behaviours.event_handler",
    "HandlerDown": "behaviours.event_handler",
    "HandlerEnd": "behaviours.event_handler",
    "HandlerExists": "behaviours.event_handler",
    "HandlerFailed": "behaviours.event_handler",
    "HandlerRefused": "behaviours.event_handler",
    "NoSuchHandler": "behaviours.event_handler",
    "Remove": "behaviours.event_handler",
    "Swap": "behaviours.event_handler",
    "Why": "behaviours.event_handler",
    "EventManager": "behaviours.event_manager",
    "StateMachine": "behaviours.state_machine",
    "EventTimeout": "behaviours.state_machine_core",
    "Keep": "behaviours.state_machine_core",
    "NamedTimeout": "behaviours.state_machine_core",
    "Next": "behaviours.state_machine_core",
    "NextEvent": "behaviours.state_machine_core",
    "Postpone": "behaviours.state_machine_core",
    "Repeat": "behaviours.state_machine_core",
    "ReplyTo": "behaviours.state_machine_core",
    "StateTimeout": "behaviours.state_machine_core",
    "Stop": "behaviours.state_machine_core",
    "ProcessDied": "process.errors",
    "ProcessSilent": "process.errors",
    "RemoteError": "process.errors",
    "RemoteRefusal": "process.errors",
    "Unencodable": "process.errors",
}


def __getattr__(name: str) -> Any:
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return found
