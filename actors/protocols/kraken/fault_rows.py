"""The table of Kraken's error texts. `docs/venues/kraken-errors.md` is generated from it.

`source`: D official spot-errors page; G another official page; R official rate-limit page; K, C, N, X seen in the
exception maps of python-kraken-sdk, ccxt, nautilus_trader, XChange; A seen in kraken-async-rs; S support page;
M from memory, not seen in a document. Categories, severities, retries and remedies are our own judgement.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from allstop.actors.errors import Category, Outcome, Remedy, Retry, Severity


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one error text means. `outcome` and `writes` are about the write that it answers."""

    prefix: str
    category: Category
    severity: Severity
    outcome: Outcome
    reads: Retry
    writes: Retry
    remedy: Remedy
    source: str
    note: str = ""

    @property
    def read_remedy(self) -> Remedy:
        """A read changes nothing, so that there is nothing to look up: it is asked again, or not."""
        if self.remedy is not Remedy.LOOK:
            return self.remedy
        return Remedy.BACK if self.reads in (Retry.BACKOFF, Retry.COOLDOWN) else Remedy.FIX


_RETRY: Final = {
    "n": Retry.NEVER,
    "y": Retry.NOW,
    "b": Retry.BACKOFF,
    "c": Retry.COOLDOWN,
    "q": Retry.AFTER_LOOKUP,
}
_OUTCOME: Final = {"NO": Outcome.NO, "UNK": Outcome.UNKNOWN, "YES": Outcome.YES}

