"""The demo's picture: who runs and who does not, and what folds when there is no room."""

import pytest

from allstop.supervisors.demo.picture import DOWN, RESTARTING, RUNNING, STOPPED, Node, picture, rows
from allstop.supervisors.outline import Line

TREE = Line("/", "", (
    Line("infrastructure", "", (Line("journal"), Line("clock"))),
    Line("accounts", "", (
        Line("main", "", (
            Line("guardian"),
            Line("trading", "", (Line("trackers", many=True), Line("session"), Line("stream"))),
        )),
    )),
))  # fmt: skip
TRADING = "/accounts/main/trading"
ALL = (
    "/", "/infrastructure", "/infrastructure/journal", "/infrastructure/clock", "/accounts", "/accounts/main",
    "/accounts/main/guardian", TRADING, f"{TRADING}/trackers", f"{TRADING}/session", f"{TRADING}/stream",
)  # fmt: skip


def drawn(
    *gone: str,
    more: tuple[str, ...] = (),
    restarts: dict[str, int] | None = None,
    breakers: dict[str, str] | None = None,
    over: bool = False,
) -> Node:
    states = {} if over else {path: RUNNING for path in (*ALL, *more) if path not in gone}
    return picture(TREE, states, restarts or {}, breakers or {}, over=over)


def states_of(node: Node) -> dict[str, str]:
    found = {node.path: node.state}
    for child in node.children:
        found |= states_of(child)
    return found


def test_every_actor_of_the_outline_is_drawn() -> None:
    assert states_of(drawn()) == dict.fromkeys(ALL, RUNNING)


def test_an_actor_that_is_gone_under_a_running_supervisor_is_restarting() -> None:
    states = states_of(drawn(f"{TRADING}/session"))
    assert {path for path, state in states.items() if state != RUNNING} == {f"{TRADING}/session"}
    assert states[f"{TRADING}/session"] == RESTARTING


def test_below_a_supervisor_that_is_gone_everything_is_down() -> None:
    below = (f"{TRADING}/trackers", f"{TRADING}/session", f"{TRADING}/stream")
    states = states_of(drawn(TRADING, *below))
    assert states[TRADING] == RESTARTING
    assert {states[path] for path in below} == {DOWN}


@pytest.mark.parametrize(("breaker", "state"), [("open", DOWN), ("latched", DOWN), ("half_open", RESTARTING)])
def test_below_an_open_breaker_nothing_is_on_its_way_back(breaker: str, state: str) -> None:
    assert states_of(drawn(f"{TRADING}/session", breakers={TRADING: breaker}))[f"{TRADING}/session"] == state


def test_after_the_end_everything_is_stopped_and_nothing_is_wrong() -> None:
    root = drawn(over=True)
    assert set(states_of(root).values()) == {STOPPED}
    assert root.healthy


def test_trackers_are_counted_and_not_drawn() -> None:
    more = (f"{TRADING}/trackers/a", f"{TRADING}/trackers/a/tracker", f"{TRADING}/trackers/b")
    shown = {row.node.id: row.node.many for row in rows(drawn(more=more), 50)}
    assert shown["trackers"] == 2
    assert "a" not in shown


def test_what_has_room_is_not_folded() -> None:
    assert [row.node.path for row in rows(drawn(), len(ALL))] == list(ALL)


def test_a_quiet_subtree_folds_before_one_that_was_restarted() -> None:
    found = rows(drawn(restarts={f"{TRADING}/session": 3}), len(ALL) - 2)
    assert [(row.node.id, row.hidden) for row in found if row.hidden] == [("infrastructure", 2)]


def test_trouble_folds_last() -> None:
    found = rows(drawn("/infrastructure/clock", restarts={f"{TRADING}/session": 3}), len(ALL) - 3)
    assert "clock" in {row.node.id for row in found}
    assert [row.node.id for row in found if row.hidden] == ["trading"]


def test_a_fold_shows_the_worst_below_it_and_all_its_restarts() -> None:
    (only,) = rows(drawn(f"{TRADING}/session", restarts={f"{TRADING}/session": 3, TRADING: 1}), 1)
    assert (only.node.path, only.worst, only.restarts, only.hidden) == ("/", RESTARTING, 4, len(ALL) - 1)


@pytest.mark.parametrize("height", range(-1, len(ALL) + 2))
def test_the_picture_is_never_higher_than_its_room(height: int) -> None:
    assert 1 <= len(rows(drawn("/infrastructure/clock"), height)) <= max(1, height)
