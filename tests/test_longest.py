"""The order in which several workers begin the files of tests."""

from tests.longest import LONG, TESTS, rank


def test_each_long_file_is_there_and_named_once() -> None:
    assert [place for place in LONG if not (TESTS / place).is_file()] == []
    assert len(set(LONG)) == len(LONG)


def test_long_files_come_first_and_all_others_stay_as_they_were() -> None:
    short, long, other = TESTS / "test_marks.py", TESTS / LONG[1], TESTS.parent / "elsewhere" / "test_x.py"
    assert sorted([short, other, long], key=rank) == [long, short, other]
