"""What the documents point to is there, and what is there is pointed to."""

import re
from pathlib import Path

import pytest
from tests.otp.page import PAGE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
ELSEWHERE = re.compile(r"[a-z]+:")  # https:, mailto:


def links(document: Path) -> list[Path]:
    """The files that a document's relative links lead to."""
    found = (target for target in LINK.findall(document.read_text()) if not ELSEWHERE.match(target))
    return [(document.parent / target).resolve() for target in found]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_that_exists(document: Path) -> None:
    missing = [str(target) for target in links(document) if not target.exists()]
    assert [
        target for target in missing if target != str(PAGE)
    ] == []  # that page is made from marks: tests/otp


@pytest.mark.parametrize(
    ("index", "room"),
    [(DOCS / "guide" / "README.md", DOCS / "guide"), (DOCS / "architecture.md", DOCS / "decisions")],
    ids=["guide", "decisions"],
)
def test_an_index_lists_each_page_of_its_room_once(index: Path, room: Path) -> None:
    listed = [target.name for target in links(index) if target.parent == room]
    assert sorted(listed) == sorted(page.name for page in room.glob("*.md") if page != index)


def test_decisions_are_numbered_from_one_without_gaps() -> None:
    numbers = sorted(page.name[:4] for page in (DOCS / "decisions").glob("*.md"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda path: path.name)
def test_a_decision_bears_the_number_of_its_file(page: Path) -> None:
    assert page.read_text().startswith(f"# {page.name[:4]}: ")
