"""What a key is there to do, and what it must be allowed to do for it: no more than that, and never to withdraw."""

from collections.abc import Mapping
from typing import Final, Literal

from allstop.actors.errors import Problem
from allstop.actors.protocols.kraken import rest

Role = Literal["trade", "protect", "watchdog"]

# In GetApiKeyInfo's words.
_READ = frozenset({"query-funds", "query-open-trades", "query-closed-trades"})
NEEDED: Final[Mapping[Role, frozenset[str]]] = {
    "trade": _READ | {"modify-trades", "close-trades"},
    "protect": _READ | {"modify-trades", "close-trades"},
    "watchdog": frozenset({"query-open-trades", "close-trades"}),
}


def key_problems(info: rest.KeyInfo, role: Role) -> tuple[Problem, ...]:
    """What is wrong with a key for its role: it can withdraw, or lacks a permission, each named."""
    if info.can_withdraw:
        return (Problem("this key can withdraw: make one that cannot, and delete this one", f"{role} key"),)
    missing = sorted(NEEDED[role] - set(info.permissions))
    return tuple(Problem(f"the key lacks the permission {name!r}", f"{role} key") for name in missing)
