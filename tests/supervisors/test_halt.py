"""The halt root: what halts, what a halt does and in which order, and what it takes to go on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.supervisors.puppets import Crash, End, Stage, crash, incarnation, settle

from allstop.actors.commands import HaltProof, ProveHalt
from allstop.actors.errors import BadInput, Fatal, Problem
from allstop.actors.events import GaveUp, HaltProven, LevelChanged
from allstop.actors.exits import NORMAL
from allstop.actors.levels import Level, LevelBoard, Scope, Vote
from allstop.actors.links.latch import FileLatch, LatchState, MemoryLatch
from allstop.actors.runtime import Actor, ActorDead, ActorSystem, Ref, StartError
from allstop.actors.spec import ChildSpec, OnExceeded, Pause, Restart, Start, SupervisorFlags
from allstop.supervisors.errors import InvalidFlags, NotFound
from allstop.supervisors.halt import HaltRoot, halt, halt_status, resume
from allstop.supervisors.halting import NotReady, Resume
from allstop.supervisors.supervisor import (
    Supervisor,
    reconfigure,
    reset_breaker,
    restart_child,
    start_child,
    terminate_child,
)
from allstop.supervisors.votes import CastVote, Votes, WithdrawVote

pytestmark = pytest.mark.virtual
KRAKEN, OANDA = ("kraken", "main"), ("oanda", "main")


class Halter(Actor):
    """Proves after as many failures as it is told; None: it never answers."""

    def __init__(self, account: str, answers: list[Any], asked: list[ProveHalt]) -> None:
        super().__init__()
        self.account, self.answers, self.asked = account, answers, asked

    async def on_receive(self, message: ProveHalt) -> HaltProof:
        self.asked.append(message)
        answer = self.answers.pop(0) if self.answers else "proof"
        if isinstance(answer, Exception):
            raise answer
        if answer == "silence":
            await asyncio.Event().wait()
        return HaltProof(account=self.account, canceled=2, kept=1, rounds=1, at_ns=self.clock.wall_ns())


class BrokenLatch(MemoryLatch):
    """A disk that fails `failures` times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def write(self, by: str, reason: str, at_ns: int) -> Any:
        if self.failures:
            self.failures -= 1
            raise OSError("no space left")
        return super().write(by, reason, at_ns)


class Scene:
    def __init__(self, stage: Stage, system: ActorSystem, root: Ref, board: LevelBoard, latch: Any) -> None:
        self.stage, self.system, self.root, self.board, self.latch = stage, system, root, board, latch
        self.asked: list[ProveHalt] = []

    def vote(
        self, by: str, scope: Scope, level: Level, *, latched: bool = False, reason: str = "why"
    ) -> None:
        self.root.tell(CastVote(Vote(by, scope, level, reason), latched))


@asynccontextmanager
async def halt_root(
    *children: ChildSpec,
    stage: Stage | None = None,
    latch: Any = None,
    answers: dict[str, list[Any]] | None = None,
    **options: Any,
) -> AsyncGenerator[Scene]:
    stage = stage or Stage()
    latch = latch or MemoryLatch()
    board = LevelBoard()
    async with stage.system() as system:
        asked: list[ProveHalt] = []
        halters: dict[str, Ref] = {}
        for account, script in (answers or {}).items():
            path = f"/halters/{account}"
            halters[account] = system.address(path)
            if script != ["nobody"]:
                await system.spawn(Halter, account, script, asked, path=path)
        root = await system.spawn(HaltRoot, board, latch, children, halters=halters, path="/", **options)
        scene = Scene(stage, system, root, board, latch)
        scene.asked = asked
        yield scene


async def test_a_halt_is_latched_first_then_lowers_everything_then_is_proven() -> None:
    async with halt_root(answers={"kraken.main": []}) as scene:
        status = await halt(scene.root, "operator:ada", "drill")
        assert scene.latch.read().latched
        assert (status.halted, status.level, status.by, status.reason) == (
            True,
            Level.HALTED,
            "operator:ada",
            "drill",
        )
        assert scene.board.effective(("kraken", "main", "BTC/USD")) is Level.HALTED
        await settle()
        assert (await halt_status(scene.root)).proven
        assert [message.reason for message in scene.asked] == ["drill"]


