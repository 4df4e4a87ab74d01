"""The live view on a recorded console: everything it promises is there, and it fits the terminal."""

from collections import Counter
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from allstop.actors.clock import ManualClock
from allstop.actors.commands import Proof
from allstop.actors.events import ChildStarted, ChildTerminated
from allstop.actors.levels import Level, LevelBoard, Vote
from allstop.actors.order_gate import PROOFS, Evidence, GateBoard
from allstop.supervisors.chaos import Act
from allstop.supervisors.demo.run import Demo
from allstop.supervisors.demo.tree import tree
from allstop.supervisors.demo.view import LiveView
from allstop.supervisors.outline import Line, outline

ENVIRON = {
    "ALLSTOP_DEMO_REST_URL": "http://127.0.0.1:1",
    "ALLSTOP_DEMO_PUBLIC_URL": "ws://127.0.0.1:2/v2",
    "ALLSTOP_DEMO_PRIVATE_URL": "ws://127.0.0.1:3/v2",
}
SIZES = [(80, 24), (120, 40), (200, 60), (60, 10)]


class Stage:
    """A demo under way, without an engine: the parts of a Runtime that the view reads, as real values."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        declared = tree(ENVIRON)
        self.gone: set[str] = set()
        self.more: list[str] = []
        self.paths = _paths(outline(declared), "/")
        self.levels = LevelBoard()
        self.gate = GateBoard()
        self.asked = 0
        runtime = SimpleNamespace(
            tree=declared, levels=self.levels, gates={"kraken.main": self.gate}, system=SimpleNamespace(actors=self.actors)
        )  # fmt: skip
        self.demo = Demo(
            3, self.clock, self.clock.now_s(), runtime=cast(Any, runtime), phase="trading, under chaos"
        )
        self.prove(*PROOFS)

    def actors(self) -> list[Any]:
        self.asked += 1
        return [
            SimpleNamespace(path=p, state="running") for p in (*self.paths, *self.more) if p not in self.gone
        ]

    def prove(self, *names: str) -> None:
        proofs = {name: Proof(name=name, holds=True, at_s=0.0, by="/x") for name in names}
        self.gate.show(Evidence(proofs), lambda: True)

    def shown(self, width: int = 120, height: int = 40) -> str:
        console = Console(record=True, width=width, height=height, force_terminal=True, file=StringIO())
        console.print(LiveView(console).render(self.demo))
        return console.export_text()


def _paths(line: Line, path: str) -> list[str]:
    return [path, *(p for child in line.children for p in _paths(child, f"{path.rstrip('/')}/{child.id}"))]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_picture_fits_every_terminal_in_its_best_and_its_worst_hour(width: int, height: int) -> None:
    stage = Stage()
    best = stage.shown(width, height)
    stage.gone = {path for path in stage.paths if path.startswith("/accounts/kraken.main/")}
    stage.prove()
    stage.levels.cast(
        Vote("/accounts", ("kraken", "main"), Level.EMERGENCY, "a reason that is far too long " * 9)
    )
    stage.demo.acts += [Act(at_s=n, verb="kill", target="/a" * 90, detail="d" * 200) for n in range(99)]
    for picture in (best, stage.shown(width, height)):
        lines = picture.rstrip("\n").split("\n")
        assert len(lines) <= height - 1
        assert max(map(len, lines)) <= width
        assert lines[-1].startswith("╰")


def test_it_shows_seed_time_and_phase() -> None:
    stage = Stage()
    stage.clock.advance(12.0)
    assert "seed 3" in stage.shown()
    assert "12 s  trading, under chaos" in stage.shown()


def test_a_restarting_actor_is_named_with_its_restarts() -> None:
    stage = Stage()
    path = "/accounts/kraken.main/trading"
    for attempt in (1, 2):
        stage.demo.events(
            ChildTerminated(at_ns=0, path=path, child="session", incarnation=1, reason="killed", clean=False)
        )
        stage.demo.events(ChildStarted(at_ns=0, path=path, child="session", incarnation=2, attempt=attempt))
    stage.gone = {f"{path}/session"}
    assert "session restarting ↻2" in stage.shown()
    assert "crashes 2  restarts 2  gave up 0" in stage.shown()


def test_trackers_are_one_number() -> None:
    stage = Stage()
    stage.more = [f"/accounts/kraken.main/trading/trackers/{n}" for n in range(17)]
    assert "trackers 17" in stage.shown()


def test_a_level_is_shown_where_it_holds_with_its_reason() -> None:
    stage = Stage()
    stage.levels.cast(
        Vote("/data/kraken.public", ("kraken", "main", "BTC/USD"), Level.CACHED_DATA, "the book is silent")
    )
    shown = stage.shown()
    assert "level NONE" in shown
    assert "BTC/USD CACHED_DATA the book is silent" in shown
    assert "ETH/USD NONE" in shown


def test_an_open_gate_says_so_and_a_closed_one_what_is_missing() -> None:
    stage = Stage()
    assert "gate kraken.main open" in stage.shown()
    stage.prove(*(name for name in PROOFS if name not in ("session", "clock")))
    shown = stage.shown()
    assert "gate kraken.main closed" in shown
    assert "no session, clock" in shown


def test_orders_are_counted_by_what_became_of_them() -> None:
    stage = Stage()
    states = {
        "NEW": 3,
        "PARTIALLY_FILLED": 1,
        "UNKNOWN": 2,
        "FILLED": 40,
        "CANCELED": 5,
        "EXPIRED": 1,
        "REJECTED": 2,
    }
    stage.demo.orders = Counter(states)
    shown = stage.shown(80, 24)
    assert "orders 6 open 40 filled 6 canceled" in shown
    assert "2 UNKNOWN 2 never placed" in shown


def test_the_last_acts_are_shown_newest_last() -> None:
    stage = Stage()
    stage.demo.acts += [Act(at_s=float(n), verb="kill", target=f"/a/b{n}") for n in range(50)]
    shown = stage.shown(80, 24)
    assert "49.0 kill a/b49" in shown
    assert " 0.0 kill a/b0 " not in shown


def test_before_the_engine_runs_it_says_that_it_starts() -> None:
    stage = Stage()
    stage.demo.runtime = None
    assert "starting the simulated venue" in stage.shown()


def test_it_draws_at_most_four_times_a_second_and_each_new_phase_at_once() -> None:
    stage = Stage()
    console = Console(width=120, height=40, force_terminal=True, file=StringIO())
    with LiveView(console) as view:
        for _ in range(100):
            view(stage.demo)
            stage.clock.advance(0.01)
        assert stage.asked == 4
        stage.demo.phase = "halting"
        view(stage.demo)
        assert stage.asked == 5


def test_the_last_picture_stays() -> None:
    stage = Stage()
    console = Console(record=True, width=120, height=40, force_terminal=True, file=StringIO())
    with LiveView(console) as view:
        stage.demo.phase = "done"
        view(stage.demo)
    assert "○ kraken.main" in console.export_text()
