"""API keys of a tree: read from the environment or from files, never shown."""

from collections.abc import Mapping

from allstop.actors.errors import BadInput, Problem
from allstop.actors.links.secrets import Secret, read_secret
from allstop.actors.protocols.kraken.signing import check_key
from allstop.supervisors.config import KrakenAccount


def secret_problem_in(name: str, environ: Mapping[str, str] | None) -> Problem | None:
    """What is wrong with the source of a key in an environment (None: this process's), or None."""
    found = read_secret(name, environ)
    return found if isinstance(found, Problem) else None


def read_pair(
    node: KrakenAccount, key_env: str, secret_env: str, environ: Mapping[str, str] | None = None
) -> tuple[Secret, Secret]:
    """The key and secret that two environment names lead to. Raises BadInput naming the account's line."""
    found = [read_secret(name, environ) for name in (key_env, secret_env)]
    problems = [
        Problem(f"account {node.account!r}: {p.what}", node.where) for p in found if isinstance(p, Problem)
    ]
    if problems:
        raise BadInput(*problems)
    key, secret = found
    assert isinstance(key, Secret)
    assert isinstance(secret, Secret)
    if (problem := check_key(key.reveal(), secret.reveal())) is not None:
        name = key_env if problem.where == "key" else secret_env
        raise BadInput(Problem(f"account {node.account!r}: {name}: {problem.what}", node.where))
    return key, secret


def shape_problems(node: KrakenAccount) -> tuple[Problem, ...]:
    """What is wrong with an account's keys as far as this machine can tell: a missing source, a text that is no key."""
    pairs = [(node.api_key_env, node.api_secret_env)]
    if node.protect_key_env is not None and node.protect_secret_env is not None:
        pairs.append((node.protect_key_env, node.protect_secret_env))
    found: list[Problem] = []
    for key_env, secret_env in pairs:
        try:
            read_pair(node, key_env, secret_env)
        except BadInput as error:
            found += error.problems
    return tuple(found)