async def test_the_level_is_not_lowered_before_the_latch_is_written() -> None:
    board_at_write: list[Level] = []

    class Watching(MemoryLatch):
        def write(self, by: str, reason: str, at_ns: int) -> Any:
            board_at_write.append(scene.board.effective(()))
            return super().write(by, reason, at_ns)

    async with halt_root(latch=Watching()) as scene:
        await halt(scene.root, "operator:ada", "drill")
        assert board_at_write == [Level.NONE]


async def test_a_halt_stops_no_child() -> None:
    stage = Stage()
    async with halt_root(*stage.puppets("a", "b"), stage=stage) as scene:
        await halt(scene.root, "operator:ada", "drill")
        await settle(60)
        assert [incarnation(scene.system, f"/{i}") for i in "ab"] == [1, 1]
        assert stage.log == ["start a", "start b"]


@pytest.mark.parametrize(
    "end", [Crash(), End(NORMAL), Crash(Fatal("KEY", "refused"))], ids=["crash", "end", "fatal"]
)
async def test_a_child_of_the_root_that_ends_halts_and_neither_root_nor_siblings_end(end: Any) -> None:
    stage = Stage()
    async with halt_root(*stage.puppets("infrastructure", "accounts"), stage=stage) as scene:
        scene.system.address("/infrastructure").tell(end)
        await settle()
        status = await halt_status(scene.root)
        assert (status.halted, status.by, status.children_down) == (
            True,
            "/infrastructure",
            ("/infrastructure",),
        )
        assert incarnation(scene.system, "/accounts") == 1
        assert [event.action for event in stage.of(GaveUp)] == ["latch"]


async def test_a_temporary_child_takes_no_trading_down() -> None:
    stage = Stage()
    async with halt_root(stage.puppet("observation", restart=Restart.TEMPORARY), stage=stage) as scene:
        await crash(scene.system, "/observation")
        assert not (await halt_status(scene.root)).halted


async def test_a_halted_engine_restarts_halted(tmp_path: Any) -> None:
    async with halt_root(latch=FileLatch(tmp_path)) as scene:
        await halt(scene.root, "operator:ada", "drill")
    stage = Stage()
    async with halt_root(
        *stage.puppets("a"), stage=stage, latch=FileLatch(tmp_path), answers={"kraken.main": []}
    ) as again:
        status = await halt_status(again.root)
        assert (status.halted, status.by, status.reason) == (True, "operator:ada", "drill")
        assert again.board.effective(("kraken",)) is Level.HALTED
        assert incarnation(again.system, "/a") == 1
        await settle()
        assert (await halt_status(again.root)).proven


async def test_a_latch_that_cannot_be_read_counts_as_latched(tmp_path: Any) -> None:
    (tmp_path / "halt.json").write_text("{ torn")
    async with halt_root(latch=FileLatch(tmp_path)) as scene:
        assert (await halt_status(scene.root)).halted


async def test_a_latch_that_cannot_be_written_holds_in_memory_says_so_and_is_tried_again() -> None:
    async with halt_root(latch=BrokenLatch(2)) as scene:
        status = await halt(scene.root, "operator:ada", "drill")
        assert (status.halted, status.on_disk) == (True, False)
        assert scene.board.effective(()) is Level.HALTED
        await settle(11)
        assert (await halt_status(scene.root)).on_disk
        assert scene.latch.read().by == "operator:ada"


async def test_a_halt_that_the_command_line_wrote_already_is_not_written_twice() -> None:
    latch = MemoryLatch()
    async with halt_root(latch=latch) as scene:
        latch.write("operator:cli", "first", 1)
        await halt(scene.root, "operator:cli", "first")
        assert len(latch.read().history) == 1


async def test_a_halt_that_another_process_wrote_is_obeyed_though_nobody_told_the_root(tmp_path: Any) -> None:
    async with halt_root(latch=FileLatch(tmp_path), answers={"kraken.main": []}) as scene:
        FileLatch(tmp_path).write("operator:cli", "from another process", 1)
        await settle(1.1)
        status = await halt_status(scene.root)
        assert (status.halted, status.by, status.proven) == (True, "operator:cli", True)


