"""docs/scenarios.md says what the tests say."""

import re

import pytest
from tests.marks import by_mark
from tests.scenarios.page import (
    MARK,
    PAGE,
    VENUES,
    Scenario,
    Section,
    page,
    sections,
)


def scenario(
    venues: str = "K", *, open: str | None = None, part: str | None = None, tests: tuple[str, ...] = ()
) -> Scenario:
    return Scenario("T999", venues, "something", "nothing of it", open, part, tests)


A_TEST = ("tests/scenarios/test_x.py::test_it_holds",)


@pytest.mark.parametrize(
    ("one", "settled", "status"),
    [
        (scenario(), False, "**nothing**"),
        (scenario("*"), False, "**nothing**"),
        (scenario("KO"), False, "**nothing**"),
        (scenario("OB"), True, "another venue: not here yet"),
        (scenario(open="the switch"), True, "**open:** the switch"),
        (scenario(tests=A_TEST), True, "shown"),
        (scenario(tests=A_TEST, part="the page"), True, "**in part:** not the page"),
        (scenario(tests=A_TEST, open="the switch"), False, "**open:** the switch"),
        (scenario(part="the page"), False, "**nothing**"),
    ],
)
def test_a_scenario_is_settled_by_a_test_or_by_a_reason_and_not_by_both(
    one: Scenario, settled: bool, status: str
) -> None:
    assert one.settled is settled
    assert one.status == status


def test_the_page_shows_scenario_status_and_test() -> None:
    text = page((Section("c.9", "Things", (scenario(tests=A_TEST), scenario(open="that"), scenario("B"))),))
    assert "## c.9 Things\n\n1 of 2 are shown." in text
    row = "| T999 | Kraken | something | nothing of it | shown | [it holds](../tests/scenarios/test_x.py) |"
    assert row in text


def test_there_are_100_scenarios_each_with_its_venues() -> None:
    names = [one.name for section in sections() for one in section.scenarios]
    assert names == sorted(set(names))
    assert all(re.fullmatch(r"T\d{3}", name) for name in names)
    assert len(names) == 100
    assert all(set(one.venues) <= VENUES.keys() for section in sections() for one in section.scenarios)


def test_every_scenario_of_a_venue_that_is_built_has_a_test_or_a_reason() -> None:
    assert [one.name for section in sections() for one in section.scenarios if not one.settled] == []


def test_no_test_names_a_scenario_that_there_is_not() -> None:
    known = {one.name for section in sections() for one in section.scenarios}
    assert by_mark(MARK).keys() - known == set()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(sections()), "run `python -m tests.scenarios`"
