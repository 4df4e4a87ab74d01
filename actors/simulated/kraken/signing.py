"""Kraken's request signature and keys, written from the documentation and apart from our own codec."""

import base64
import hashlib
import hmac

import msgspec


def signature(secret: str, path: str, nonce: str, body: bytes) -> str:
    """HMAC-SHA512 over path + SHA256(nonce + body) with the decoded secret, in base64."""
    inner = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(
        hmac.new(base64.b64decode(secret), path.encode() + inner, hashlib.sha512).digest()
    ).decode()


def same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


TRADER = frozenset(
    {
        "query-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
        "query-ledger",
    }
)


class ApiKey(msgspec.Struct, kw_only=True):
    """One API key of an account, with the largest nonce it has used."""

    key: str
    secret: str
    account: str
    name: str
    permissions: frozenset[str] = TRADER
    nonce: int = 0
    created_ns: int = 0
    last_used_ns: int = 0
    revoked: bool = False


def make_key(seed: str, account: str, name: str, created_ns: int) -> ApiKey:
    """A key pair of the shape Kraken gives out (key 56, secret 88 characters): the same for the same seed."""
    material = f"{seed}:{account}:{name}".encode()
    return ApiKey(
        key=base64.b64encode(hashlib.sha384(b"key:" + material).digest()[:42]).decode(),
        secret=base64.b64encode(hashlib.sha512(b"secret:" + material).digest()).decode(),
        account=account,
        name=name,
        created_ns=created_ns,
    )
