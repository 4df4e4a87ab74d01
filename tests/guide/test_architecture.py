"""The page on the architecture is true: it names each module and room, none that is gone, and draws the tree that runs."""

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]
PACKAGES = [path.parent for top in ("actors", "supervisors") for path in (ROOT / top).rglob("__init__.py")]
HEADED = ["actors", "actors/runtime", "supervisors"]  # each of these has tables of its own
ROOMS = sorted(
    room
    for package in PACKAGES
    if any(module.stem[:2] != "__" for module in package.glob("*.py"))
    and (room := str(package.relative_to(ROOT))) not in HEADED
)


def modules(room: str) -> set[str]:
    return {path.stem for path in (ROOT / room).glob("*.py") if path.stem[:2] != "__"}


def picture(head: str) -> str:
    """The first block of text below a heading."""
    return PAGE.split(f"## {head}\n", 1)[1].split("```text\n", 1)[1].split("```", 1)[0]


@pytest.mark.parametrize("room", HEADED)
def test_the_tables_of_a_room_name_each_module_and_room_in_it(room: str) -> None:
    named = set(re.findall(r"(\w+)/?`", "\n".join(ROWS)))
    rooms = {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
    assert (modules(room) | rooms) - named == set()


@pytest.mark.parametrize("room", ROOMS)
def test_the_row_of_a_room_names_its_modules_and_no_others(room: str) -> None:
    row = [line for line in ROWS if line.startswith(f"| `{room}/` |")][-1]
    assert set(re.findall(r"`(\w+)`", row)) == modules(room)


def test_no_table_names_a_module_that_is_gone() -> None:
    named = set(re.findall(r"`(\w+)`", "\n".join(row.split("|", 2)[2] for row in ROWS)))
    assert (
        named - {module for package in PACKAGES for module in modules(str(package.relative_to(ROOT)))}
        == set()
    )


def test_the_picture_of_the_rooms_shows_each_room() -> None:
    shown = re.findall(r"(\w+)/", picture("The rooms"))
    assert sorted(shown) == sorted(
        package.name
        for package in {*PACKAGES, ROOT / "actors", ROOT / "supervisors"}
        if package.name != "kraken"
    )


def drawn() -> list[str]:
    """The paths of the actors in the picture of the tree."""
    above: list[str] = []
    paths: list[str] = []
    for line in picture("The running tree").splitlines()[1:]:
        branches, name = re.match(r"([│ ]*[├└]── )(\S+)", line).groups()  # pyright: ignore[reportOptionalMemberAccess]
        above[len(branches) // 4 - 1 :] = [name]
        paths.append("/" + "/".join(above))
    return paths


def test_the_picture_of_the_tree_shows_who_stands_in_it(world: Any) -> None:
    shown, parents = drawn(), {path.rpartition("/")[0] for path in drawn()}
    running = {actor.path for actor in world.runtime.system.actors()} - {"/"}
    assert set(shown) <= running
    assert {path for path in running if path.rpartition("/")[0] in parents} == set(shown)
