"""Plants a bug: replaces a piece of the source of one function, compiles it, and puts the code in its place.

The function object stays, so whoever holds it already runs the bug, too. The piece must stand there exactly once: a
mutant whose place has gone fails loudly instead of testing nothing.
"""

import inspect
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any


class MutantGone(Exception):
    """The place that a mutant changes is not there any more: rewrite the mutant."""


@contextmanager
def planted(function: Any, old: str, new: str) -> Generator[None]:
    """`function` with `old` replaced by `new` for as long as the block runs. Raises MutantGone."""
    target = plain(function)
    sound = target.__code__
    target.__code__ = mutated(target, old, new)
    try:
        yield
    finally:
        target.__code__ = sound


def plain(function: Any) -> FunctionType:
    """The Python function behind a method, a property or a class method. Raises MutantGone for what has no source."""
    if isinstance(function, property):
        function = function.fget
    function = getattr(function, "__func__", function)
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        raise MutantGone(f"{function!r} is no function that could be changed")
    return function


def mutated(function: FunctionType, old: str, new: str) -> CodeType:
    """The code of the function with the change. Raises MutantGone when `old` does not stand in it exactly once."""
    source = textwrap.dedent(inspect.getsource(function))
    if (found := source.count(old)) != 1:
        place = f"{function.__module__}.{function.__qualname__}"
        raise MutantGone(f"{place}: {old!r} stands there {found} times, and not once")
    lines = source.replace(old, new).splitlines()
    while lines[0].lstrip().startswith("@"):  # its decorators have been applied already
        del lines[0]
    names = function.__code__.co_freevars
    text = "\n".join(lines)
    if names:
        # It closes over something (`super()` over its class): compiled inside of a function that has those names.
        heads = "".join(f"    {name} = None\n" for name in names)
        text = f"def outside():\n{heads}{textwrap.indent(text, '    ')}\n"
    code = _inner(compile(text, inspect.getsourcefile(function) or "mutant", "exec"), function.__name__)
    if code.co_freevars != names:
        raise MutantGone(f"{function.__qualname__}: the change closes over {code.co_freevars}, not {names}")
    return code


def _inner(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            if constant.co_name == "outside":
                return _inner(constant, name)
    raise MutantGone(f"no {name} came out of the change")