async def test_a_halt_that_comes_while_the_tree_still_starts_is_obeyed_when_it_runs() -> None:
    latch = MemoryLatch()

    class Slow(Actor):
        def on_start(self) -> None:
            latch.write("operator:cli", "while it starts", 1)

    async with halt_root(ChildSpec("slow", Start(Slow)), latch=latch) as scene:
        assert scene.board.effective(()) is Level.HALTED


class TestProving:
    async def test_what_a_halter_fails_with_is_shown_until_it_proves(self) -> None:
        async with halt_root(answers={"kraken.main": [TimeoutError("no list")]}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle()
            (account,) = (await halt_status(scene.root)).proofs
            assert account.in_words == "not proven: TimeoutError: no list"

    async def test_the_root_never_gives_up_on_a_venue_that_cannot_be_reached(self) -> None:
        async with halt_root(answers={"kraken.main": ["nobody"], "oanda.main": []}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle(3600)
            status = await halt_status(scene.root)
            assert not status.proven
            by_account = {proof.account: proof for proof in status.proofs}
            assert by_account["oanda.main"].proof is not None
            assert by_account["kraken.main"].in_words.startswith("not proven: ActorDead")
            assert by_account["kraken.main"].tries >= 300
            await scene.system.spawn(Halter, "kraken.main", [], scene.asked, path="/halters/kraken.main")
            await settle(13)
            assert (await halt_status(scene.root)).proven

    async def test_a_halter_that_is_silent_is_asked_again_after_a_timeout(self) -> None:
        async with halt_root(answers={"kraken.main": ["nobody"]}, prove_timeout_s=2.0) as scene:
            script: list[Any] = ["silence"]
            await scene.system.spawn(Halter, "kraken.main", script, scene.asked, path="/halters/kraken.main")
            await halt(scene.root, "operator:ada", "drill")
            await settle(2.1)
            (account,) = (await halt_status(scene.root)).proofs
            assert account.trouble.startswith("CallTimeout")

    async def test_each_proof_is_an_event_with_the_time_it_took(self) -> None:
        async with halt_root(answers={"kraken.main": [ValueError("later")]}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle()
            await scene.system.spawn(Halter, "kraken.main", [], scene.asked, path="/halters/kraken.main")
            await settle(30)
            (proven,) = scene.stage.of(HaltProven)
            assert (proven.account, proven.canceled, proven.kept) == ("kraken.main", 2, 1)
            assert 0.2 <= proven.after_s <= 0.25

    async def test_a_root_that_still_proves_can_be_stopped_and_leaves_nothing(self) -> None:
        async with halt_root(answers={"kraken.main": ["nobody"]}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle(5)
            await scene.system.stop(scene.root, timeout_s=1.0)
            assert [info.path for info in scene.system.actors()] == []
            assert scene.latch.read().latched


class TestVotes:
    async def test_a_vote_lowers_its_scope_and_its_withdrawal_raises_it_again(self) -> None:
        async with halt_root() as scene:
            scene.vote("/data/kraken", KRAKEN, Level.CACHED_DATA)
            await settle()
            assert scene.board.effective(KRAKEN) is Level.CACHED_DATA
            scene.root.tell(WithdrawVote("/data/kraken", KRAKEN))
            await settle()
            assert scene.board.effective(KRAKEN) is Level.NONE
            changes = [(e.before, e.now) for e in scene.stage.of(LevelChanged)]
            assert changes == [(Level.NONE, Level.CACHED_DATA), (Level.CACHED_DATA, Level.NONE)]

    async def test_one_latched_venue_is_that_venue_read_only(self) -> None:
        async with halt_root() as scene:
            scene.vote("/accounts/kraken.main/trading", KRAKEN, Level.READ_ONLY, latched=True)
            await settle()
            assert scene.board.effective(KRAKEN) is Level.READ_ONLY
            assert scene.board.effective(OANDA) is Level.NONE
            assert not (await halt_status(scene.root)).halted

    async def test_two_latched_venues_are_a_halt(self) -> None:
        async with halt_root() as scene:
            scene.vote("/accounts/kraken.main/trading", KRAKEN, Level.READ_ONLY, latched=True)
            scene.vote("/accounts/oanda.main/trading", OANDA, Level.READ_ONLY, latched=True)
            await settle()
            status = await halt_status(scene.root)
            assert (status.halted, status.latched_venues) == (True, ("kraken", "oanda"))

    async def test_two_latched_accounts_of_one_venue_are_one_venue(self) -> None:
        async with halt_root() as scene:
            scene.vote("/a", ("kraken", "main"), Level.READ_ONLY, latched=True)
            scene.vote("/b", ("kraken", "other"), Level.READ_ONLY, latched=True)
            await settle()
            assert not (await halt_status(scene.root)).halted

    async def test_latched_data_feeds_are_no_latched_venues(self) -> None:
        async with halt_root() as scene:
            scene.vote("/data/kraken", ("kraken",), Level.CACHED_DATA, latched=True)
            scene.vote("/data/oanda", ("oanda",), Level.CACHED_DATA, latched=True)
            await settle()
            assert not (await halt_status(scene.root)).halted

    async def test_a_vote_for_halted_is_a_halt(self) -> None:
        async with halt_root() as scene:
            scene.vote("/accounts/kraken.main/orders", (), Level.HALTED, reason="unknown for 120 s")
            await settle()
            status = await halt_status(scene.root)
            assert (status.halted, status.by, status.reason) == (
                True,
                "/accounts/kraken.main/orders",
                "unknown for 120 s",
            )

    async def test_a_withdrawn_vote_does_not_end_a_halt(self) -> None:
        async with halt_root() as scene:
            scene.vote("/x", (), Level.HALTED)
            scene.root.tell(WithdrawVote("/x", ()))
            await settle()
            assert scene.board.effective(()) is Level.HALTED

    async def test_only_a_person_ends_a_latched_vote(self) -> None:
        async with halt_root() as scene:
            scene.vote("/t", KRAKEN, Level.READ_ONLY, latched=True)
            scene.root.tell(WithdrawVote("/t", KRAKEN))
            scene.vote("/t", KRAKEN, Level.CACHED_DATA)
            await settle()
            assert scene.board.effective(KRAKEN) is Level.READ_ONLY
            scene.root.tell(WithdrawVote("/t", KRAKEN, by_person=True))
            await settle()
            assert scene.board.effective(KRAKEN) is Level.NONE

    async def test_a_worse_vote_of_whoever_latched_counts(self) -> None:
        async with halt_root() as scene:
            scene.vote("/t", KRAKEN, Level.READ_ONLY, latched=True)
            scene.vote("/t", KRAKEN, Level.HALTED)
            await settle()
            assert (await halt_status(scene.root)).halted

    async def test_nobody_else_takes_back_what_the_root_itself_voted(self) -> None:
        async with halt_root() as scene:
            await halt(scene.root, "operator:ada", "drill")
            scene.root.tell(WithdrawVote("/", (), by_person=True))
            scene.vote("/", (), Level.NONE)
            await settle()
            assert scene.board.effective(()) is Level.HALTED

    async def test_a_subtree_over_its_budget_lowers_its_venue_and_a_person_raises_it(self) -> None:
        stage = Stage()
        async with halt_root(stage=stage) as scene:
            pausing = SupervisorFlags(
                max_restarts=0,
                on_exceeded=OnExceeded.PAUSE,
                pause=Pause(cooldown_s=5.0, probes=0, max_trips=1),
            )
            trading = await scene.system.spawn(
                Supervisor,
                pausing,
                stage.puppets("session"),
                votes=Votes(scene.root, KRAKEN),
                path="/trading",
            )
            await crash(scene.system, "/trading/session")
            assert scene.board.effective(KRAKEN) is Level.READ_ONLY
            await settle(600)
            assert incarnation(scene.system, "/trading/session") is None
            await reset_breaker(trading, "ada", "venue is back")
            assert scene.board.effective(KRAKEN) is Level.READ_ONLY
            await settle(5.1)
            assert scene.board.effective(KRAKEN) is Level.NONE

    async def test_an_account_that_gives_up_under_a_latching_supervisor_halts_and_spares_the_other(
        self,
    ) -> None:
        stage = Stage()
        async with halt_root(stage=stage) as scene:
            latching = SupervisorFlags(max_restarts=0, on_exceeded=OnExceeded.LATCH)
            votes = Votes(scene.root, (), latched_level=Level.HALTED)
            await scene.system.spawn(
                Supervisor, latching, stage.puppets("one", "two"), votes=votes, path="/accounts"
            )
            await crash(scene.system, "/accounts/one")
            assert (await halt_status(scene.root)).halted
            assert incarnation(scene.system, "/accounts/two") == 1


class TestResuming:
    async def test_a_person_with_a_reason_resumes_once_it_is_proven(self) -> None:
        async with halt_root(answers={"kraken.main": []}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle()
            status = await resume(scene.root, "operator:ada", "drill is over")
            assert (status.halted, status.level) == (False, Level.NONE)
            assert not scene.latch.read().latched

    @pytest.mark.parametrize(("by", "reason"), [("", "why"), ("ada", " ")])
    async def test_nobody_resumes_without_a_name_and_a_reason(self, by: str, reason: str) -> None:
        async with halt_root() as scene:
            await halt(scene.root, "operator:ada", "drill")
            with pytest.raises(NotReady):
                await resume(scene.root, by, reason)
            assert (await halt_status(scene.root)).halted

    async def test_what_is_not_reconciled_is_named_and_everything_stays_halted(self) -> None:
        async def ready() -> list[str]:
            return ["kraken.main: 2 orders unreconciled"]

        async with halt_root(ready_to_resume=ready) as scene:
            await halt(scene.root, "operator:ada", "drill")
            with pytest.raises(NotReady) as caught:
                await resume(scene.root, "operator:ada", "over")
            assert caught.value.missing == ("kraken.main: 2 orders unreconciled",)
            assert scene.latch.read().latched
            assert scene.board.effective(()) is Level.HALTED

    async def test_a_check_that_fails_or_hangs_is_not_a_yes(self) -> None:
        async def broken() -> list[str]:
            raise ConnectionError("no venue")

        async def hanging() -> list[str]:
            await asyncio.Event().wait()
            return []

        for check in (broken, hanging):
            async with halt_root(ready_to_resume=check) as scene:
                await halt(scene.root, "operator:ada", "drill")
                with pytest.raises(NotReady):
                    await resume(scene.root, "operator:ada", "over")

    async def test_an_unproven_account_keeps_everything_halted(self) -> None:
        async with halt_root(answers={"kraken.main": ["nobody"]}) as scene:
            await halt(scene.root, "operator:ada", "drill")
            await settle()
            with pytest.raises(NotReady, match=r"kraken\.main: not proven"):
                await resume(scene.root, "operator:ada", "over")

    async def test_a_child_that_is_down_keeps_everything_halted_until_it_runs_again(self) -> None:
        stage = Stage()
        async with halt_root(*stage.puppets("infrastructure"), stage=stage) as scene:
            await crash(scene.system, "/infrastructure")
            with pytest.raises(NotReady, match="/infrastructure is down"):
                await resume(scene.root, "operator:ada", "over")
            await restart_child(scene.root, "infrastructure")
            assert not (await resume(scene.root, "operator:ada", "over")).halted

    @pytest.mark.parametrize("how", ["person", "vote", "another process"])
    async def test_a_halt_that_comes_during_the_check_wins(self, how: str) -> None:
        gate = asyncio.Event()

        async def ready() -> list[str]:
            await gate.wait()
            return []

        async with halt_root(ready_to_resume=ready) as scene:
            await halt(scene.root, "operator:ada", "drill")
            resuming = asyncio.ensure_future(resume(scene.root, "operator:ada", "over"))
            await settle()
            match how:
                case "person":
                    await halt(scene.root, "operator:eve", "no, really")
                case "vote":
                    scene.vote("/accounts/kraken.main/guardian", (), Level.HALTED, reason="uncovered")
                case _:
                    scene.latch.write("operator:cli", "no, really", 2)
            gate.set()
            with pytest.raises(NotReady, match="another halt came meanwhile"):
                await resuming
            assert scene.latch.read().latched
            assert scene.board.effective(()) is Level.HALTED

    async def test_two_people_may_resume_at_once(self) -> None:
        gate = asyncio.Event()

        async def ready() -> list[str]:
            await gate.wait()
            return []

        async with halt_root(ready_to_resume=ready) as scene:
            await halt(scene.root, "operator:ada", "drill")
            both = asyncio.gather(resume(scene.root, "ada", "over"), resume(scene.root, "bob", "over, too"))
            await settle()
            gate.set()
            assert [status.halted for status in await both] == [False, False]

    async def test_two_latched_venues_keep_everything_halted(self) -> None:
        async with halt_root() as scene:
            scene.vote("/kraken", KRAKEN, Level.READ_ONLY, latched=True)
            scene.vote("/oanda", OANDA, Level.READ_ONLY, latched=True)
            with pytest.raises(NotReady, match="latched venues: kraken, oanda"):
                await resume(scene.root, "operator:ada", "over")
            scene.root.tell(WithdrawVote("/oanda", OANDA, by_person=True))
            assert not (await resume(scene.root, "operator:ada", "over")).halted

    @pytest.mark.parametrize(
        "error", [OSError("read-only file system"), BadInput(Problem("another process is writing"))]
    )
    async def test_a_latch_that_cannot_be_lifted_keeps_everything_halted(self, error: Exception) -> None:
        class Unliftable(MemoryLatch):
            def lift(self, by: str, reason: str, at_ns: int) -> Any:
                raise error

        async with halt_root(latch=Unliftable()) as scene:
            await halt(scene.root, "operator:ada", "drill")
            with pytest.raises(NotReady, match="the latch cannot be lifted"):
                await resume(scene.root, "operator:ada", "over")
            assert scene.board.effective(()) is Level.HALTED

    async def test_a_second_halt_after_a_resume_is_proven_anew(self) -> None:
        async with halt_root(answers={"kraken.main": []}) as scene:
            for _ in range(2):
                await halt(scene.root, "operator:ada", "drill")
                await settle()
                assert (await halt_status(scene.root)).proven
                await resume(scene.root, "operator:ada", "over")
            assert len(scene.asked) == 2

    async def test_resuming_what_is_not_halted_changes_nothing(self) -> None:
        async with halt_root() as scene:
            assert not (await resume(scene.root, "operator:ada", "just in case")).halted


class Unhurried(Actor):
    """Takes a minute to start: its supervisor waits for it."""

    async def on_start(self) -> None:
        await asyncio.sleep(60.0)


class TestTheRootIsNeverTooBusyToHalt:
    """Starting and stopping a child takes time; a halt has none."""

    async def test_a_halt_is_obeyed_while_a_child_of_the_root_starts(self) -> None:
        async with halt_root() as scene:
            starting = asyncio.ensure_future(
                start_child(scene.root, ChildSpec("slow", Start(Unhurried), start_timeout_s=90.0))
            )
            await settle(1)
            scene.vote("/guardian", (), Level.HALTED, reason="gave up")
            await settle()
            assert scene.latch.read().latched
            assert scene.board.effective(()) is Level.HALTED
            assert (await halt_status(scene.root)).halted
            await starting
            assert incarnation(scene.system, "/slow") == 1

    async def test_a_halt_is_obeyed_while_a_child_of_the_root_stops(self) -> None:
        stage = Stage(stop_s={"strategies": 20.0})
        async with halt_root(stage.puppet("strategies", shutdown=30.0), stage=stage) as scene:
            stopping = asyncio.ensure_future(terminate_child(scene.root, "strategies"))
            await settle(1)
            assert (await halt(scene.root, "operator:ada", "drill", timeout_s=0.1)).halted
            await stopping

    async def test_a_child_that_gives_up_while_another_starts_halts_at_once(self) -> None:
        stage = Stage()
        async with halt_root(*stage.puppets("accounts"), stage=stage) as scene:
            starting = asyncio.ensure_future(
                start_child(scene.root, ChildSpec("slow", Start(Unhurried), start_timeout_s=90.0))
            )
            await settle(1)
            await crash(scene.system, "/accounts")
            status = await halt_status(scene.root)
            assert (status.halted, status.by) == (True, "/accounts")
            await starting
            assert (await halt_status(scene.root)).children_down == ("/accounts",)

    async def test_a_request_that_is_refused_is_refused_to_who_asked(self) -> None:
        async with halt_root() as scene:
            with pytest.raises(NotFound):
                await terminate_child(scene.root, "nobody")

    async def test_requests_are_served_in_the_order_they_came(self) -> None:
        async with halt_root() as scene:
            spec = ChildSpec("slow", Start(Unhurried), start_timeout_s=90.0)
            starting = asyncio.ensure_future(start_child(scene.root, spec))
            stopping = asyncio.ensure_future(terminate_child(scene.root, "slow", timeout_s=90.0))
            await settle(61)
            assert await starting == scene.system.address("/slow")
            await stopping
            assert incarnation(scene.system, "/slow") is None

    async def test_a_root_that_is_stopped_while_it_starts_a_child_leaves_nothing(self) -> None:
        stage = Stage()
        async with halt_root(*stage.puppets("a"), stage=stage) as scene:
            spec = ChildSpec("slow", Start(Unhurried), start_timeout_s=90.0)
            starting = asyncio.ensure_future(start_child(scene.root, spec))
            await settle(1)
            await scene.system.stop(scene.root, timeout_s=5.0)
            assert scene.system.actors() == []
            assert stage.log == ["start a", "stop a shutdown"]
            with pytest.raises(ActorDead):
                await starting

    async def test_nothing_is_entered_before_the_whole_tree_stands(self) -> None:
        levels: list[Level] = []
        board = LevelBoard()

        class Early(Actor):
            def on_start(self) -> None:
                levels.append(board.effective(("kraken", "main")))
                self.system.address("/").tell(CastVote(Vote(self.path, (), Level.HALTED, "at once"), False))

        async with Stage().system() as system:
            early, slow = (
                ChildSpec("early", Start(Early)),
                ChildSpec("slow", Start(Unhurried), start_timeout_s=90),
            )
            starting = asyncio.ensure_future(
                system.spawn(HaltRoot, board, MemoryLatch(), (early, slow), path="/", start_timeout_s=120.0)
            )
            await settle(30)
            levels.append(board.effective(()))
            await starting
            assert levels == [Level.READ_ONLY, Level.READ_ONLY]
            assert board.effective(()) is Level.HALTED

    async def test_a_tree_that_stands_is_not_held_any_more(self) -> None:
        async with halt_root() as scene:
            assert scene.board.votes() == ()

    async def test_the_flags_of_the_root_cannot_be_changed(self) -> None:
        async with halt_root() as scene:
            with pytest.raises(InvalidFlags, match="root"):
                await reconfigure(scene.root, SupervisorFlags(max_restarts=3))

    async def test_a_root_that_fails_latches_and_lowers_before_it_ends(self) -> None:
        stage = Stage()
        async with halt_root(*stage.puppets("a"), stage=stage) as scene:
            root_actor: Any = scene.root.cell.actor
            root_actor._core = None
            scene.root.tell(Vote("/x", (), Level.NONE, "ignored"))
            await crash(scene.system, "/a")
            await settle()
            assert not scene.root.is_alive()
            assert scene.latch.read().latched
            assert scene.board.effective(()) is Level.HALTED

    async def test_a_tree_that_does_not_start_is_not_halted(self) -> None:
        stage, latch = Stage(starts={"a": [RuntimeError("no venue")]}), MemoryLatch()
        with pytest.raises(StartError):
            async with halt_root(*stage.puppets("a"), stage=stage, latch=latch):
                pass
        assert not latch.read().latched

    async def test_a_resume_that_nobody_waits_for_changes_nothing(self) -> None:
        async with halt_root() as scene:
            await halt(scene.root, "operator:ada", "drill")
            scene.root.tell(Resume("operator:ada", "over"))
            await settle()
            assert (await halt_status(scene.root)).halted


class TestTheLatchIsNeverLost:
    async def test_words_that_no_file_can_hold_are_written_as_well_as_may_be(self, tmp_path: Any) -> None:
        async with halt_root(latch=FileLatch(tmp_path)) as scene:
            await halt(scene.root, "operator:ada", "bad name: \udcff")
            assert FileLatch(tmp_path).read().by == "operator:ada"

    async def test_the_halt_for_a_latch_that_cannot_be_read_is_written(self) -> None:
        class Exhausted(MemoryLatch):
            """A process that has run out of files: reading fails, and counts as latched."""

            def read(self) -> Any:
                return LatchState(latched=True, by="allstop", reason="too many open files")

        latch = Exhausted()
        async with halt_root(latch=latch) as scene:
            await halt(scene.root, "operator:ada", "drill")
            assert latch.state.latched
