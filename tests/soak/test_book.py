"""The soak's book-keeping, without running anything."""

from pathlib import Path

import pytest
from tests.soak.book import GUESS_S, Book, Item, eta_s, parse_seeds, parse_simulated, planned, startable


def test_enough_stories_are_planned_for_the_kills_and_a_demo_for_every_seed() -> None:
    items = planned(200, range(30))
    assert [i.seed for i in items if i.kind == "kills"] == list(range(29))
    assert [i.seed for i in items if i.kind == "demo"] == list(range(30))


def test_stories_and_demos_take_turns_so_that_half_of_a_soak_did_half_of_both() -> None:
    half = planned(200, range(10))[:20]
    assert 14 <= sum(i.kind == "kills" for i in half) <= 15


def test_simulated_seeds_come_in_batches_that_leave_none_out_and_the_planted_bugs_come_once() -> None:
    items = planned(200, range(10), parse_simulated("2000"), mutants=True, model=1200, fuzz=2)
    seeds = [seed for item in items if item.kind == "seeds" for seed in item.simulated]
    assert sorted(seeds) == list(range(1, 2001))
    assert items.count(Item("mutants", 0)) == 1
    assert {item.kind for item in items[:24]} == {"kills", "demo", "seeds", "model", "fuzz"}
    assert [item.seed for item in items if item.kind == "model"] == [0, 1, 2]
    assert [item.seed for item in items if item.kind == "fuzz"] == [0, 1]
    assert Item.parse("seeds:3").simulated == range(151, 201)


def test_a_soak_that_was_interrupted_goes_on_where_it_stopped(tmp_path: Path) -> None:
    items = planned(14, range(2))
    Book.open(tmp_path / "new" / "soak.json").passed(items[0], 10.0)
    assert Book.open(tmp_path / "new" / "soak.json").left(items) == items[1:]


@pytest.mark.parametrize("left", ["", "{", "[]", '{"done": 3}', '{"done": {"kills:0": "x"}}'])
def test_a_state_file_that_cannot_be_read_begins_anew(tmp_path: Path, left: str) -> None:
    path = tmp_path / "soak.json"
    path.write_text(left)
    assert Book.open(path).done == {}


def test_a_finished_soak_leaves_no_state(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "soak.json")
    book.passed(Item("demo", 1), 1.0)
    book.close()
    assert list(tmp_path.iterdir()) == []


def test_the_time_left_is_reckoned_by_what_each_kind_has_taken() -> None:
    left = [Item("kills", 5), Item("demo", 5)]
    assert eta_s(left, {"kills:1": 40.0, "kills:2": 60.0}, 1) == 50.0 + GUESS_S["demo"]


def test_what_waits_goes_on_beside_what_computes_and_costs_only_what_it_is_longer() -> None:
    took = {"seeds:0": 60.0, "kills:0": 40.0}
    computes = [Item("seeds", number) for number in range(1, 5)]
    waits = [Item("kills", number) for number in range(1, 7)]
    assert eta_s(computes, took, 2) == 120.0
    assert eta_s([*computes, *waits[:2]], took, 2) == 120.0
    assert eta_s([*computes, *waits], took, 2) == 120.0 + (240.0 - 120.0) / 2


KILLS, DEMO, SEEDS, FUZZ = Item("kills", 1), Item("demo", 1), Item("seeds", 1), Item("fuzz", 1)


@pytest.mark.parametrize(
    ("left", "running", "cores", "begun"),
    [
        ([SEEDS, KILLS], [], 2, KILLS),  # what takes real time is never kept waiting
        ([SEEDS, DEMO], [KILLS], 2, SEEDS),
        ([FUZZ, DEMO], [KILLS, SEEDS], 2, FUZZ),  # every core computes
        ([FUZZ, DEMO], [KILLS, SEEDS], 1, None),
        ([FUZZ, DEMO], [KILLS, SEEDS, SEEDS], 2, None),
        ([DEMO], [KILLS, SEEDS], 2, None),  # two in real time only when nothing computes beside them
        ([DEMO], [KILLS], 2, DEMO),
        ([DEMO], [KILLS], 1, None),
        ([DEMO], [SEEDS], 2, DEMO),
        ([], [SEEDS], 2, None),
    ],
)
def test_every_core_computes_and_one_item_in_real_time_goes_on_beside(
    left: list[Item], running: list[Item], cores: int, begun: Item | None
) -> None:
    assert startable(left, running, cores) == begun


def test_simulated_seeds_are_so_many_or_a_range() -> None:
    assert parse_simulated("3") == range(1, 4)
    assert parse_simulated("0") == range(1, 1)
    batches = [item.simulated for item in planned(0, range(0), parse_simulated("101..300"))]
    assert batches == [range(number, number + 50) for number in (101, 151, 201, 251)]
    assert planned(0, range(0), parse_simulated("0")) == []


@pytest.mark.parametrize("text", ["-1", "x", "0..5", "5..1", "..5"])
def test_simulated_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"below 0|A\.\.B|count from 1|invalid literal"):
        parse_simulated(text)


@pytest.mark.parametrize("text", ["3", "5..2", "a..b", ""])
def test_seeds_that_are_no_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"A\.\.B|invalid literal"):
        parse_seeds(text)


def test_seeds_include_both_ends() -> None:
    assert list(parse_seeds("3..5")) == [3, 4, 5]


@pytest.mark.parametrize("text", ["kills", "both:3", "demo:x"])
def test_an_item_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"none of|invalid literal"):
        Item.parse(text)
