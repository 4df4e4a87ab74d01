"""Where a class is found by another process: its module and name, and its file where the module has no name of its own."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from allstop.actors.errors import AllstopError

MAIN_ALIAS: Final = (
    "__allstop_main__"  # what a script is called in another process: its main part does not run
)


class NotImportable(AllstopError):
    """Another process could not import this class. The message says why, and what to do."""


class Location(msgspec.Struct, frozen=True):
    module: str
    qualname: str
    file: str


def located(cls: type[Any]) -> Location:
    """Raises NotImportable for what stands in a function, an interactive session, or is replaced in its module."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    if "<locals>" in cls.__qualname__:
        raise NotImportable(f"{name} stands in a function, where another process cannot find it: move it out")
    module = sys.modules.get(cls.__module__)
    if module is None or _named(module, cls.__qualname__) is not cls:
        raise NotImportable(f"{name} is not what its module has under this name")
    file = getattr(module, "__file__", None) or ""
    if cls.__module__ == "__main__":
        spec = getattr(module, "__spec__", None)
        if spec is not None:  # python -m
            return Location(str(spec.name), cls.__qualname__, file)
        if not Path(file).is_file():
            raise NotImportable(
                f"{name} was typed in, and another process has no file of it: put it into one"
            )
    return Location(cls.__module__, cls.__qualname__, file)


def found(location: Location) -> type[Any]:
    """The class, in this process. Raises NotImportable, or whatever its module raises when it is imported."""
    module = sys.modules.get(location.module)
    if module is None or location.module == "__main__":
        module = _imported(location)
    cls = _named(module, location.qualname)
    if not isinstance(cls, type):
        raise NotImportable(f"{module.__name__} ({location.file}) has no class {location.qualname}")
    return cls


def _imported(location: Location) -> ModuleType:
    if location.module != "__main__":
        try:
            return importlib.import_module(location.module)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if missing != location.module and not location.module.startswith(f"{missing}."):
                raise
    name = MAIN_ALIAS if location.module == "__main__" else location.module
    path = Path(location.file)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise NotImportable(f"no module {location.module!r}, and no file {location.file!r}")
    sys.path.append(str(path.parent.resolve()))  # for what stands beside it
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if name == MAIN_ALIAS:
        sys.modules["__main__"] = module
    spec.loader.exec_module(module)
    return module


def _named(module: ModuleType, qualname: str) -> Any:
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
