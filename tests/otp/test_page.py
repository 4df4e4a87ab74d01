"""docs/otp.md says what the tests say."""

from tests.otp.page import (
    PAGE,
    Case,
    Group,
    Statement,
    Suite,
    bugs,
    cases,
    found_in,
    groups,
    neighbours,
    page,
)


def test_there_are_257_statements_and_93_cases_each_once() -> None:
    assert [s.number for group in groups() for s in group.statements] == list(range(1, 258))
    assert sum(len(some) for some in cases().values()) == 93


def test_a_statement_without_test_or_reason_is_shown_as_such() -> None:
    statement = Statement(7, "Something holds.", None, None, ())
    assert not statement.settled
    text = page((Group("A", "Things", (statement,)),), {"cases": (Case("tree", None, None),)})
    assert "| 7 | Something holds. | as it stands | **nothing** |" in text
    assert "| `tree` |  | **missing** |" in text


def test_every_test_that_a_case_of_a_neighbour_names_exists() -> None:
    named = {test for suite in neighbours() for tests in suite.cases.values() for test in tests}
    there = {test for path in {test.partition("::")[0] for test in named} for test in found_in(path)}
    assert sorted(named - there) == []


def test_no_case_of_a_neighbour_is_listed_twice_or_without_a_test_or_a_reason() -> None:
    for suite in neighbours():
        assert suite.cases.keys() & suite.left_out.keys() == set(), suite.name
        assert all(suite.cases.values()), suite.name
        assert all(suite.left_out.values()), suite.name
        for tests in suite.cases.values():
            assert len(set(tests)) == len(tests), suite.name


def test_the_15_bugs_of_other_ports_are_there_each_once_with_its_report() -> None:
    assert [int(number) for number, _report, _test in bugs()] == list(range(1, 16))
    assert all(report and not report.startswith("async def") for _number, report, _test in bugs())


def test_the_page_shows_bugs_and_neighbours() -> None:
    suite = Suite("sys_SUITE", {"log": ("tests/test_x.py::test_a_log",)}, {"hibernate": "no hibernation"})
    text = page((), {}, (suite,), (("01", "elle#1", "tests/test_x.py::test_01_it"),))
    assert "| 1 | elle#1 | [01 it](../tests/test_x.py) |" in text
    assert "## sys_SUITE\n\n| case | shown by |\n|---|---|\n| log | [a log](../tests/test_x.py) |" in text
    assert "- hibernate: no hibernation." in text


def test_every_statement_has_a_test_or_a_reason() -> None:
    assert [s.number for group in groups() for s in group.statements if not s.settled] == []


def test_what_is_said_not_to_apply_has_no_test_that_says_otherwise() -> None:
    assert [s.number for group in groups() for s in group.statements if s.not_ours and s.tests] == []


def test_every_case_of_the_suite_has_a_test_of_its_name() -> None:
    assert [case.name for some in cases().values() for case in some if case.test is None] == []


def test_the_page_is_up_to_date() -> None:
    now = page(groups(), cases(), neighbours(), bugs())
    assert PAGE.read_text(encoding="utf-8") == now, "run `python -m tests.otp`"