# prefix | category | severity | outcome of a write | retry reads/writes | remedy | source | note
_TABLE: Final = """
EGeneral:Invalid arguments | VALID | MEDIUM | NO | n/n | FIX | D K C | the detail names the field
EGeneral:Invalid arguments:Index unavailable | MARKET | MEDIUM | NO | n/n | FIX | D K | no index price for this pair: trigger on the last price
EGeneral:Invalid arguments:ordertype | VALID | MEDIUM | NO | n/n | FIX | G |
EGeneral:Temporary lockout | AUTH | CRITICAL | NO | c/c | COOL | D K C | the whole key, after repeated bad keys or nonces; 15 minutes
EGeneral:Permission denied | PERM | HIGH | NO | n/n | REDUCE | D K C | the key lacks the permission: disable the operation
EGeneral:Internal error | VENUE | HIGH | UNK | b/q | LOOK | D C | a code may follow
EGeneral:Unknown method | SYSTEM | HIGH | NO | n/n | CRASH | K A | a bug of ours
EGeneral:Too many requests | RATE | MEDIUM | NO | c/c | COOL | C |
EGeneral:Bad data | VALID | MEDIUM | NO | n/n | FIX | G |
EGeneral:Invalid User:auction owned by someone else | PERM | LOW | NO | n/n | FIX | K |
EService:Unavailable | VENUE | HIGH | UNK | b/q | LOOK | D K C | the matching engine or the API is offline: poll SystemStatus
EService:Busy | VENUE | MEDIUM | UNK | b/q | LOOK | C S A |
EService:Market in cancel_only mode | MARKET | HIGH | NO | n/c | GATE | D K C | the pair takes cancels only
EService:Market in post_only mode | MARKET | HIGH | NO | n/c | GATE | D K C | post-only limit orders only; stops do not match
EService:Market in limit_only mode | MARKET | HIGH | NO | n/c | GATE | S | limit orders only
EService:Market in reduce_only mode | MARKET | HIGH | NO | n/c | GATE | M | reducing orders only
EService:Deadline elapsed | TIMEOUT | MEDIUM | NO | n/q | LOOK | D K | the engine did not take it after its deadline; verify once
EService:Throttled | RATE | MEDIUM | NO | c/c | COOL | R G | a unix time may follow, until when; lower the concurrency
EAPI:Invalid key | AUTH | CRITICAL | NO | n/n | STOP_KEY | D K C | repeating it locks the key out
EAPI:Invalid signature | AUTH | CRITICAL | NO | n/n | STOP_KEY | D K | check the signing against the documented vector
EAPI:Invalid nonce | SESSION | HIGH | NO | y/y | RENONCE | D K C | more than 3 in 60 s: a second writer uses the key
EAPI:Rate limit exceeded | RATE | MEDIUM | NO | c/c | COOL | D R K C | the REST counter of the key is full
EAPI:Bad request | VALID | MEDIUM | NO | n/n | FIX | K A |
EAPI:Feature disabled | PERM | HIGH | NO | n/n | REDUCE | S A | disable the operation
EAPI:Invalid arguments:start_time must be < expire_time | VALID | LOW | NO | n/n | FIX | K |
EAPI:Invalid arguments:expire_time above max | VALID | LOW | NO | n/n | FIX | K |
EAPI:Invalid arguments:price below min | VALID | LOW | NO | n/n | FIX | K |
EAPI:Invalid arguments:offer not found | VALID | LOW | NO | n/n | FIX | K |
EQuery:Unknown asset | VALID | MEDIUM | NO | n/n | FIX | K C | reload the assets
EQuery:Unknown asset pair | VALID | MEDIUM | NO | n/n | FIX | K A | reload the pairs: delisted?
EQuery:Invalid asset pair | VALID | MEDIUM | NO | n/n | FIX | C | reload the pairs
EOrder:Cannot open opposing position | PERM | HIGH | NO | n/n | FIX | D | no margin for this user
EOrder:Cannot open position | PERM | HIGH | NO | n/n | FIX | D K | no margin for this user
EOrder:Margin allowance exceeded | FUNDS | HIGH | NO | n/n | FIX | D K | block margin increases
EOrder:Margin level too low | FUNDS | CRITICAL | NO | n/n | REDUCE | D K |
EOrder:Margin position size exceeded | LIMIT | HIGH | NO | n/n | FIX | D K |
EOrder:Insufficient margin | FUNDS | MEDIUM | NO | n/b | FIX | D K | the exchange has no funds to lend; later, as a new intent
EOrder:Insufficient funds | FUNDS | MEDIUM | NO | n/n | FIX | D K C | refresh the balances; for a stop it is critical
EOrder:Order minimum not met | VALID | LOW | NO | n/n | FIX | D K C | for a stop of a small fill: aggregate
EOrder:Cost minimum not met | VALID | LOW | NO | n/n | FIX | D K |
EOrder:Tick size check failed | VALID | MEDIUM | NO | n/n | FIX | D K | reload the pair
EOrder:Orders limit exceeded | LIMIT | HIGH | NO | n/c | FIX | D K | open orders per pair: 60, 80 or 225 by tier
EOrder:Rate limit exceeded | RATE | HIGH | NO | c/c | COOL | D K C | the trading counter of the pair; the reserve is for protection
EOrder:Domain rate limit exceeded | RATE | HIGH | NO | c/c | COOL | D | gate the pair
EOrder:Positions limit exceeded | LIMIT | HIGH | NO | n/n | FIX | D K |
EOrder:Reduce only:Non-PC | PERM | HIGH | NO | n/n | FIX | D G | Ontario: not a permitted client; no margin
EOrder:Reduce only:No position exists | ORDER | MEDIUM | NO | n/n | RESYNC | D | perhaps already closed
EOrder:Reduce only:Position is closed | ORDER | MEDIUM | YES | n/n | RESYNC | D | matched what it could and cancelled the rest
EOrder:Scheduled orders limit exceeded | LIMIT | MEDIUM | NO | n/n | FIX | D |
EOrder:Unknown position | ORDER | MEDIUM | NO | n/n | RESYNC | D K |
EOrder:Unknown order | ORDER | MEDIUM | NO | q/n | LOOK | K C G | closed already, or never there: never "cancelled" by assumption
EOrder:Invalid order | VALID | MEDIUM | NO | n/n | FIX | K |
EOrder:Invalid price | VALID | MEDIUM | NO | n/n | FIX | D K C |
EOrder:Post only order | ORDER | LOW | NO | n/n | FIX | N | it would have taken
EOrder:Trading agreement required | PERM | HIGH | NO | n/n | REDUCE | S |
EAccount:Invalid permissions | PERM | CRITICAL | NO | n/n | REDUCE | D |
EAuth:Account temporary disabled | AUTH | CRITICAL | NO | n/n | HALT | D |
EAuth:Account unconfirmed | AUTH | CRITICAL | NO | n/n | REDUCE | D |
EAuth:Rate limit exceeded | RATE | HIGH | NO | c/c | COOL | D |
EAuth:Too many requests | RATE | HIGH | NO | c/c | COOL | D |
EAuth:Failed | AUTH | CRITICAL | NO | n/n | STOP_KEY | K |
ESession:Invalid session | SESSION | HIGH | NO | y/q | REAUTH | C X A | new token, new connection
ETrade:Invalid request | VALID | MEDIUM | NO | n/n | FIX | D |
ETrade:Locked | AUTH | CRITICAL | NO | n/n | HALT | S C A |
ETrade:User Locked | AUTH | CRITICAL | NO | n/n | HALT | S C |
EBM:limit exceeded:CAL | LIMIT | HIGH | NO | n/n | FIX | D | Canadian acquisition limit: block buys of the asset
EDatabase:Internal error | VENUE | HIGH | UNK | b/q | LOOK | C |
EExport:Not ready | DATA | INFO | NO | b/n | BACK | G |
EFunding:Max fee exceeded | PERM | CRITICAL | NO | n/n | CRASH | D | funding is never called here
EFunding:No funding method | PERM | CRITICAL | NO | n/n | CRASH | K C | funding is never called here
EFunding:Too many addresses | PERM | CRITICAL | NO | n/n | CRASH | C | funding is never called here
EFunding:Unknown withdraw key | PERM | CRITICAL | NO | n/n | CRASH | K C | funding is never called here
EFunding:Duplicate withdraw key | PERM | CRITICAL | NO | n/n | CRASH | G | funding is never called here
EFunding:Invalid amount | PERM | CRITICAL | NO | n/n | CRASH | K | funding is never called here
EFunding:Unknown asset | PERM | CRITICAL | NO | n/n | CRASH | K | funding is never called here
EFunding:Invalid reference id | PERM | CRITICAL | NO | n/n | CRASH | K | funding is never called here
EFunding:Unknown reference id | PERM | CRITICAL | NO | n/n | CRASH | K | funding is never called here
EFunding:Invalid staking method | PERM | CRITICAL | NO | n/n | CRASH | K | funding is never called here
EEarnings:Below min | PERM | LOW | NO | n/n | FIX | K | not used here
EEarnings:Above max | PERM | LOW | NO | n/n | FIX | K | not used here
EEarnings:Busy | PERM | LOW | NO | n/n | FIX | K | not used here
EEarnings:Insufficient funds | PERM | LOW | NO | n/n | FIX | K | not used here
EEarnings:Permission denied | PERM | LOW | NO | n/n | FIX | K G | not used here
WDatabase:No change | ORDER | INFO | YES | n/n | OK | M |
Already subscribed | VALID | INFO | YES | n/n | OK | G | WebSocket: what was asked for is so
Subscription Not Found | VALID | INFO | YES | n/n | OK | M | WebSocket: nothing to unsubscribe from
Exceeded msg rate | RATE | HIGH | NO | c/c | COOL | G | WebSocket v1: too many messages on this connection
Currency pair not supported | VALID | HIGH | NO | n/n | CRASH | G | WebSocket: v2 wants BTC where v1 and REST want XBT
Currency pair not in ISO 4217-A3 format | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Malformed request | VALID | HIGH | NO | n/n | CRASH | G | WebSocket
Pair field must be an array | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Pair field unsupported for this subscription type | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Pair(s) not found | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription book depth must be an integer | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription depth not supported | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription field must be an object | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription name invalid | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription object unsupported field | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription ohlc interval must be an integer | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription ohlc interval not supported | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Subscription ohlc requires interval | VALID | HIGH | NO | n/n | CRASH | G | WebSocket v1
Unsupported field | VALID | HIGH | NO | n/n | CRASH | A | WebSocket v2: the message names the field
"""


