"""A tree is found by name, and what is wrong is named with its place."""

from pathlib import Path

import pytest

from allstop.actors.errors import BadInput
from allstop.supervisors.config import Tree, halt_root
from allstop.supervisors.loading import load_tree

GOOD = "from allstop.supervisors.config import halt_root\ntree = halt_root(state_dir='var')\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my_tree.py"
    path.write_text(text)
    return path


def refused(target: str) -> str:
    with pytest.raises(BadInput) as caught:
        load_tree(target)
    return str(caught.value)


def test_a_file_with_an_attribute_gives_its_tree(tmp_path: Path) -> None:
    assert isinstance(load_tree(f"{written(tmp_path, GOOD)}:tree"), Tree)


def test_the_default_attribute_is_tree(tmp_path: Path) -> None:
    assert isinstance(load_tree(str(written(tmp_path, GOOD))), Tree)


def test_a_callable_without_arguments_is_called(tmp_path: Path) -> None:
    text = "from allstop.supervisors.config import halt_root\ndef make():\n    return halt_root(state_dir='elsewhere')\n"
    assert load_tree(f"{written(tmp_path, text)}:make").state_dir == "elsewhere"


def test_a_module_beside_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    assert isinstance(load_tree("my_tree:tree"), Tree)


def test_a_tree_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_tree.py").write_text("STATE = 'from beside'\n")
    text = "from beside_the_tree import STATE\n" + GOOD.replace("'var'", "STATE")
    assert load_tree(str(written(tmp_path, text))).state_dir == "from beside"


def test_an_unknown_file_is_named(tmp_path: Path) -> None:
    assert refused(f"{tmp_path}/nowhere.py:tree") == f"no such file: {tmp_path}/nowhere.py"


def test_an_unknown_module_is_named() -> None:
    assert refused("no_such_module_of_mine:tree") == "no module named 'no_such_module_of_mine'"


def test_an_unknown_attribute_is_named_with_the_trees_that_there_are(tmp_path: Path) -> None:
    assert "has no attribute 'three'; it has tree" in refused(f"{written(tmp_path, GOOD)}:three")


def test_something_else_than_a_tree_is_refused_by_its_type(tmp_path: Path) -> None:
    assert "x is a int, not a tree" in refused(f"{written(tmp_path, 'x = 3')}:x")


def test_an_error_in_the_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\nb = a / 0\n")
    assert refused(str(path)) == f"{path}:2: ZeroDivisionError: division by zero"


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\nb = (\n")
    assert refused(str(path)).startswith(f"{path}:2: SyntaxError")


def test_a_missing_import_inside_the_file_is_not_taken_for_a_missing_file(tmp_path: Path) -> None:
    path = written(tmp_path, "import nothing_like_this\n")
    assert refused(str(path)) == f"{path}:1: ModuleNotFoundError: No module named 'nothing_like_this'"


def test_a_target_without_a_name_is_refused() -> None:
    assert "neither file.py:attribute nor module:attribute" in refused(":tree")


def test_a_section_given_twice_is_named_with_the_line_of_the_second(tmp_path: Path) -> None:
    text = "from allstop.supervisors.config import data, halt_root\ntree = halt_root(\n    data(),\n    data(),\n)\n"
    path = written(tmp_path, text)
    assert refused(str(path)) == f"{path}:4: data(...) is given twice"


def test_an_unknown_key_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "from allstop.supervisors.config import kraken\na = kraken(account='main', pairs=['BTC/USD'], colour='red')\n",
    )
    assert refused(str(path)).startswith(
        f"{path}:2: TypeError: kraken() got an unexpected keyword argument 'colour'"
    )


def test_a_choice_that_is_none_is_named_with_the_choices(tmp_path: Path) -> None:
    text = (
        "from allstop.supervisors.config import supervisor\na = supervisor('s', strategy='one_for_nobody')\n"
    )
    path = written(tmp_path, text)
    assert (
        refused(str(path))
        == f"{path}:2: strategy is one of 'one_for_one', 'one_for_all', 'rest_for_one', not 'one_for_nobody'"
    )


def test_a_tree_starts_nothing_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert halt_root(state_dir="var").state_dir == "var"
    assert list(tmp_path.iterdir()) == []
