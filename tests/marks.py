"""What the tests say of themselves: the arguments of their marks, read from the source, without importing anything."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def by_mark(mark: str, root: Path = ROOT) -> dict[str, list[str]]:
    """The tests of each argument of this mark, as pytest names them, in the order of their files."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if f"mark.{mark}(" in source:
            for argument, test in marked(mark, source, path.relative_to(root).as_posix()):
                found.setdefault(argument, []).append(test)
    return found


def marked(mark: str, source: str, where: str) -> Iterator[tuple[str, str]]:
    """Each (argument, test) that the marks `pytest.mark.MARK("12", ...)` of one file name.

    A mark on a class, a module (`pytestmark`) or one parameter set counts for the tests that it reaches.
    """
    tree = ast.parse(source)
    for_all = [argument for node in tree.body if _is_pytestmark(node) for argument in _arguments(node, mark)]
    for test, owner in each_test(tree.body):
        name = "::".join([where, *(node.name for node in owner), test.name])
        on_it = [argument for node in (*owner, test) for argument in _of_decorators(node, mark)]
        for argument in sorted({*for_all, *on_it}):
            yield argument, name


def each_test(
    body: list[ast.stmt], owner: tuple[ast.ClassDef, ...] = ()
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, tuple[ast.ClassDef, ...]]]:
    """Each test of a module, with the classes that it is in."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield node, owner
        elif isinstance(node, ast.ClassDef):
            yield from each_test(node.body, (*owner, node))


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def _of_decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, mark: str) -> list[str]:
    return [argument for decorator in node.decorator_list for argument in _arguments(decorator, mark)]


def _arguments(node: ast.AST, mark: str) -> list[str]:
    return [
        argument.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == mark
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
