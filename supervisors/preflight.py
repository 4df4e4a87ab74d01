"""What is learnt before a tree is built: the instruments, and whether each key may do its work and no more.

It runs the account's own journal and ledger, so that its nonces are above every earlier one, and ends them again.
Nothing is traded here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import structlog

from allstop.actors.connection_settings import ConnectionSettings
from allstop.actors.errors import AllstopError, BadInput, Category, Fatal, Problem, Remedy
from allstop.actors.instruments import Instrument
from allstop.actors.journal import JournalActor, read
from allstop.actors.key_roles import Role
from allstop.actors.kraken_desk import KrakenDesk
from allstop.actors.kraken_listing import read_listing
from allstop.actors.ledger import AccountKey, AccountLedger, KeyStopped
from allstop.actors.limits.kraken import Tier
from allstop.actors.limits.lanes import Lane
from allstop.actors.ports import QueryFailed, World
from allstop.actors.runtime import ActorSystem
from allstop.supervisors.config import KrakenAccount, KrakenPublic

TRIES = 3  # a restarted engine may meet a venue that is just coming back; a longer wait is the operator's decision
PAUSE_S = (
    1.0  # between them: a proxy or a service that restarts needs some, and the call counter one for each
)
TURN_WAIT_S = (
    30.0  # an engine that was killed at its key's limit starts at it: the counter falls by one in 1 to 3 s
)


class KeyRefused(BadInput):
    """The venue does not take this key at all."""


class VenueUnreachable(AllstopError):
    """The venue did not answer at start. Nothing was started; try again when it is back."""


@dataclass(frozen=True, slots=True)
class Keys:
    """An account's keys by role. Without a protect key the guardian shares the trade key."""

    trade: AccountKey
    protect: AccountKey


async def learn_instruments(world: World, base_url: str, pairs: Mapping[str, str]) -> dict[str, Instrument]:
    """The instruments of `pairs` (pair -> file:line that named it) from the venue's public list.

    Raises BadInput for a pair that the venue does not list, VenueUnreachable when it does not answer.
    """
    http = world.open_http(base_url, max_connections=1)
    trouble = ""
    try:
        for tried in range(TRIES):
            await asyncio.sleep(PAUSE_S if tried else 0.0)
            try:
                return _wanted(await read_listing(http), pairs)
            except QueryFailed as failed:
                trouble = str(failed)
    finally:
        await http.close()
    raise VenueUnreachable(f"{base_url} did not list its pairs: {trouble}")


def _wanted(listed: Mapping[str, Instrument], pairs: Mapping[str, str]) -> dict[str, Instrument]:
    problems = [
        Problem(f"the venue does not list {pair!r}", where)
        for pair, where in pairs.items()
        if pair not in listed
    ]
    if problems:
        raise BadInput(*problems)
    return {pair: listed[pair] for pair in pairs}


async def probe_keys(world: World, node: KrakenAccount, keys: Keys, settings: ConnectionSettings) -> None:
    """Asks the venue what each key may do. Raises BadInput, naming the account's line, for a key that is refused,
    can withdraw, or lacks a permission; VenueUnreachable when the venue does not say.

    An account that has traded may start without its trade key, if it has another to protect with: trading latches at
    the first use of it, and the guardian looks after what is open, which nobody would in a process that did not start.
    """
    # No position waits for this call: after a crash the ledger's worst case may have to decay first.
    settings = msgspec.structs.replace(settings, protect_wait_max_s=TURN_WAIT_S, turn_wait_max_s=TURN_WAIT_S)
    async with ActorSystem(clock=world.clock, dice=world.dice, ids=world.ids) as system:
        journal = await system.spawn(JournalActor, world.open_journal, node.id, path="/journal")
        ledger = await system.spawn(AccountLedger, journal=journal, tier=Tier(node.tier), path="/ledger")
        roles: list[tuple[Role, AccountKey]] = [("trade", keys.trade)]
        if keys.protect is not keys.trade:
            roles.append(("protect", keys.protect))
        for role, key in roles:
            desk = KrakenDesk(
                http=world.open_http(node.rest_url, max_connections=1), key=key, ledger=ledger, guard=None, instruments={},
                clock=world.clock, ids=world.ids, scope_head=(node.venue, node.account), settings=settings, lane=Lane.PROTECT, role=role,
            )  # fmt: skip
            try:
                await _probe(desk, node, role)
            except KeyRefused as refused:
                if role != "trade" or len(roles) == 1 or not await read(journal, kinds=("intent",)):
                    raise
                structlog.get_logger("allstop").critical(
                    "key.refused", account=node.account, role=role, why=str(refused)
                )
            finally:
                await desk.close()


async def _probe(desk: KrakenDesk, node: KrakenAccount, role: str) -> None:
    for tried in range(TRIES):
        await asyncio.sleep(PAUSE_S if tried else 0.0)
        try:
            await desk.probe()
        except BadInput as error:
            raise BadInput(
                *(Problem(f"account {node.account!r}: {p.what}", node.where) for p in error.problems)
            ) from error
        except (KeyStopped, Fatal) as error:
            if isinstance(error, Fatal) and not error.code.startswith("KEY_"):
                raise  # of our own journal, not of the venue
            raise KeyRefused(
                Problem(f"account {node.account!r}: the venue refuses the {role} key: {error}", node.where)
            ) from error
        except QueryFailed as error:
            locked = error.fault is not None and error.fault.remedy is Remedy.COOL  # asking again prolongs it
            if (
                error.fault is not None
                and not locked
                and error.fault.category in (Category.AUTH, Category.PERM)
            ):
                raise KeyRefused(
                    Problem(
                        f"account {node.account!r}: the venue refuses the {role} key: {error.fault}",
                        node.where,
                    )
                ) from error
            if locked or tried == TRIES - 1:
                raise VenueUnreachable(
                    f"{node.rest_url} did not say what the {role} key may do: {error}"
                ) from error
        else:
            return


def wanted_pairs(accounts: tuple[KrakenAccount, ...], public: tuple[KrakenPublic, ...]) -> dict[str, str]:
    """Every pair that a tree names, with the first line that names it."""
    found: dict[str, str] = {}
    for node in (*accounts, *public):
        for pair in node.pairs:
            found.setdefault(pair, node.where)
    return found
