"""docs/otp.md says what the tests say."""

from tests.otp.page import Case, Group, Statement, cases, groups, marked, page

SOURCE = """
import pytest

pytestmark = [pytest.mark.virtual, pytest.mark.req("1")]

@pytest.mark.req("2", "3")
async def test_a(): ...

def helper(): ...

@pytest.mark.req("4")
class TestB:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req("5"))])
    def test_c(self, x): ...
"""


def test_marks_count_for_the_tests_that_they_reach() -> None:
    found = sorted(marked(SOURCE, "tests/test_x.py"))
    a, c = "tests/test_x.py::test_a", "tests/test_x.py::TestB::test_c"
    assert found == sorted([(1, a), (2, a), (3, a), (1, c), (4, c), (5, c)])


def test_there_are_257_statements_and_93_cases_each_once() -> None:
    assert [s.number for group in groups() for s in group.statements] == list(range(1, 258))
    assert sum(len(some) for some in cases().values()) == 93


def test_a_statement_without_test_or_reason_is_shown_as_such() -> None:
    statement = Statement(7, "Something holds.", None, None, ())
    assert not statement.settled
    text = page((Group("A", "Things", (statement,)),), {"cases": (Case("tree", None, None),)})
    assert "| 7 | Something holds. | as it stands | **nothing** |" in text
    assert "| `tree` |  | **missing** |" in text
