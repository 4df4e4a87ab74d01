"""The whole table of Kraken's errors, against a table typed from its documentation and against captured answers."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allstop.actors.errors import Category, Fault, Outcome, Remedy, Retry, Severity
from allstop.actors.protocols.kraken import errors_page, faults
from allstop.actors.reports import Accepted, Rejected, Unknown

ROOT = Path(__file__).parents[3]
CAPTURES = ROOT / "tests/captures/kraken/rest"
RETRY = {"n": Retry.NEVER, "y": Retry.NOW, "b": Retry.BACKOFF, "c": Retry.COOLDOWN, "q": Retry.AFTER_LOOKUP}

# text as the venue says it | category severity outcome reads/writes remedy (of a write)
DOCUMENTED = """
EGeneral:Invalid arguments | VALID MEDIUM NO n/n FIX
EGeneral:Invalid arguments:Index unavailable | MARKET MEDIUM NO n/n FIX
EGeneral:Invalid arguments:ordertype | VALID MEDIUM NO n/n FIX
EGeneral:Temporary lockout | AUTH CRITICAL NO c/c COOL
EGeneral:Permission denied | PERM HIGH NO n/n REDUCE
EGeneral:Internal error | VENUE HIGH UNKNOWN b/q LOOK
EGeneral:Unknown method | SYSTEM HIGH NO n/n CRASH
EGeneral:Too many requests | RATE MEDIUM NO c/c COOL
EGeneral:Bad data | VALID MEDIUM NO n/n FIX
EGeneral:Invalid User:auction owned by someone else | PERM LOW NO n/n FIX
EService:Unavailable | VENUE HIGH UNKNOWN b/q LOOK
EService:Busy | VENUE MEDIUM UNKNOWN b/q LOOK
EService:Market in cancel_only mode | MARKET HIGH NO n/c GATE
EService:Market in post_only mode | MARKET HIGH NO n/c GATE
EService:Market in limit_only mode | MARKET HIGH NO n/c GATE
EService:Market in reduce_only mode | MARKET HIGH NO n/c GATE
EService:Deadline elapsed | TIMEOUT MEDIUM NO n/q LOOK
EService: Throttled: 1700000010 | RATE MEDIUM NO c/c COOL
EAPI:Invalid key | AUTH CRITICAL NO n/n STOP_KEY
EAPI:Invalid signature | AUTH CRITICAL NO n/n STOP_KEY
EAPI:Invalid nonce | SESSION HIGH NO y/y RENONCE
EAPI:Rate limit exceeded | RATE MEDIUM NO c/c COOL
EAPI:Bad request | VALID MEDIUM NO n/n FIX
EAPI:Feature disabled | PERM HIGH NO n/n REDUCE
EAPI:Invalid arguments:start_time must be < expire_time | VALID LOW NO n/n FIX
EAPI:Invalid arguments:expire_time above max | VALID LOW NO n/n FIX
EAPI:Invalid arguments:price below min | VALID LOW NO n/n FIX
EAPI:Invalid arguments:offer not found | VALID LOW NO n/n FIX
EQuery:Unknown asset | VALID MEDIUM NO n/n FIX
EQuery:Unknown asset pair | VALID MEDIUM NO n/n FIX
EQuery:Invalid asset pair | VALID MEDIUM NO n/n FIX
EOrder:Cannot open opposing position | PERM HIGH NO n/n FIX
EOrder:Cannot open position | PERM HIGH NO n/n FIX
EOrder:Margin allowance exceeded | FUNDS HIGH NO n/n FIX
EOrder:Margin level too low | FUNDS CRITICAL NO n/n REDUCE
EOrder:Margin position size exceeded | LIMIT HIGH NO n/n FIX
EOrder:Insufficient margin | FUNDS MEDIUM NO n/b FIX
EOrder:Insufficient funds | FUNDS MEDIUM NO n/n FIX
EOrder:Order minimum not met | VALID LOW NO n/n FIX
EOrder:Cost minimum not met | VALID LOW NO n/n FIX
EOrder:Tick size check failed | VALID MEDIUM NO n/n FIX
EOrder:Orders limit exceeded | LIMIT HIGH NO n/c FIX
EOrder:Rate limit exceeded | RATE HIGH NO c/c COOL
EOrder:Domain rate limit exceeded | RATE HIGH NO c/c COOL
EOrder:Positions limit exceeded | LIMIT HIGH NO n/n FIX
EOrder:Reduce only:Non-PC | PERM HIGH NO n/n FIX
EOrder:Reduce only:No position exists | ORDER MEDIUM NO n/n RESYNC
EOrder:Reduce only:Position is closed | ORDER MEDIUM YES n/n RESYNC
EOrder:Scheduled orders limit exceeded | LIMIT MEDIUM NO n/n FIX
EOrder:Unknown position | ORDER MEDIUM NO n/n RESYNC
EOrder:Unknown order | ORDER MEDIUM NO q/n LOOK
EOrder:Invalid order | VALID MEDIUM NO n/n FIX
EOrder:Invalid price | VALID MEDIUM NO n/n FIX
EOrder:Post only order | ORDER LOW NO n/n FIX
EOrder:Trading agreement required | PERM HIGH NO n/n REDUCE
EAccount:Invalid permissions | PERM CRITICAL NO n/n REDUCE
EAuth:Account temporary disabled | AUTH CRITICAL NO n/n HALT
EAuth:Account unconfirmed | AUTH CRITICAL NO n/n REDUCE
EAuth:Rate limit exceeded | RATE HIGH NO c/c COOL
EAuth:Too many requests | RATE HIGH NO c/c COOL
EAuth:Failed | AUTH CRITICAL NO n/n STOP_KEY
ESession:Invalid session | SESSION HIGH NO y/q REAUTH
ETrade:Invalid request | VALID MEDIUM NO n/n FIX
ETrade:Locked | AUTH CRITICAL NO n/n HALT
ETrade:User Locked | AUTH CRITICAL NO n/n HALT
EBM:limit exceeded:CAL | LIMIT HIGH NO n/n FIX
EDatabase:Internal error | VENUE HIGH UNKNOWN b/q LOOK
EExport:Not ready | DATA INFO NO b/n BACK
EFunding:Max fee exceeded | PERM CRITICAL NO n/n CRASH
EFunding:No funding method | PERM CRITICAL NO n/n CRASH
EFunding:Too many addresses | PERM CRITICAL NO n/n CRASH
EFunding:Unknown withdraw key | PERM CRITICAL NO n/n CRASH
EFunding:Duplicate withdraw key | PERM CRITICAL NO n/n CRASH
EFunding:Invalid amount | PERM CRITICAL NO n/n CRASH
EFunding:Unknown asset | PERM CRITICAL NO n/n CRASH
EFunding:Invalid reference id | PERM CRITICAL NO n/n CRASH
EFunding:Unknown reference id | PERM CRITICAL NO n/n CRASH
EFunding:Invalid staking method | PERM CRITICAL NO n/n CRASH
EEarnings:Below min | PERM LOW NO n/n FIX
EEarnings:Above max | PERM LOW NO n/n FIX
EEarnings:Busy | PERM LOW NO n/n FIX
EEarnings:Insufficient funds | PERM LOW NO n/n FIX
EEarnings:Permission denied | PERM LOW NO n/n FIX
EGeneral:Invalid arguments:volume | VALID MEDIUM NO n/n FIX
EGeneral:Internal error:42 | VENUE HIGH UNKNOWN b/q LOOK
EGeneral:Unknown Method | SYSTEM HIGH NO n/n CRASH
EOrder:Invalid price:Invalid price argument | VALID MEDIUM NO n/n FIX
EOrder:Insufficient margin (exchange has no funds) | FUNDS MEDIUM NO n/b FIX
EService:Throttled | RATE MEDIUM NO c/c COOL
WDatabase:No change | ORDER INFO YES n/n OK
Currency pair not supported XBT/USD | VALID HIGH NO n/n CRASH
Already subscribed | VALID INFO YES n/n OK
Subscription Not Found | VALID INFO YES n/n OK
Exceeded msg rate | RATE HIGH NO c/c COOL
Currency pair not in ISO 4217-A3 format | VALID HIGH NO n/n CRASH
Malformed request | VALID HIGH NO n/n CRASH
Pair field must be an array | VALID HIGH NO n/n CRASH
Pair field unsupported for this subscription type | VALID HIGH NO n/n CRASH
Pair(s) not found | VALID HIGH NO n/n CRASH
Subscription book depth must be an integer | VALID HIGH NO n/n CRASH
Subscription depth not supported | VALID HIGH NO n/n CRASH
Subscription field must be an object | VALID HIGH NO n/n CRASH
Subscription name invalid | VALID HIGH NO n/n CRASH
Subscription object unsupported field | VALID HIGH NO n/n CRASH
Subscription ohlc interval must be an integer | VALID HIGH NO n/n CRASH
Subscription ohlc interval not supported | VALID HIGH NO n/n CRASH
Subscription ohlc requires interval | VALID HIGH NO n/n CRASH
Unsupported field: 'params' for the given msg type: ping | VALID HIGH NO n/n CRASH
"""


def documented() -> list[tuple[str, str]]:
    return [
        (text.strip(), meaning.strip())
        for text, meaning in (line.split("|") for line in DOCUMENTED.strip().splitlines())
    ]


@pytest.mark.parametrize(("text", "meaning"), documented())
def test_each_documented_text_means_what_the_table_says(text: str, meaning: str):
    category, severity, outcome, retry, remedy = meaning.split()
    reads, writes = retry.split("/")

    fault = faults.classify(text, write=True)

    assert (fault.category, fault.severity, fault.outcome) == (
        Category(category),
        Severity(severity),
        Outcome(outcome),
    )
    assert (fault.reads, fault.writes, fault.remedy) == (RETRY[reads], RETRY[writes], Remedy(remedy))
    assert fault.mapped
    assert fault.text == text


def test_each_row_of_the_table_is_documented_above():
    answered = {faults.classify(text).code for text, _ in documented()}

    assert {row.prefix for row in faults.ROWS} == answered


def test_no_two_rows_are_of_the_same_text():
    folded = [row.prefix.casefold() for row in faults.ROWS]

    assert len(set(folded)) == len(folded)


@pytest.mark.parametrize("file", ["errors_async_rs.ndjson", "errors_kraken_cli_mocks.ndjson"])
def test_each_captured_error_answer_has_a_row(file: str):
    for line in (CAPTURES / file).read_text().splitlines():
        answer = json.loads(line)
        for text in answer.get("body", {}).get("error", []):
            assert faults.classify(text).mapped, answer["name"]


def test_the_longest_prefix_answers():
    assert faults.classify("EGeneral:Invalid arguments:Index unavailable").category is Category.MARKET
    assert faults.classify("EQuery:Unknown asset pair:FOO").code == "EQuery:Unknown asset pair"
    assert faults.classify("EQuery:Unknown asset:FOO").code == "EQuery:Unknown asset"


def test_a_prefix_ends_where_a_word_ends():
    assert not faults.classify("EOrder:Invalid pricey").mapped


@pytest.mark.parametrize("text", ["EOrder:Something new", "E", "", "nonsense", "EAPI:", "\ud800"])
def test_a_text_that_no_row_knows_is_unknown_and_never_a_success(text: str):
    fault = faults.classify(text, write=True)

    assert not fault.mapped
    assert fault.outcome is Outcome.UNKNOWN
    assert fault.remedy is Remedy.LOOK


def test_a_warning_that_no_row_knows_lets_the_result_decide():
    fault = faults.classify("WGeneral:Something odd", write=True)

    assert (fault.mapped, fault.remedy, fault.severity) == (False, Remedy.OK, Severity.LOW)
    assert faults.outcome_of([fault], ["O1"]) == Accepted(("O1",))


def test_a_read_is_asked_again_where_a_write_is_looked_up():
    assert faults.classify("EService:Unavailable", write=True).remedy is Remedy.LOOK
    assert faults.classify("EService:Unavailable").remedy is Remedy.BACK
    assert faults.classify("EOrder:Unknown order").remedy is Remedy.FIX


@pytest.mark.parametrize(
    ("text", "now_s", "wait_s"),
    [
        ("EService: Throttled: 1700000010", 1_700_000_000.5, 9.5),
        ("EService:Throttled:1700000010", 1_700_000_020.0, 0.0),
        ("EService: Throttled: 1700000010", None, None),
        ("EService:Throttled", 1_700_000_000.0, None),
        ("EService:Throttled: soon", 1_700_000_000.0, None),
        ("EService:Throttled: 1e400", 1_700_000_000.0, None),
        ("EService:Throttled: 1800000000", 1_700_000_000.0, 3600.0),
        ("EGeneral:Temporary lockout", None, 900.0),
        ("EOrder:Rate limit exceeded", 1_700_000_000.0, None),
    ],
)
def test_the_time_to_wait_is_what_the_venue_names(text: str, now_s: float | None, wait_s: float | None):
    assert faults.classify(text, now_s=now_s).retry_after_s == wait_s


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (401, "HTTP:401", Category.AUTH),
        (403, "HTTP:403", Category.AUTH),
        (429, "HTTP:429", Category.RATE),
        (500, "HTTP:5xx", Category.VENUE),
        (502, "HTTP:5xx", Category.VENUE),
        (503, "HTTP:5xx", Category.VENUE),
        (520, "HTTP:5xx", Category.VENUE),
        (530, "HTTP:5xx", Category.VENUE),
        (302, "HTTP:other", Category.SYSTEM),
        (418, "HTTP:other", Category.SYSTEM),
    ],
)
def test_an_http_error_leaves_a_write_unknown(status: int, code: str, category: Category):
    fault = faults.classify_http(status, b"<!DOCTYPE html><title>api.kraken.com | 520</title>", True)

    assert fault is not None
    assert (fault.code, fault.category, fault.outcome) == (code, category, Outcome.UNKNOWN)


def test_success_without_an_envelope_leaves_a_write_unknown():
    for body in (
        b"",
        b"<html>",
        b"[]",
        b'{"result":{}}',
        b'{"error":"EAPI:Invalid key"}',
        b"\xff",
        b"[" * 5000,
    ):
        fault = faults.classify_http(200, body, True)
        assert fault is not None, body
        assert (fault.code, fault.outcome) == ("HTTP:body", Outcome.UNKNOWN)


def test_an_envelope_is_no_http_fault():
    assert faults.classify_http(200, b'{"error":[],"result":{}}', True) is None
    assert faults.classify_http(200, b'{"error":["EAPI:Invalid key"]}', True) is None


def fault(text: str) -> Fault:
    return faults.classify(text, write=True)


def test_a_write_is_rejected_only_when_each_error_proves_that_nothing_happened():
    no, unknown = fault("EOrder:Insufficient funds"), fault("EService:Unavailable")

    assert faults.outcome_of([no], result=False) == Rejected(no)
    assert faults.outcome_of([no, unknown], result=False) == Unknown(str(unknown), unknown)
    assert isinstance(faults.outcome_of([no], ["O1"]), Unknown), "an error beside a result"
    assert isinstance(
        faults.outcome_of([fault("EOrder:Reduce only:Position is closed")], result=False), Unknown
    )


def test_an_answer_with_neither_error_nor_result_is_unknown():
    assert isinstance(faults.outcome_of([], result=False), Unknown)


@given(st.text())
def test_any_text_at_all_is_classified(text: str):
    assert isinstance(faults.classify(text, write=True, now_s=1.0), Fault)


@given(st.integers(100, 999), st.binary())
def test_any_http_answer_at_all_is_classified(status: int, body: bytes):
    faults.classify_http(status, body, True)


def test_the_page_on_errors_is_current():
    assert (ROOT / "docs/venues/kraken-errors.md").read_text() == errors_page.page()
