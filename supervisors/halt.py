"""The halt root: the supervisor at the top of every tree. It stops trading, safely, and stays stopped.

It stops no child in order to halt. A halt is, in this order: the latch on disk, the level HALTED on everything, and
each account's halter asked until the venue's own list proves that nothing but protective orders is left. A child
that gives up halts; a supervisor that latched votes, and two latched venues halt. Only a person resumes, with a
reason, and only when nothing is missing.

The root is never too busy to halt: what its supervisor part waits for, it waits for beside the mailbox (aside.py).
While the tree starts nobody can be heard, so until it stands everything is READ_ONLY, and what was said meanwhile is
heard before that ends. A root that fails halts as its last act.
"""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar

import msgspec

from allstop.actors.errors import BadInput
from allstop.actors.events import HaltProven
from allstop.actors.exits import Exit
from allstop.actors.levels import ROOT, Level, LevelBoard, Vote
from allstop.actors.ports import LatchPort
from allstop.actors.runtime import Down, Mailbox, Ref, Reply
from allstop.actors.spec import Backoff, ChildSpec, OnExceeded, Restart, SupervisorFlags
from allstop.supervisors import decisions as d
from allstop.supervisors.aside import Aside
from allstop.supervisors.ballot import Ballot
from allstop.supervisors.children import ChildState
from allstop.supervisors.errors import InvalidFlags
from allstop.supervisors.halting import (
    Halt,
    HaltStatus,
    NotReady,
    ReadyToResume,
    Resume,
    Status,
    writable,
)
from allstop.supervisors.proving import Answered, Proving
from allstop.supervisors.strategy import wants_restart
from allstop.supervisors.supervisor import Supervisor, finished
from allstop.supervisors.votes import CastVote, WithdrawVote
from allstop.supervisors.waiting import Minding

ROOT_FLAGS = SupervisorFlags(max_restarts=0, on_exceeded=OnExceeded.LATCH)
PROVE_BACKOFF = Backoff(0.2, 10.0, 0.2)  # a venue in trouble is asked at least six times a minute
PROVE_TIMEOUT_S = 30.0  # a batch of cancels and a reading of the list, under rate limits
READY_TIMEOUT_S = 10.0
LOOK_S = 1.0  # a halt that another process wrote is seen this late at worst, when it could not tell us
WRITE_AGAIN_S = 5.0  # a disk that failed is tried again, so that a halt in memory does not stay there
THE_START = "the start"  # who votes READ_ONLY until the tree stands


class _Checked(msgspec.Struct, frozen=True):
    """What is missing before a resume."""

    request: Resume
    asked_before: tuple[int, ...]
    missing: tuple[str, ...]
    reply: Reply


class _WriteAgain(msgspec.Struct, frozen=True):
    halt: int


class _Look(msgspec.Struct, frozen=True):
    """To myself: has somebody else latched?"""


class _Standing(msgspec.Struct, frozen=True):
    """To myself, behind whatever was said while the tree started: it stands."""


