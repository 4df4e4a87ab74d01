"""docs/scenarios.md: every failure scenario, whether it is survived, and the tests that show it. Made from marks."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.marks import by_mark

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "scenarios.md"
MARK: Final = "scenario"

INTRODUCTION = """\
# Failure scenarios

What can go wrong between an engine and its venue, what must be true afterwards, and the tests that show it. Each test
plays one scenario on the simulated world, in virtual time, with a venue that keeps the truth; and after each the
oracles judge everything else that must never break. *Shown* has tests; *in part* has tests and names what is missing;
*open* names what is not built. What concerns OANDA or Binance alone waits for its venue.

This page is made from the tests (`python -m tests.scenarios`), and a test fails when it is not up to date, or when a
scenario of Kraken's or of any venue has neither a test nor a reason. A test carries its scenario as
`@pytest.mark.scenario("T001")`; the scenarios are in `tests/scenarios/scenarios.toml`.
"""

VENUES: Final = {"K": "Kraken", "O": "OANDA", "B": "Binance", "*": "any"}
HERE_ALREADY: Final = frozenset("K*")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. `open`: what is not built, so that nothing can be shown; `part`: what the tests do not show."""

    name: str
    venues: str
    fails: str
    must: str
    open: str | None
    part: str | None
    tests: tuple[str, ...]

    @property
    def ours(self) -> bool:
        """It concerns a venue that is built."""
        return not HERE_ALREADY.isdisjoint(self.venues)

    @property
    def settled(self) -> bool:
        """A test shows it, or it is said why none does. Not both: then one of them is out of date."""
        return not self.ours or (
            bool(self.tests) != (self.open is not None) and not (self.open and self.part)
        )

    @property
    def status(self) -> str:
        match self:
            case Scenario(ours=False, tests=()):
                return "another venue: not here yet"
            case Scenario(open=str(missing)):
                return f"**open:** {missing}"
            case Scenario(tests=()):
                return "**nothing**"
            case Scenario(part=str(missing)):
                return f"**in part:** not {missing}"
            case _:
                return "shown"


@dataclass(frozen=True, slots=True)
class Section:
    letter: str
    title: str
    scenarios: tuple[Scenario, ...]


def sections(root: Path = ROOT) -> tuple[Section, ...]:
    """The scenarios with their tests, section by section. Raises ValueError for a row with a field too many or few."""
    data: dict[str, dict[str, Any]] = tomllib.loads((HERE / "scenarios.toml").read_text(encoding="utf-8"))
    tests = by_mark(MARK, root)
    return tuple(
        Section(
            letter,
            rows["title"],
            tuple(
                _scenario(name, row, tuple(tests.get(name, ())))
                for name, row in rows.items()
                if name != "title"
            ),
        )
        for letter, rows in data.items()
    )


def _scenario(name: str, row: dict[str, str], tests: tuple[str, ...]) -> Scenario:
    needed, allowed = {"venues", "fails", "must"}, {"open", "part"}
    if wrong := (needed - row.keys()) | (row.keys() - needed - allowed):
        raise ValueError(f"{name}: {', '.join(sorted(wrong))}")
    return Scenario(name, row["venues"], row["fails"], row["must"], row.get("open"), row.get("part"), tests)


def page(all_sections: tuple[Section, ...]) -> str:
    """The whole of docs/scenarios.md."""
    lines = [INTRODUCTION]
    for section in all_sections:
        ours = [scenario for scenario in section.scenarios if scenario.ours]
        shown = sum(scenario.status == "shown" for scenario in ours)
        lines += [
            f"## {section.letter} {section.title}",
            "",
            f"{shown} of {len(ours)} are shown.",
            "",
            "| id | venue | what fails | what must be true | status | test |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(scenario) for scenario in section.scenarios]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(scenario: Scenario) -> str:
    venues = ", ".join(VENUES[letter] for letter in scenario.venues)
    tests = ", ".join(map(_link, scenario.tests))
    return (
        f"| {scenario.name} | {venues} | {scenario.fails} | {scenario.must} | {scenario.status} | {tests} |"
    )


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.rpartition('::')[2].removeprefix('test_').replace('_', ' ')}](../{path})"
