"""What is learnt before a tree is built, from the simulated venue in memory and in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.connections.rig import entry

from allstop.actors.clock import LoopClock, SeededDice, SeededIds
from allstop.actors.connection_settings import LOOPBACK
from allstop.actors.errors import BadInput
from allstop.actors.ledger import AccountKey
from allstop.actors.levels import Origin
from allstop.actors.links.memory_journal import MemoryDisk
from allstop.actors.links.memory_link import MemoryNetwork
from allstop.actors.ports import World
from allstop.actors.protocols.records import IntentCommitted, to_entries
from allstop.actors.simulated.kraken.in_memory import InMemoryKraken
from allstop.actors.simulated.kraken.venue import KrakenVenue, Settings
from allstop.supervisors.config import kraken
from allstop.supervisors.preflight import (
    PAUSE_S,
    TRIES,
    Keys,
    VenueUnreachable,
    learn_instruments,
    probe_keys,
    wanted_pairs,
)
from allstop.supervisors.simulation.host import LifeHost, SimulatedHost

pytestmark = pytest.mark.virtual
NODE = kraken(account="main", pairs=["BTC/USD"], timing="loopback")


class Bench:
    """A venue, a disk and a world; nothing of an engine runs."""

    def __init__(self) -> None:
        self.clock = LoopClock(asyncio.get_running_loop())
        self.network = MemoryNetwork()
        self.disk = MemoryDisk(self.clock)
        self.world = World(
            clock=self.clock, dice=SeededDice(1), ids=SeededIds(1, self.clock.wall_ns),
            connect_websocket=self.network.connect_websocket, open_http=self.network.open_http,
            open_journal=self.disk.open_journal, host=LifeHost(SimulatedHost(asyncio.get_running_loop()), 1),
        )  # fmt: skip
        self.venue = KrakenVenue(Settings(), (), wall_ns=self.clock.wall_ns())
        self.kraken = InMemoryKraken(self.venue, clock=self.clock)
        self.node = replace(NODE, rest_url=self.kraken.http_url)

    def fault(self, **fault: Any) -> None:
        self.venue.fault(fault, self.kraken.at())

    def key(self, role: str) -> AccountKey:
        found = next(key for key in self.venue.keys.values() if key.name == role)
        return AccountKey(found.key, found.secret)

    def keys(self, protect: str = "protect") -> Keys:
        trade = self.key("trade")
        return Keys(trade=trade, protect=trade if protect == "trade" else self.key(protect))

    async def probe(self, keys: Keys | None = None) -> None:
        await probe_keys(self.world, self.node, keys or self.keys(), LOOPBACK)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bench = Bench()
        await stack.enter_async_context(bench.kraken)
        bench.kraken.serve_on(bench.network)
        stack.push_async_callback(bench.network.close)
        yield bench


# Instruments


async def test_the_instruments_are_the_venues_own(bench: Bench) -> None:
    found = await learn_instruments(bench.world, bench.kraken.http_url, {"BTC/USD": "tree.py:3"})
    assert list(found) == ["BTC/USD"]
    assert found["BTC/USD"].tick_size > 0


async def test_a_pair_that_the_venue_does_not_list_is_named_with_its_line(bench: Bench) -> None:
    with pytest.raises(BadInput, match=r"tree\.py:3: .*'BTC/XXX'"):
        await learn_instruments(bench.world, bench.kraken.http_url, {"BTC/XXX": "tree.py:3"})


async def test_every_pair_of_a_tree_is_wanted_once_with_the_first_line_that_names_it() -> None:
    other = replace(NODE, pairs=("BTC/USD", "ETH/USD"), where="tree.py:9")
    wanted = wanted_pairs((replace(NODE, where="tree.py:3"), other), ())
    assert wanted == {"BTC/USD": "tree.py:3", "ETH/USD": "tree.py:9"}


async def test_a_venue_that_is_just_coming_back_is_waited_for(bench: Bench) -> None:
    bench.fault(kind="http_520", method="AssetPairs", n=TRIES - 1)
    started_s = bench.clock.now_s()
    await learn_instruments(bench.world, bench.kraken.http_url, {"BTC/USD": "tree.py:3"})
    assert bench.clock.now_s() - started_s >= (TRIES - 1) * PAUSE_S


async def test_a_venue_that_does_not_come_back_is_unreachable_and_no_bad_input(bench: Bench) -> None:
    bench.fault(kind="http_520", method="AssetPairs", n=100)
    with pytest.raises(VenueUnreachable, match="did not list its pairs"):
        await learn_instruments(bench.world, bench.kraken.http_url, {"BTC/USD": "tree.py:3"})


# Keys


@pytest.mark.parametrize("protect", ["protect", "trade"])
async def test_good_keys_pass_each_asked_about_once(bench: Bench, protect: str) -> None:
    await bench.probe(bench.keys(protect))
    asked = [request["method"] for request in bench.venue.requests]
    assert asked == ["GetApiKeyInfo"] * (2 if protect == "protect" else 1)


@pytest.mark.parametrize("role", ["trade", "protect"])
async def test_a_key_that_can_withdraw_is_refused_by_role_and_line(bench: Bench, role: str) -> None:  # T082
    bench.fault(kind="grant", role=role, permission="withdraw-funds")
    with pytest.raises(BadInput, match=r"account 'main': this key can withdraw") as caught:
        await bench.probe()
    assert [problem.where for problem in caught.value.problems] == [NODE.where]


@pytest.mark.parametrize("role", ["trade", "protect"])
async def test_a_key_without_its_order_permission_is_refused(bench: Bench, role: str) -> None:  # T081
    bench.fault(kind="deny", role=role, permission="modify-trades")
    with pytest.raises(BadInput, match="lacks the permission 'modify-trades'"):
        await bench.probe()


async def test_a_refused_key_is_tried_once_and_not_again_by_the_next_start(bench: Bench) -> None:  # T079
    bench.fault(kind="revoke_key", role="trade")
    for _ in range(3):
        with pytest.raises(BadInput, match=r"refuses the trade key: .*EAPI:Invalid key"):
            await bench.probe()
    assert len(bench.venue.requests) == 1


async def an_order_is_known(bench: Bench) -> None:
    journal = await bench.disk.open_journal(bench.node.id)
    record = IntentCommitted(
        intent=entry(), origin=Origin.STRATEGY, scope=("kraken", "main", "BTC/USD"), at_ns=1
    )
    await journal.append(to_entries([record]))
    await journal.close()


async def test_an_account_with_orders_starts_without_its_trade_key_to_protect_with_the_other(
    bench: Bench,
) -> None:
    await an_order_is_known(bench)
    bench.fault(kind="revoke_key", role="trade")
    await bench.probe()
    await bench.probe()
    assert len(bench.venue.requests) == 3  # the trade key once, and never again


@pytest.mark.parametrize("revoked", ["protect", "trade"])
async def test_without_a_key_to_protect_with_nothing_starts_whatever_is_open(
    bench: Bench, revoked: str
) -> None:
    await an_order_is_known(bench)
    bench.fault(kind="revoke_key", role=revoked)
    with pytest.raises(BadInput, match=f"refuses the {revoked} key"):
        await bench.probe(bench.keys("protect" if revoked == "protect" else "trade"))


async def test_a_wrong_secret_is_tried_once(bench: Bench) -> None:
    good = bench.key("trade")
    wrong = AccountKey(good.key, bench.key("protect").secret)
    with pytest.raises(BadInput, match="refuses the trade key"):
        await bench.probe(Keys(trade=wrong, protect=wrong))
    assert len(bench.venue.requests) == 1


async def test_a_lockout_is_no_fault_of_the_users_and_is_not_prolonged(bench: Bench) -> None:
    bench.fault(kind="error", method="GetApiKeyInfo", text="EGeneral:Temporary lockout", n=100)
    started_s = bench.clock.now_s()
    with pytest.raises(VenueUnreachable, match="Temporary lockout"):
        await bench.probe()
    assert bench.clock.now_s() - started_s < PAUSE_S


async def test_a_venue_that_does_not_say_what_a_key_may_do_is_unreachable(bench: Bench) -> None:
    bench.fault(kind="http_520", method="GetApiKeyInfo", n=100)
    with pytest.raises(VenueUnreachable, match="what the trade key may do"):
        await bench.probe()


async def test_nonces_of_a_start_are_above_those_of_every_start_before(bench: Bench) -> None:  # T076
    for _ in range(3):
        await bench.probe(bench.keys("trade"))
    nonces = [request["nonce"] for request in bench.venue.requests]
    assert nonces == sorted(set(nonces))


@pytest.mark.parametrize(
    "fault",
    [{"kind": "revoke_key", "role": "trade"}, {"kind": "http_520", "method": "GetApiKeyInfo", "n": 100}],
)
async def test_nothing_that_is_said_of_a_key_shows_it(bench: Bench, fault: dict[str, Any]) -> None:  # T085
    bench.fault(**fault)
    with pytest.raises((BadInput, VenueUnreachable)) as caught:
        await bench.probe()
    error: BaseException | None = caught.value
    while error is not None:
        for key in (bench.key("trade"), bench.key("protect")):
            assert key.key not in repr(error)
            assert key.secret not in repr(error)
        error = error.__cause__ or error.__context__