class HaltRoot(Supervisor):
    """Starts `children` in order and stops them in reverse. The only writer of `board`.

    `halters`: the halter of each account. `ready_to_resume`: see there. With a halt on the latch it starts halted.
    """

    keeps_task: ClassVar[bool] = True
    mailbox: ClassVar[Mailbox] = Mailbox(
        capacity=10_000
    )  # a vote must never be refused; each voter has a few

    def __init__(
        self,
        board: LevelBoard,
        latch: LatchPort,
        children: Iterable[ChildSpec] = (),
        *,
        halters: Mapping[str, Ref] | None = None,
        ready_to_resume: ReadyToResume | None = None,
        prove_backoff: Backoff = PROVE_BACKOFF,
        prove_timeout_s: float = PROVE_TIMEOUT_S,
    ) -> None:
        super().__init__(ROOT_FLAGS, children)
        self._board = board
        self._latch = latch
        self._ready_to_resume = ready_to_resume
        self._ballot = Ballot(self, board)
        self._halt: Vote | None = None
        self._halted_at_ns = 0
        self._halted_at_s = 0.0
        self._halts = 0  # counts them, so that answers to an earlier halt mean nothing to a later one
        self._asked = (
            0  # how often a halt was asked for, also while one stood: a resume must not answer what it missed
        )
        self._on_disk = True
        self._proving = Proving(self, halters or {}, prove_backoff, prove_timeout_s)
        self._aside = Aside(self, super().on_receive)
        self._stands = False

    async def on_start(self) -> None:
        self._board.cast(Vote(THE_START, ROOT, Level.READ_ONLY, "the tree is starting"))
        found = self._latch.read()
        if found.latched:
            self._enter(Vote(found.by, ROOT, Level.HALTED, found.reason), found.at_ns)
        await finished(super().on_start())
        if self._halt is not None:
            self._proving.begin(self._halts, self._halt.reason)
        self._look()
        self.ref.tell(_Standing())

    async def on_stop(self, exit_: Exit) -> None:
        await self._aside.end()
        await finished(super().on_stop(exit_))

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nobody restarts a root, and nobody else halts: the next process starts halted, and a person looks at why.
        A tree that did not even start says so to whoever started it; that is no halt."""
        if self._stands and self._halt is None:
            reason = f"the root failed: {type(exception_value).__name__}: {exception_value}"
            self._enter(Vote(self.path, ROOT, Level.HALTED, writable(reason)), self.clock.wall_ns())

    def _look(self) -> None:
        """Obeys a latch that another process wrote: `allstop halt` needs nobody to hear it."""
        found = self._latch.read()
        if found.latched and self._halt is None:
            self._enter(Vote(found.by, ROOT, Level.HALTED, found.reason), found.at_ns)
            self._proving.begin(self._halts, found.reason)
        self.send_after(LOOK_S, _Look())

    async def on_receive(self, message: Any) -> Any:
        match message:
            case CastVote():
                self._cast(message)
                return None
            case WithdrawVote():
                self._withdraw(message)
                return None
            case Halt(by, reason):
                self._halt_for(by, reason)
                return self._status()
            case Resume() if self.called:
                return self._begin_resume(message)
            case Status():
                return self._status()
            case Answered():
                self._note(message)
                return None
            case _Checked():
                self._finish_resume(message)
                return None
            case _Look():
                self._look()
                return None
            case _Standing():
                self._stands = True
                self._board.withdraw(THE_START, ROOT)
                return None
            case _WriteAgain(halt):
                if halt == self._halts and not self._on_disk:
                    self._write()
                return None
            case Down(monitor=Minding(child_id=child_id), incarnation=incarnation, exit=exit_):
                if self._core.runs(child_id, incarnation):
                    self._judge(child_id, exit_)
                self._aside.put(message, None)
                return None
            case d.Reconfigure(flags) if flags != ROOT_FLAGS:
                raise InvalidFlags("root_flags", flags)
            case d.GateLook() | d.GateMoved():
                self._aside.put(message, None)
                return None
            case d.AddChild() | d.TerminateChild() | d.RestartChild() | d.DeleteChild() | d.Reconfigure():
                self._aside.put(message, self.defer() if self.called else None)
                return None
            case d.RestartDue() | d.CooldownDue() | d.ResetBreaker() | d.CallReported():
                return None  # the root restarts nothing and has no breaker
            case _:
                return await finished(super().on_receive(message))

    def _judge(self, child_id: Hashable, exit_: Exit) -> None:
        """With no restarts to spend, an end that calls for one is a halt: now, whatever the core is waiting for."""
        restart = self._core.get_childspec(child_id).restart
        if exit_.fatal or wants_restart(restart, exit_):
            self._halt_for(self.child_path(child_id), f"{self.child_path(child_id)} ended: {exit_}")

    def latch(self, offender: Hashable, error: BaseException) -> None:
        """A child of the root gave up, or ended for good when it should not have: that is a halt."""
        self._halt_for(self.child_path(offender), str(error))

    # -- votes -----------------------------------------------------------------------------------------------------
    def _cast(self, cast: CastVote) -> None:
        if self._is_mine(cast.vote.by):
            return
        changed, reason = self._ballot.cast(cast)
        if reason is not None and (changed or self._halt is None):
            self._halt_for(cast.vote.by, reason)

    def _withdraw(self, message: WithdrawVote) -> None:
        if not self._is_mine(message.by):
            self._ballot.withdraw(message)

    def _is_mine(self, by: str) -> bool:
        """The votes of the halt itself, and of the start: nobody else gives or takes them."""
        if by not in (self.path, THE_START):
            return False
        self.log.warning("halt.vote_in_the_roots_name", by=by)
        return True

    # -- halting ---------------------------------------------------------------------------------------------------
    def _halt_for(self, by: str, reason: str) -> None:
        """Latches, lowers everything and starts proving. A halt that stands already stays as it is."""
        self._asked += 1
        if self._halt is not None:
            return
        vote = Vote(writable(by), ROOT, Level.HALTED, writable(reason))
        self._enter(vote, self.clock.wall_ns())
        self._proving.begin(self._halts, vote.reason)

    def _enter(self, vote: Vote, at_ns: int) -> None:
        """The latch is written here, on the loop, and not on a thread: until it is on the disk no other actor runs, so
        nothing is sent between the decision and the level. One fsync, once per halt; a lock that another process
        holds costs a second at most."""
        self._halt = vote
        self._halts += 1
        self._halted_at_ns, self._halted_at_s = at_ns, self.clock.now_s()
        try:
            self._write()
        finally:  # whatever the latch does, no order passes
            self._ballot.lower(Vote(self.path, ROOT, Level.HALTED, f"{vote.by}: {vote.reason}"))

    def _write(self) -> None:
        """Writes the latch unless it is there (a command line may have been first). In memory it holds either way."""
        halt = self._halt
        found = self._latch.read()
        if halt is None or (found.latched and found.history):  # without a history, it could only not be read
            self._on_disk = True
            return
        try:
            self._latch.write(halt.by, halt.reason, self._halted_at_ns)
            self._on_disk = True
        except OSError as error:
            self._on_disk = False
            self.log.error("halt.latch_not_written", error=str(error), again_s=WRITE_AGAIN_S)
            self.send_after(WRITE_AGAIN_S, _WriteAgain(self._halts))

    def _note(self, answered: Answered) -> None:
        if answered.halt != self._halts or self._halt is None:
            return
        self._proving.note(answered)
        if answered.proof is not None:
            self.system.emit(
                HaltProven(
                    at_ns=self.clock.wall_ns(),
                    path=self.path,
                    account=answered.account,
                    after_s=self.clock.now_s() - self._halted_at_s,
                    canceled=answered.proof.canceled,
                    kept=answered.proof.kept,
                )
            )

    # -- resuming --------------------------------------------------------------------------------------------------
    def _begin_resume(self, request: Resume) -> HaltStatus | None:
        wanting = [
            what for what, text in (("a name", request.by), ("a reason", request.reason)) if not text.strip()
        ]
        if wanting:
            raise NotReady([f"a resume needs {what}" for what in wanting])
        if self._halt is None:
            return self._status()
        self.start_task(self._check(request, self._asked_so_far(), self.defer()), "check before resume")
        return None

    def _asked_so_far(self) -> tuple[int, ...]:
        """Changes whenever somebody asks for a halt: of me, or, from another process, of the latch."""
        on_latch = [event.at_ns for event in self._latch.read().history if event.action == "halt"]
        return self._asked, len(on_latch), *on_latch[-1:]

    async def _check(self, request: Resume, asked_before: tuple[int, ...], reply: Reply) -> None:
        missing: list[str] = []
        if self._ready_to_resume is not None:
            asking = asyncio.wait_for(self._ready_to_resume(), READY_TIMEOUT_S)
            (answer,) = await asyncio.gather(asking, return_exceptions=True)
            if isinstance(answer, BaseException):
                missing.append(f"the check failed: {type(answer).__name__}: {answer}")
            else:
                missing.extend(answer)
        self.ref.tell(_Checked(request, asked_before, tuple(missing), reply))

    def _finish_resume(self, checked: _Checked) -> None:
        missing = [*checked.missing, *self._missing()]
        if self._halt is not None and checked.asked_before != self._asked_so_far():
            missing.append("another halt came meanwhile")
        if not missing and self._halt is not None:
            missing.extend(self._lift(checked.request))
        if missing:
            checked.reply.fail(NotReady(missing))
            return
        checked.reply.set(self._status())

    def _missing(self) -> list[str]:
        unproven = [f"{p.account}: {p.in_words}" for p in self._proving.accounts if p.proof is None]
        venues = self._ballot.too_many_latched
        latched = [f"latched venues: {', '.join(venues)}"] if venues else []
        return [*unproven, *latched, *(f"{path} is down" for path in self._children_down())]

    def _lift(self, request: Resume) -> list[str]:
        """Lifts the latch and the level; what the latch cannot do leaves everything halted."""
        try:
            self._latch.lift(request.by, request.reason, self.clock.wall_ns())
        except (OSError, BadInput) as error:  # BadInput: another process holds the latch
            return [f"the latch cannot be lifted: {error}"]
        self._halt = None
        self._on_disk = True
        self._proving.end()
        self._ballot.lift(request.by, request.reason)
        return []

    # -- status ----------------------------------------------------------------------------------------------------
    def _children_down(self) -> tuple[str, ...]:
        return tuple(
            self.child_path(child.id)
            for child in self._core.which_children()
            if child.restart is Restart.PERMANENT and child.state is not ChildState.RUNNING
        )

    def _status(self) -> HaltStatus:
        halt = self._halt
        return HaltStatus(
            level=self._board.effective(ROOT),
            halted=halt is not None,
            by=halt.by if halt is not None else "",
            reason=halt.reason if halt is not None else "",
            at_ns=self._halted_at_ns if halt is not None else 0,
            on_disk=self._on_disk,
            votes=self._board.votes(),
            latched_venues=self._ballot.latched_venues,
            proofs=self._proving.accounts,
            children_down=self._children_down(),
        )


# -- asking the root ----------------------------------------------------------------------------------------------


async def halt(root: Ref, by: str, reason: str, *, timeout_s: float = 5.0) -> HaltStatus:
    """Halts everything; the status tells how far it is proven so far."""
    return await root.call(Halt(by, reason), timeout_s=timeout_s)


async def resume(root: Ref, by: str, reason: str, *, timeout_s: float = READY_TIMEOUT_S + 5.0) -> HaltStatus:
    """A named person lets trading go on. Raises NotReady, naming what is missing; then everything stays halted."""
    return await root.call(Resume(by, reason), timeout_s=timeout_s)


async def halt_status(root: Ref, *, timeout_s: float = 5.0) -> HaltStatus:
    return await root.call(Status(), timeout_s=timeout_s)
