"""Whom chance may kill: pure. The same paths, arguments and draw give the same victim."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase


def candidates(paths: Sequence[str], under: str, spare: Collection[str] = ()) -> tuple[str, ...]:
    """The actors strictly below `under`, sorted. The root and its own children are never among them, because a tree
    whose infrastructure is shot again and again says nothing about recovery: name them to hit them. Nor is what
    stands at or below one of `spare`, nor an actor that no tree holds."""
    return tuple(
        sorted(
            path
            for path in paths
            if _below(path, under)
            and path.count("/") > 1
            and not path.startswith("/anonymous/")
            and not any(path == kept or _below(path, kept) for kept in spare)
        )
    )


def matching(paths: Sequence[str], pattern: str) -> tuple[str, ...]:
    """The paths that a pattern names, sorted; `*` stands for any one name, or part of one."""
    names = pattern.split("/")
    return tuple(sorted(path for path in paths if _matches(path.split("/"), names)))


def chosen(among: Sequence[str], draw: float) -> str | None:
    """One of them, by a draw in [0, 1); None of none."""
    return among[int(draw * len(among))] if among else None


def _below(path: str, under: str) -> bool:
    return path.startswith(under.rstrip("/") + "/") and path != "/"


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(path) == len(pattern) and all(map(fnmatchcase, path, pattern))
