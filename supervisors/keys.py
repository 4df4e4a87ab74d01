"""API keys of a tree: read from the environment or from files, never shown."""

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.secrets import Secret, read_secret
from allstop.supervisors.config import KrakenAccount


def secret_problem(name: str) -> Problem | None:
    """What is wrong with the source of a key, or None."""
    found = read_secret(name)
    return found if isinstance(found, Problem) else None


def read_pair(node: KrakenAccount, key_env: str, secret_env: str) -> tuple[Secret, Secret]:
    """The key and secret that two environment names lead to. Raises BadInput naming the account's line."""
    found = [read_secret(name) for name in (key_env, secret_env)]
    problems = [
        Problem(f"account {node.account!r}: {p.what}", node.where) for p in found if isinstance(p, Problem)
    ]
    if problems:
        raise BadInput(*problems)
    key, secret = found
    assert isinstance(key, Secret)
    assert isinstance(secret, Secret)
    return key, secret