def _rows(table: str) -> Iterator[Row]:
    for line in table.strip().splitlines():
        prefix, category, severity, outcome, retry, remedy, source, note = (
            part.strip() for part in line.split("|")
        )
        reads, writes = retry.split("/")
        yield Row(
            prefix=prefix,
            category=Category(category),
            severity=Severity(severity),
            outcome=_OUTCOME[outcome],
            reads=_RETRY[reads],
            writes=_RETRY[writes],
            remedy=Remedy(remedy),
            source=source,
            note=note,
        )


ROWS: Final = tuple(_rows(_TABLE))

# An answer from in front of the venue, or none of the venue's making: a write may have arrived all the same.
_HTTP: Final = """
401 | AUTH | CRITICAL | UNK | n/n | REDUCE | D |
403 | AUTH | CRITICAL | UNK | n/n | REDUCE | D | perhaps a block by Cloudflare: try a public endpoint first
429 | RATE | HIGH | UNK | c/q | LOOK | D | Cloudflare's own limit
5xx | VENUE | HIGH | UNK | b/q | LOOK | D | the edge could not reach the venue, 520 to 530 included
other | SYSTEM | HIGH | UNK | n/q | LOOK | D | a status that Kraken does not document
body | VENUE | HIGH | UNK | b/q | LOOK | D | success, and a body that is no envelope (HTML)
"""

HTTP_ROWS: Final = {
    row.prefix: msgspec.structs.replace(row, prefix=f"HTTP:{row.prefix}") for row in _rows(_HTTP)
}

UNMAPPED_ERROR: Final = Row(
    prefix="unmapped error",
    category=Category.SYSTEM,
    severity=Severity.HIGH,
    outcome=Outcome.UNKNOWN,
    reads=Retry.NEVER,
    writes=Retry.AFTER_LOOKUP,
    remedy=Remedy.LOOK,
    source="",
    note="never a success; one alert",
)
UNMAPPED_WARNING: Final = Row(
    prefix="unmapped warning",
    category=Category.SYSTEM,
    severity=Severity.LOW,
    outcome=Outcome.UNKNOWN,
    reads=Retry.NEVER,
    writes=Retry.AFTER_LOOKUP,
    remedy=Remedy.OK,
    source="",
    note="the result beside it decides; logged",
)
