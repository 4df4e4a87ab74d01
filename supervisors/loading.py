"""Finding a tree by name: `package.module:attribute` or `path/to/file.py:attribute` (default attribute: tree)."""

import importlib
import importlib.util
import re
import sys
import traceback
import zlib
from pathlib import Path
from types import ModuleType

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.config import Tree

_SPLIT = re.compile(r":(?![\\/])")  # a drive letter's colon is not ours


def load_tree(target: str) -> Tree:
    """The tree that `target` names: a `Tree`, or a callable without arguments that returns one.

    Raises BadInput naming the file, module, attribute or line that is wrong. The tree's own module is executed;
    nothing is started.
    """
    parts = _SPLIT.split(target)
    if len(parts) > 2 or not parts[0]:
        raise BadInput(Problem(f"{target!r} is neither file.py:attribute nor module:attribute"))
    source, attribute = parts[0], parts[1] if len(parts) == 2 else "tree"
    module = load_file(Path(source)) if source.endswith(".py") else _load_module(source)
    value: object = module
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            trees = [n for n, v in vars(module).items() if isinstance(v, Tree)]
            hint = f"; it has {', '.join(trees)}" if trees else "; it defines no tree"
            raise BadInput(Problem(f"{source} has no attribute {name!r}{hint}", source)) from None
    if callable(value):
        value = _guarded(value, source)
    if not isinstance(value, Tree):
        raise BadInput(
            Problem(
                f"{attribute} is a {type(value).__name__}, not a tree: make it with halt_root(...)", source
            )
        )
    return value


def load_file(path: Path) -> ModuleType:
    """A Python file of the user's, executed as a module. Raises BadInput naming the line that is wrong."""
    if not path.is_file():
        raise BadInput(Problem(f"no such file: {path}"))
    resolved = path.resolve()
    name = f"allstop_tree_{resolved.stem}_{zlib.crc32(str(resolved).encode()):x}"  # the same in every process
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise BadInput(Problem(f"cannot load {path} as Python"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickling and dataclasses look the module up
    sys.path.insert(0, str(resolved.parent))
    try:
        _guarded(lambda: spec.loader.exec_module(module), str(path))  # pyright: ignore[reportOptionalMemberAccess]
    finally:
        sys.path.remove(str(resolved.parent))
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise BadInput(Problem(f"no module named {error.name!r}")) from None
        raise BadInput(
            Problem(f"{name} imports {error.name!r}, which is not installed", _innermost(error))
        ) from error
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(Problem(f"{type(error).__name__}: {error}", _innermost(error))) from error
    finally:
        sys.path.remove("")


def _guarded(run: object, source: str) -> object:
    """Runs the user's code; what it raises becomes BadInput with the innermost file:line of it."""
    try:
        return run()  # pyright: ignore[reportCallIssue]
    except BadInput:
        raise
    except SyntaxError as error:
        raise BadInput(
            Problem(f"SyntaxError: {error.msg}", f"{error.filename or source}:{error.lineno}")
        ) from error
    except Exception as error:
        raise BadInput(Problem(f"{type(error).__name__}: {error}", _innermost(error) or source)) from error


def _innermost(error: BaseException) -> str:
    """file:line of the last frame outside the import machinery and this package."""
    here = str(Path(__file__).parent)
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not f.filename.startswith(("<frozen", here)) and "importlib" not in f.filename
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
