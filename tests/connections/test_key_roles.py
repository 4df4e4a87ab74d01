"""What a key must be allowed to do, and what it must not."""

from typing import Any

import pytest

from allstop.actors.key_roles import NEEDED, key_problems
from allstop.actors.protocols.kraken import rest


@pytest.mark.parametrize("role", ["trade", "protect", "watchdog"])
def test_a_key_that_can_withdraw_is_refused_in_every_role(role: Any):
    info = rest.KeyInfo(permissions=(*NEEDED[role], "withdraw-funds"))
    (problem,) = key_problems(info, role)
    assert "withdraw" in problem.what


def test_each_missing_permission_is_named():
    problems = key_problems(rest.KeyInfo(permissions=("query-funds", "query-open-trades")), "trade")
    said = " ".join(problem.what for problem in problems)
    assert [name in said for name in ("query-closed-trades", "modify-trades", "close-trades")] == [True] * 3
