"""Every rule of a tree, broken once: the problem names the thing, and the line that made it."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allstop.actors.errors import BadInput, Problem
from allstop.actors.runtime import Actor
from allstop.actors.spec import NO_BACKOFF, Backoff, OnExceeded, Pause
from allstop.supervisors.checking import check_tree
from allstop.supervisors.config import (
    Budget,
    KrakenAccount,
    KrakenPublic,
    Tree,
    accounts,
    child,
    data,
    halt_root,
    kraken,
    kraken_public,
    strategies,
    supervisor,
)
from allstop.supervisors.outline import outline

HERE = str(Path(__file__))


class Breakout(Actor):
    def __init__(self, pair: str) -> None:
        self.pair = pair

    def on_receive(self, message: object) -> None: ...


class Asynchronous(Actor):
    async def on_receive(self, message: object) -> None: ...


def local_class() -> type[Actor]:
    class Local(Actor):
        pass

    return Local


def account(**changed: Any) -> KrakenAccount:
    fields: dict[str, Any] = {"account": "main", "pairs": ["BTC/USD"], **changed}
    return kraken(**fields)


def of(*nodes: KrakenAccount) -> Tree:
    return halt_root(accounts(*nodes))


def public(pairs: tuple[str, ...] = ("BTC/USD",), **changed: Any) -> Tree:
    return halt_root(data(kraken_public(pairs, **changed)))


def yours(*nodes: Any, **changed: Any) -> Tree:
    return halt_root(strategies(*nodes, **changed))


SLOW = Backoff(30.0, 30.0)
RULES: dict[str, tuple[Callable[[], Tree], str]] = {
    "no state directory": (lambda: halt_root(state_dir=""), "state_dir '' is not a directory"),
    "a file for a state directory": (lambda: halt_root(state_dir=HERE), f"state_dir {HERE!r} is not a directory"),
    "negative restarts": (
        lambda: of(account(max_restarts=-1)),
        "account 'main': max_restarts is a whole number of at least 0, not -1",
    ),
    "restarts that are yes": (
        lambda: of(account(max_restarts=True)),
        "account 'main': max_restarts is a whole number of at least 0, not True",
    ),
    "half a restart": (lambda: yours(max_restarts=1.5), "strategies: max_restarts is a whole number of at least 0"),
    "no time": (lambda: yours(max_seconds=0), "strategies: max_seconds is a number of seconds above 0, not 0"),
    "not a time": (
        lambda: yours(max_seconds=float("nan")),
        "strategies: max_seconds is a number of seconds above 0, not nan",
    ),
    "a time in words": (
        lambda: of(account(trading=Budget(3, "5"))),  # pyright: ignore[reportArgumentType]
        "account 'main': trading: max_seconds is a number of seconds above 0, not '5'",
    ),
    "a window of infrastructure": (
        lambda: halt_root(infrastructure=Budget(3, -1)),
        "infrastructure: max_seconds is a number of seconds above 0, not -1",
    ),
    "a window of alerting": (lambda: halt_root(alerting=Budget(-3, 1)), "alerting: max_restarts is a whole number"),
    "a tracker's budget": (
        lambda: of(account(tracker=Budget(-3, 1))),
        "account 'main': tracker: max_restarts is a whole number",
    ),
    "the accounts' budget": (lambda: halt_root(accounts(max_restarts=-2)), "accounts: max_restarts is a whole number"),
    "a pause without a cooldown": (
        lambda: yours(pause=Pause(cooldown_s=0)),
        "strategies: pause: cooldown_s is a number of seconds above 0, not 0",
    ),
    "fewer than no probes": (lambda: yours(pause=Pause(probes=-1)), "strategies: pause: probes is at least 0, not -1"),
    "a breaker without trips": (
        lambda: yours(pause=Pause(max_trips=0)),
        "strategies: pause: max_trips is at least 1, not 0",
    ),
    "a backoff upside down": (
        lambda: public(backoff=Backoff(5.0, 1.0)),
        "kraken.public: backoff: 0 <= min_backoff_s <= max_backoff_s does not hold for 5.0 and 1.0",
    ),
    "a backoff of too much chance": (
        lambda: public(backoff=Backoff(1.0, 5.0, random_factor=2)),
        "kraken.public: backoff: random_factor is from 0 to 1, not 2",
    ),
    "a window that its session's backoff never fills": (
        lambda: of(account(trading=Budget(5, 60), backoff=SLOW)),
        "account 'main': trading: child 'session': 5 restarts take at least 150 s of backoff, so max_restarts=5 within "
        "max_seconds=60 is never exceeded",
    ),
    "a window that its connection's backoff never fills": (
        lambda: public(max_restarts=5, max_seconds=100, backoff=SLOW),
        "kraken.public: child 'connection': 5 restarts take at least 150 s of backoff",
    ),
    "a window that your child's backoff never fills": (
        lambda: yours(child("a", Breakout, pair="x", backoff=SLOW), max_restarts=3, max_seconds=60),
        "child 'a': 3 restarts take at least 90 s of backoff",
    ),
    "a window of yours that your child's backoff never fills": (
        lambda: yours(supervisor("s", child("a", Breakout, pair="x", backoff=SLOW))),
        "child 'a': 3 restarts take at least 90 s of backoff, so max_restarts=3 within max_seconds=5",
    ),
    "a budget beyond the venue's connects": (
        lambda: of(account(trading=Budget(100, 300), backoff=NO_BACKOFF)),
        "account 'main': trading: restarts could open 301 connections in 600 s where the venue allows 150",
    ),
    "half-open cycles beyond the venue's connects": (
        lambda: of(account(trading=Budget(20, 300, OnExceeded.PAUSE, Pause(cooldown_s=1.0)), backoff=NO_BACKOFF)),
        "account 'main': trading: restarts could open 187 connections in 600 s where the venue allows 150",
    ),
    "budgets that together go beyond our share of connects": (
        lambda: halt_root(accounts(account(trading=Budget(15, 300), backoff=NO_BACKOFF)), data(kraken_public(["BTC/USD"]))),
        "kraken.public: 10 restarts in 300 s allow 77 connections in 600 s with what stands before; the venue's share "
        "for one engine is 75",
    ),
    "an account twice": (
        lambda: of(account(), account(api_key_env="B", api_secret_env="C")),
        "duplicate id 'kraken.main', first at ",
    ),
    "a venue's data twice": (
        lambda: halt_root(data(kraken_public(["BTC/USD"], max_restarts=3), kraken_public(["ETH/USD"], max_restarts=3))),
        "duplicate id 'kraken.public', first at ",
    ),
    "a child twice": (
        lambda: yours(child("a", Breakout, pair="x"), child("a", Breakout, pair="y")),
        "duplicate id 'a', first at ",
    ),
    "a child twice, deeper down": (
        lambda: yours(supervisor("s", child("a", Breakout, pair="x"), child("a", Breakout, pair="y"))),
        "duplicate id 'a', first at ",
    ),
    "a pair twice": (lambda: of(account(pairs=["BTC/USD", "BTC/USD"])), "duplicate id 'BTC/USD', first at "),
    "one key for two accounts": (
        lambda: of(account(), account(account="second")),
        "KRAKEN_API_KEY is used by account 'main' as its trade key and by account 'second' as its trade key",
    ),
    "one key for two roles": (
        lambda: of(account(protect_key_env="KRAKEN_API_KEY", protect_secret_env="S")),
        "KRAKEN_API_KEY is used by account 'main' as its trade key and by account 'main' as its protect key",
    ),
    "a protect key without a secret": (
        lambda: of(account(protect_key_env="K")),
        "protect_key_env and protect_secret_env go together",
    ),
    "a slash in an account": (lambda: of(account(account="a/b")), "'a/b' is not an id: letters, digits"),
    "a slash in a child": (lambda: yours(child("a/b", Breakout, pair="x")), "'a/b' is not an id: letters, digits"),
    "a slash in a supervisor": (lambda: yours(supervisor("a/b")), "'a/b' is not an id: letters, digits"),
    "an id that is too long": (lambda: yours(supervisor("a" * 65)), f"'{'a' * 65}' is not an id"),
    "no pairs": (lambda: of(account(pairs=[])), "pairs is empty: name at least one, as in BTC/USD"),
    "a pair that is none": (lambda: of(account(pairs=["btcusd"])), "'btcusd' is not a pair: write BASE/QUOTE"),
    "a public pair that is none": (lambda: public(("BTC-USD",)), "'BTC-USD' is not a pair: write BASE/QUOTE"),
    "an unknown timing": (lambda: of(account(timing="fast")), "timing is one of 'kraken', 'loopback', not 'fast'"),
    "an unknown timing of data": (lambda: public(timing="fast"), "timing is one of 'kraken', 'loopback', not 'fast'"),
    "an unknown tier": (lambda: of(account(tier="gold")), "tier is one of 'starter', 'intermediate', 'pro', not 'gold'"),
    "a depth that the venue has not": (lambda: public(depth=11), "depth is one of 10, 25, 100, 500, 1000, not 11"),
    "keys in the clear": (
        lambda: of(account(rest_url="http://api.kraken.com")),
        "rest_url 'http://api.kraken.com' would send keys in the clear: http:// is for loopback only",
    ),
    "a private socket in the clear": (
        lambda: of(account(private_url="ws://ws-auth.kraken.com/v2")),
        "private_url 'ws://ws-auth.kraken.com/v2' would send keys in the clear",
    ),
    "an address that is none": (lambda: of(account(rest_url="kraken")), "rest_url 'kraken' is not a https:// address"),
    "an address that breaks off": (
        lambda: of(account(rest_url="https://[::1")),
        "rest_url 'https://[::1' is not a https:// address",
    ),
    "no address": (
        lambda: public(url=None),
        "url None is not a wss:// address",
    ),
    "a REST address for a socket": (
        lambda: public(url="https://ws.kraken.com"),
        "url 'https://ws.kraken.com' is not a wss:// address",
    ),
    "a public REST address that is none": (
        lambda: public(rest_url="ftp://x"),
        "rest_url 'ftp://x' is not a https:// address",
    ),
    "no entry at all": (
        lambda: of(account(entries_max_per_s=0)),
        "entries_max_per_s is a whole number above 0, not 0",
    ),
    "no time for cover": (lambda: of(account(cover_s=0)), "cover_s is a number of seconds above 0, not 0"),
    "cover for ever": (
        lambda: of(account(cover_s=float("inf"))),
        "cover_s is a number of seconds above 0, not inf",
    ),
    "a child that is no actor": (
        lambda: yours(child("a", dict)),
        "'a': <class 'dict'> is not an Actor class",
    ),
    "a thread for an actor whose handlers are async": (
        lambda: yours(child("a", Asynchronous, isolation="thread")),
        "'a': Asynchronous.on_receive is async, and a thread of its own runs no event loop: make it a plain function, "
        "or use isolation='process'",
    ),
    "a process for an actor that another process cannot import": (
        lambda: yours(child("a", local_class(), isolation="process")),
        "'a': local_class.<locals>.Local: tests.config.test_checking.local_class.<locals>.Local stands in a function, "
        "where another process cannot find it: move it out",
    ),
    "an argument that cannot go to another process": (
        lambda: yours(child("a", Breakout, pair=print, isolation="process")),
        "'a': Breakout(...): builtin_function_or_method cannot be sent to another process: "
        "builtins.builtin_function_or_method is not in `wire` - at `$[1]['pair']`",
    ),
    "a child that is an instance": (lambda: yours(child("a", 3)), "'a': 3 is not an Actor class"),
    "an argument that its class does not take": (
        lambda: yours(child("a", Breakout, pears=3)),
        "'a': Breakout(...): missing a required argument: 'pair'",
    ),
    "a child's backoff upside down": (
        lambda: yours(child("a", Breakout, pair="x", backoff=Backoff(-1.0, 1.0))),
        "'a': backoff: 0 <= min_backoff_s <= max_backoff_s does not hold for -1.0 and 1.0",
    ),
    "a supervisor's budget": (
        lambda: yours(supervisor("s", max_restarts=-1)),
        "supervisor 's': max_restarts is a whole number of at least 0, not -1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_named_with_its_place(rule: str) -> None:
    make, told = RULES[rule]
    (problem,) = check_tree(make())
    assert problem.what.startswith(told)
    assert problem.where.startswith(f"{HERE}:")
    assert int(problem.where.rpartition(":")[2]) > 0


def test_the_line_that_is_named_is_the_line_that_made_the_value() -> None:
    frame = inspect.currentframe()
    assert frame is not None
    first = kraken(account="main", pairs=["BTC/USD"])
    made = frame.f_lineno + 1
    second = kraken(account="main", pairs=["BTC/USD"], api_key_env="OTHER", api_secret_env="OTHER_SECRET")
    (problem,) = check_tree(of(first, second))
    assert problem == Problem(f"duplicate id 'kraken.main', first at {HERE}:{made - 2}", f"{HERE}:{made}")


def test_something_else_than_a_child_is_refused() -> None:
    (problem,) = check_tree(yours(Breakout))
    assert problem.what.startswith("a child is made with child(...) or supervisor(...), not ")


def test_every_mistake_of_a_tree_is_told_at_once() -> None:
    problems = check_tree(of(account(account="a/b", pairs=["btc"], tier="gold", cover_s=-1)))
    assert len(problems) == 4


def test_missing_keys_are_told_with_the_account_and_its_line() -> None:
    def missing(name: str) -> Problem:
        return Problem(f"no secret: set {name}")

    problems = check_tree(of(account()), secret_problem=missing)
    assert [p.what for p in problems] == [
        "account 'main': no secret: set KRAKEN_API_KEY",
        "account 'main': no secret: set KRAKEN_API_SECRET",
    ]
    assert all(p.where.startswith(HERE) for p in problems)


def test_a_text_for_a_list_of_pairs_is_refused_where_it_stands() -> None:
    with pytest.raises(BadInput, match=r"test_checking\.py:\d+: pairs is a list: write pairs=\['BTC/USD'\]"):
        kraken_public("BTC/USD")


def test_the_default_budgets_hold_for_four_accounts_and_data() -> None:
    nodes = [account(account=f"a{n}", api_key_env=f"K{n}", api_secret_env=f"S{n}") for n in range(4)]
    assert check_tree(halt_root(accounts(*nodes), data(kraken_public(["BTC/USD"])))) == ()


def test_a_simulated_venue_has_no_connect_limit_of_ours() -> None:
    node = account(
        trading=Budget(500, 60), backoff=NO_BACKOFF, rest_url="http://127.0.0.1:1", private_url="ws://localhost:2/v2", timing="loopback"
    )  # fmt: skip
    assert check_tree(of(node)) == ()


def test_a_child_with_a_bound_of_its_own_needs_no_window() -> None:
    tree: Tree = yours(child("a", Breakout, pair="x", backoff=replace(SLOW, max_consecutive=3)))
    assert check_tree(tree) == ()


def test_a_sound_public_node_has_no_problem() -> None:
    node: KrakenPublic = kraken_public(["BTC/USD", "ETH/USD"])
    assert check_tree(halt_root(data(node))) == ()


@pytest.mark.parametrize("isolation", ["loop", "thread", "process"])
def test_each_isolation_is_taken_and_the_outline_shows_it(isolation: str) -> None:
    tree = yours(child("a", Breakout, pair="BTC/USD", isolation=isolation))
    assert check_tree(tree) == ()
    (line,) = next(line for line in outline(tree).children if line.id == "strategies").children
    apart = "" if isolation == "loop" else f", {isolation} of its own"
    assert line.note == f"Breakout, permanent{apart}"


def test_what_a_message_costs_in_a_simulation_is_seconds() -> None:
    assert check_tree(yours(child("a", Breakout, pair="x", isolation="thread", simulated_cost_s=0.25))) == ()
    (problem,) = check_tree(yours(child("a", Breakout, pair="x", isolation="thread", simulated_cost_s=-1.0)))
    assert "'a': invalid_simulated_cost: -1.0" in problem.what


def test_a_word_that_is_no_isolation_is_refused_where_it_stands() -> None:
    with pytest.raises(
        BadInput, match=f"{HERE}:.*isolation is one of 'loop', 'thread', 'process', not 'fibre'"
    ):
        child("a", Breakout, isolation="fibre")
