"""A hung loop lowers the level: at once, by a thread, and until it has been calm for a while."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.puppet import Puppet

from allstop.actors.events import Event, HandlerHung, HandlerReturned, LevelChanged, LoopHeld
from allstop.actors.levels import ROOT, IntentKind, Level, LevelBoard, Vote, permits
from allstop.actors.links.latch import FileLatch
from allstop.actors.runtime import ActorSystem
from allstop.supervisors.halt import HaltRoot, halt_status
from allstop.supervisors.held_loop import BY, HeldLoop

PATIENCE_S = 20.0


def hung(held_s: float = 1.0) -> HandlerHung:
    return HandlerHung(
        at_ns=0, path="/slow", incarnation=1, actor_class="Slow", message="Price", held_s=held_s, limit_s=1.0,
        where="loop", stack=(),
    )  # fmt: skip


@pytest.mark.virtual
class TestVotes:
    async def test_the_level_falls_at_the_first_word_and_rises_after_calm(self, tmp_path: Path) -> None:
        board, events = LevelBoard(), list[Event]()
        async with ActorSystem(on_event=events.append) as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            await asyncio.sleep(0.1)
            events.clear()
            held = HeldLoop(system, board, root)
            held(hung())
            assert board.effective(ROOT) is Level.READ_ONLY
            held(hung(2.0))
            await asyncio.sleep(3.0)
            held(HandlerReturned(at_ns=0, path="/slow", incarnation=1, message="Price", held_s=3.0))
            await asyncio.sleep(4.9)
            assert board.effective(ROOT) is Level.READ_ONLY
            assert [vote.reason for vote in board.votes(ROOT)] == ["/slow holds the loop: Price for 2.0 s"]
            await asyncio.sleep(0.2)
            assert board.effective(ROOT) is Level.NONE
            changes = [
                (event.before, event.now, event.by) for event in events if isinstance(event, LevelChanged)
            ]
            assert changes == [(Level.NONE, Level.READ_ONLY, BY), (Level.READ_ONLY, Level.NONE, BY)]
            held.close()

    async def test_each_hang_lets_the_calm_begin_anew(self, tmp_path: Path) -> None:
        board = LevelBoard()
        async with ActorSystem() as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            held = HeldLoop(system, board, root)
            for _ in range(3):
                held(LoopHeld(at_ns=0, path="", held_s=1.5, why="many handlers"))
                await asyncio.sleep(4.0)
                assert board.effective(ROOT) is Level.READ_ONLY
            held.close()

    async def test_a_vote_that_the_root_took_back_before_it_heard_of_it_is_cast_again(
        self, tmp_path: Path
    ) -> None:
        """The loop may hang between the word of calm to the root and the root's turn: that word is of an earlier hang."""
        board = LevelBoard()
        async with ActorSystem() as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            await asyncio.sleep(0.1)
            held = HeldLoop(system, board, root)
            held(hung())
            board.withdraw(BY, ROOT)
            await asyncio.sleep(4.9)
            assert board.effective(ROOT) is Level.READ_ONLY
            await asyncio.sleep(0.2)
            assert board.effective(ROOT) is Level.NONE
            held.close()

    async def test_a_worse_level_stays_and_nothing_is_said_of_ours(self, tmp_path: Path) -> None:
        board, events = LevelBoard(), list[Event]()
        async with ActorSystem(on_event=events.append) as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            await asyncio.sleep(0.1)
            board.cast(Vote("someone", ROOT, Level.EMERGENCY, "worse"))
            held = HeldLoop(system, board, root)
            events.clear()
            held(hung())
            await asyncio.sleep(6.0)
            assert board.effective(ROOT) is Level.EMERGENCY
            assert [event for event in events if isinstance(event, LevelChanged)] == []
            held.close()

    async def test_one_that_raises_halts_for_nobody_would_see_the_next_hang(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The system drops a subscriber that raises: of this one that must not go unnoticed."""
        board = LevelBoard()
        async with ActorSystem(on_event=lambda _: None) as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            await asyncio.sleep(0.1)
            held = HeldLoop(system, board, root)
            system.subscribe(held)

            def broken(_reason: str) -> None:
                raise RuntimeError("planted")

            monkeypatch.setattr(held, "_lower", broken)
            system.emit(hung())
            assert board.effective(ROOT) is Level.HALTED
            await asyncio.sleep(0.1)
            status = await halt_status(root)
            assert status.halted
            assert status.reason == "nobody looks any more whether the loop hangs: RuntimeError: planted"
            assert FileLatch(tmp_path).read().latched
            assert [letter.kind for letter in system.dead_letters.recent()] == ["observer"]
            held.close()

    async def test_a_hung_task_or_thread_is_its_own_actors_trouble(self, tmp_path: Path) -> None:
        board = LevelBoard()
        async with ActorSystem() as system:
            root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
            await asyncio.sleep(0.1)
            event = HandlerHung(
                at_ns=0, path="/a", incarnation=1, actor_class="A", message="M", held_s=1.0, limit_s=1.0,
                where="task", stack=(),
            )  # fmt: skip
            HeldLoop(system, board, root)(event)
            assert board.effective(ROOT) is Level.NONE


@pytest.mark.req("242")
async def test_what_the_loop_does_next_after_a_hang_meets_the_lowered_level(tmp_path: Path) -> None:
    board, told, seen = LevelBoard(), threading.Event(), list[bool]()

    def may_enter() -> bool:
        return permits(board.effective(ROOT), IntentKind.ENTRY)

    async with ActorSystem(on_event=lambda _event: None, max_handler_s=0.2) as system:
        root = await system.spawn(HaltRoot, board, FileLatch(tmp_path), (), path="/")
        await asyncio.sleep(0.1)
        held = HeldLoop(system, board, root, calm_s=0.2)
        system.subscribe(held)
        system.subscribe(lambda event: told.set() if isinstance(event, HandlerHung) else None)
        slow = await system.spawn(Puppet, path="/slow")

        def holds(_puppet: Any) -> None:
            seen.append(may_enter())
            assert told.wait(PATIENCE_S)
            seen.append(may_enter())

        def is_next(_puppet: Any) -> None:
            seen.append(may_enter())

        slow.tell(holds)
        slow.tell(is_next)
        await slow.call("done", timeout_s=PATIENCE_S)
        assert seen == [True, False, False]
        async with asyncio.timeout(PATIENCE_S):
            while not may_enter():
                await asyncio.sleep(0.01)
        held.close()


class Meddler:
    """A vote at whose level a reader looks just when somebody else votes: what another thread may do at any time."""

    by, scope, reason = "meddler", ROOT, "a test"

    def __init__(self, board: LevelBoard) -> None:
        self._board = board
        self.others = 0

    @property
    def level(self) -> Level:
        self.others += 1
        self._board.cast(Vote(f"other {self.others}", ROOT, Level.RATE_LIMITED, "a test"))
        return Level.READ_ONLY


def test_the_board_can_be_read_while_another_thread_votes() -> None:
    board = LevelBoard()
    board.cast(Meddler(board))  # pyright: ignore[reportArgumentType]
    assert board.effective(ROOT) is Level.READ_ONLY
    assert board.votes(ROOT)[0].by == "meddler"
    board.withdraw("meddler", ROOT)
    assert board.effective(ROOT) is Level.RATE_LIMITED
