"""What is read out of the marks of tests."""

from pathlib import Path

from tests.marks import by_mark, marked

SOURCE = """
import pytest

pytestmark = [pytest.mark.virtual, pytest.mark.req("1")]

@pytest.mark.req("2", "3")
@pytest.mark.scenario("T001")
async def test_a(): ...

@pytest.mark.req("9")
def helper(): ...

@pytest.mark.req("4")
class TestB:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req("5"))])
    def test_c(self, x): ...
"""


def test_marks_count_for_the_tests_that_they_reach() -> None:
    a, c = "tests/test_x.py::test_a", "tests/test_x.py::TestB::test_c"
    found = list(marked("req", SOURCE, "tests/test_x.py"))
    assert found == [("1", a), ("2", a), ("3", a), ("1", c), ("4", c), ("5", c)]
    assert list(marked("scenario", SOURCE, "tests/test_x.py")) == [("T001", a)]


def test_the_tests_of_a_tree_stand_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("b/test_x.py", "a/test_y.py", "a/other.py"):
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('@pytest.mark.req("7")\ndef test_it(): ...\n', encoding="utf-8")
    assert by_mark("req", tmp_path) == {"7": ["tests/a/test_y.py::test_it", "tests/b/test_x.py::test_it"]}
