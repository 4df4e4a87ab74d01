"""docs/otp.md: every statement, whether ours is OTP's, and the tests that show it. Made from marks, never by hand."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.marks import by_mark, each_test

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "otp.md"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

INTRODUCTION = """\
# OTP, statement by statement

What a supervisor of OTP does is known to the letter: its source, its test suite and its manual say so. Here are
{statements} statements on supervisors, servers, state machines, event managers and what we add to them, each with the
tests that show it for allstop. {same} hold as they stand, {differs} hold with a difference that is named,
{not_ours} do not apply, and why. Then come the {cases} cases of OTP's own `supervisor_SUITE`, by name, the bugs that other ports
of OTP shipped, and the cases of the neighbouring suites that make sense here, with those that do not, and why.

This page is made from the tests (`python -m tests.otp`), and a test fails when it is not up to date, or when a
statement has neither a test nor a reason. A test carries its statement as `@pytest.mark.req("98")`.
"""


@dataclass(frozen=True, slots=True)
class Statement:
    number: int
    text: str
    differs: str | None
    not_ours: str | None
    tests: tuple[str, ...]

    @property
    def settled(self) -> bool:
        """It is shown by a test, or there is a reason why it cannot be."""
        return bool(self.tests) or self.not_ours is not None


@dataclass(frozen=True, slots=True)
class Group:
    letter: str
    title: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite beside supervisor_SUITE: its cases with their tests, and those left out with the reason."""

    name: str
    cases: dict[str, tuple[str, ...]]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One case of OTP's suite, and the test of that name."""

    name: str
    adapted: str | None
    test: str | None


def by_statement(root: Path = ROOT) -> dict[int, list[str]]:
    """The tests of each statement, as pytest names them, in the order of their files."""
    return {int(number): tests for number, tests in by_mark("req", root).items()}


def groups(root: Path = ROOT) -> tuple[Group, ...]:
    """The statements with their tests, group by group."""
    data: dict[str, Any] = tomllib.loads((HERE / "statements.toml").read_text(encoding="utf-8"))
    tests = by_statement(root)
    return tuple(
        Group(
            letter,
            entry["title"],
            tuple(
                Statement(
                    int(number),
                    text,
                    data["differs"].get(number),
                    data["not_ours"].get(number),
                    tuple(tests.get(int(number), ())),
                )
                for number, text in entry.items()
                if number != "title"
            ),
        )
        for letter, entry in zip(LETTERS, data["group"], strict=True)
    )


def cases(root: Path = ROOT) -> dict[str, tuple[Case, ...]]:
    """The cases of supervisor_SUITE under their headings, each with the test that has its name."""
    data: dict[str, dict[str, str]] = tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))
    tests: dict[str, str] = {}
    for path in sorted((root / "tests" / "otp").glob("test_sup_*.py")):
        for test, _owner in each_test(ast.parse(path.read_text(encoding="utf-8")).body):
            tests[test.name] = f"{path.relative_to(root).as_posix()}::{test.name}"
    return {
        title: tuple(Case(name, note or None, tests.get(f"test_{name}")) for name, note in entry.items())
        for title, entry in data.items()
    }


def neighbours() -> tuple[Suite, ...]:
    """The suites of gen_server, gen_statem, gen_event, sys, Elixir, suture and Akka."""
    data: dict[str, dict[str, dict[str, Any]]] = tomllib.loads(
        (HERE / "neighbours.toml").read_text(encoding="utf-8")
    )
    return tuple(
        Suite(
            name,
            {
                case: (tests,) if isinstance(tests, str) else tuple(tests)
                for case, tests in entry["tests"].items()
            },
            entry["left_out"],
        )
        for name, entry in data.items()
    )


def found_in(path: str, root: Path = ROOT) -> frozenset[str]:
    """The tests of one file, as pytest names them."""
    tree = ast.parse((root / path).read_text(encoding="utf-8"))
    return frozenset(
        "::".join([path, *(node.name for node in owner), test.name]) for test, owner in each_test(tree.body)
    )


def bugs(root: Path = ROOT) -> tuple[tuple[str, str, str], ...]:
    """The bugs that other ports shipped: number, report, and the test that would fail on it."""
    path = root / BUGS
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    found: list[tuple[str, str, str]] = []
    for test, _owner in each_test(ast.parse(source).body):
        number = test.name.removeprefix("test_").partition("_")[0]
        if number.isdigit():
            report = lines[test.body[0].lineno - 2].strip().removeprefix("# ")
            found.append((number, report, f"{BUGS}::{test.name}"))
    return tuple(found)


BUGS = "tests/supervisors/test_bugs_of_others.py"


def page(
    all_groups: tuple[Group, ...],
    all_cases: dict[str, tuple[Case, ...]],
    suites: tuple[Suite, ...] = (),
    reported: tuple[tuple[str, str, str], ...] = (),
) -> str:
    """The whole of docs/otp.md."""
    statements = [statement for group in all_groups for statement in group.statements]
    not_ours = sum(statement.not_ours is not None for statement in statements)
    differs = sum(statement.differs is not None for statement in statements)
    lines = [
        INTRODUCTION.format(
            statements=len(statements),
            same=len(statements) - differs - not_ours,
            differs=differs,
            not_ours=not_ours,
            cases=sum(len(some) for some in all_cases.values()),
        )
    ]
    for group in all_groups:
        lines += [
            f"## {group.letter}. {group.title}",
            "",
            "| # | statement | here | shown by |",
            "|---|---|---|---|",
        ]
        lines += [_row(statement) for statement in group.statements]
        lines.append("")
    lines += ["## supervisor_SUITE", ""]
    for title, some in all_cases.items():
        lines += [f"### {title}", "", "| case | adapted | test |", "|---|---|---|"]
        lines += [
            f"| `{case.name}` | {case.adapted or ''} | {_link(case.test) if case.test else '**missing**'} |"
            for case in some
        ]
        lines.append("")
    if reported:
        lines += ["## Bugs that other ports shipped", "", "| # | reported as | shown by |", "|---|---|---|"]
        lines += [f"| {int(number)} | {report} | {_link(test)} |" for number, report, test in reported]
        lines.append("")
    for suite in suites:
        lines += _suite(suite)
    return "\n".join(lines).rstrip() + "\n"


def _suite(suite: Suite) -> list[str]:
    lines = [f"## {suite.name}", "", "| case | shown by |", "|---|---|"]
    lines += [f"| {case} | {', '.join(map(_link, tests))} |" for case, tests in suite.cases.items()]
    lines += ["", "Left out:", ""]
    lines += [f"- {case}: {why}." for case, why in suite.left_out.items()]
    return [*lines, ""]


def _row(statement: Statement) -> str:
    if statement.not_ours is not None:
        here = f"does not apply: {statement.not_ours}"
    elif statement.differs is not None:
        here = f"**differs:** {statement.differs}"
    else:
        here = "as it stands"
    shown = ", ".join(_link(test) for test in statement.tests[:TESTS_SHOWN])
    if len(statement.tests) > TESTS_SHOWN:
        shown += f" and {len(statement.tests) - TESTS_SHOWN} more"
    return f"| {statement.number} | {statement.text} | {here} | {shown or ('' if statement.settled else '**nothing**')} |"


TESTS_SHOWN = 2  # enough to start reading; the marks find the rest


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.rpartition('::')[2].removeprefix('test_').replace('_', ' ')}](../{path})"
