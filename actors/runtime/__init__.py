"""The actor runtime: actors on one event loop, with pykka's interface and OTP's semantics."""

from allstop.actors.runtime import inspection
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
from allstop.actors.runtime.inspection import InspectionTimeout, StateUnchanged
from allstop.actors.runtime.isolation import IsolationRefused
from allstop.actors.runtime.mailbox import Mailbox, Overflow
from allstop.actors.runtime.messages import Continue, Down, ExitSignal, Ignore, MonitorRef, Overrun
from allstop.actors.runtime.observer import Statistics, Step, StepKind
from allstop.actors.runtime.process.errors import (
    HandlerOverran,
    ProcessDied,
    RemoteError,
    RemoteRefusal,
    Unencodable,
)
from allstop.actors.runtime.ref import PinnedRef, Ref
from allstop.actors.runtime.registry import Keys, Registry, Via
from allstop.actors.runtime.state_machine import StateMachine
from allstop.actors.runtime.state_machine_core import (
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
from allstop.actors.runtime.states import State
from allstop.actors.runtime.system import ActorInfo, ActorSystem, Status

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
    "EventTimeout",
    "ExitSignal",
    "Fenced",
    "Future",
    "HandlerOverran",
    "HandlerTimeout",
    "Ignore",
    "InspectionTimeout",
    "IsolationRefused",
    "Keep",
    "Keys",
    "Mailbox",
    "MailboxFull",
    "MonitorRef",
    "NameTaken",
    "NamedTimeout",
    "Next",
    "NextEvent",
    "NotOnLoop",
    "Overflow",
    "Overrun",
    "PinnedRef",
    "Postpone",
    "ProcessDied",
    "Ref",
    "Refusal",
    "Registry",
    "RemoteError",
    "RemoteRefusal",
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
    "ThreadActor",
    "Timer",
    "TooManyEvents",
    "UndefinedState",
    "Unencodable",
    "UnknownMessage",
    "Via",
    "inspection",
]
