"""How Kraken wants its private REST calls signed, and whether a key pair can be one.

API-Sign = base64(HMAC-SHA512(base64-decoded secret, path + SHA256(nonce + body))), over the exact bytes sent
(docs.kraken.com, spot REST authentication).
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from allstop.actors.errors import Problem

# Kraken's keys have 56 characters and its secrets 88, which is 64 bytes in base64. Keys are checked by alphabet and
# a wide range of lengths, so that a simulated venue may make its own.
_KEY: Final = re.compile(r"^[A-Za-z0-9+/=]{16,128}$", re.ASCII)
_SECRET_BYTES_MIN: Final = 32


def sign(secret_b64: str, path: str, nonce: int | str, body: bytes) -> str:
    """The API-Sign header for these bytes at this path (`/0/private/...`). `nonce` is the one inside the body.
    Raises binascii.Error when the secret is not base64: `check_key` says so before anything starts."""
    secret = base64.b64decode(secret_b64, validate=True)
    digest = hashlib.sha256(str(nonce).encode() + body).digest()
    return base64.b64encode(hmac.digest(secret, path.encode() + digest, "sha512")).decode()


def check_key(key: str, secret: str) -> Problem | None:
    """What is wrong with a key and its secret by their shape alone, never showing either; None if they can be ones."""
    for name, value in (("key", key), ("secret", secret)):
        if not value:
            return Problem(f"the Kraken {name} is empty", name)
        if value != value.strip():
            return Problem(f"the Kraken {name} has white space around it", name)
    if not _KEY.match(key):
        return Problem(
            f"the Kraken key has {len(key)} characters or a character that is not base64; keys have 56", "key"
        )
    try:
        size = len(base64.b64decode(secret, validate=True))
    except (binascii.Error, ValueError):
        return Problem("the Kraken secret is not base64: copy it whole, with its = at the end", "secret")
    if size < _SECRET_BYTES_MIN:
        return Problem(f"the Kraken secret is only {size} bytes long; secrets have 64", "secret")
    if key == secret:
        return Problem("the Kraken key and secret are the same text", "secret")
    return None
