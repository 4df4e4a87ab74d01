"""Keys and passwords: where they are read from, and that they show nowhere."""

import hmac
import os
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

from allstop.actors.errors import Problem
from allstop.actors.links.lock import fingerprint

HIDDEN = "***"
FILE_BYTES_MAX = 16 * 1024  # a private key in PEM is under 4 KiB
DEPTH_MAX = 8  # of a value in a log event; deeper ones are hidden whole
SHORT_MAX = 5  # shorter values would hit ordinary words when they are replaced in text

# A value under a key with one of these words in its name is hidden, unless the name is in PLAIN.
SENSITIVE = (
    "secret",
    "password",
    "passphrase",
    "api_key",
    "apikey",
    "token",
    "signature",
    "authorization",
    "api_sign",
)
PLAIN = frozenset({"key_fingerprint", "token_age_s", "token_expires_s", "tokens", "signature_ok"})


class Secret:
    """A value that does not show in repr, str, format, pickles or tracebacks. `reveal()` gives it out."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value. Pass it straight on; a local variable of it can show in a traceback with locals."""
        return self.__value

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.__value)

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self.__value.encode(), other.__value.encode()
        )

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not written down")


def read_secret(name: str, environ: Mapping[str, str] | None = None) -> Secret | Problem:
    """The secret in the environment variable `name`, or in the file that `name`_FILE names (mode 0600)."""
    variables = os.environ if environ is None else environ
    value, file = variables.get(name), variables.get(f"{name}_FILE")
    match value, file:
        case None, None:
            return Problem(f"no secret: set {name}, or {name}_FILE to a file of mode 0600", name)
        case str(), str():
            return Problem(f"{name} and {name}_FILE are both set: which is meant? Unset one", name)
        case str(), None:
            return _secret(value, name)
        case None, str():
            return _read_file(Path(file), f"{name}_FILE")


def _secret(text: str, where: str) -> Secret | Problem:
    value = text.strip()
    return Secret(value) if value else Problem("the secret is empty", where)


def _read_file(path: Path, where: str) -> Secret | Problem:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hang the start
    except OSError as error:
        return Problem(f"{path}: {error.strerror}", where)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            return Problem(f"{path} is not a file", where)
        if mode & 0o077:
            open_to = f"{path} has mode {stat.S_IMODE(mode):04o}: others may read it"
            return Problem(f"{open_to}; chmod 600 {path}", where)
        content = os.read(fd, FILE_BYTES_MAX + 1)
    finally:
        os.close(fd)
    if len(content) > FILE_BYTES_MAX:
        return Problem(f"{path} is longer than {FILE_BYTES_MAX} bytes: not a key", where)
    try:
        return _secret(content.decode(), where)
    except UnicodeDecodeError:
        return Problem(f"{path} is not text", where)


class Redactor:
    """A structlog processor that hides known secrets wherever they stand, and values under telling names.

    Put it last before the renderer, after what formats exceptions, so that it sees the traceback's text too.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._values: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        if len(secret.reveal()) > SHORT_MAX:
            self._values.add(secret.reveal())

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for name, value in event.items():
            event[name] = self._redacted(name, value, 0)
        return event

    def text(self, text: str) -> str:
        """The text with every known secret hidden."""
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text

    def _redacted(self, name: str, value: object, depth: int) -> object:
        if depth > DEPTH_MAX or _is_sensitive(name):
            return HIDDEN
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode(errors="replace"))
            case Mapping():
                return {
                    self.text(str(key)): self._redacted(str(key), inner, depth + 1)
                    for key, inner in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self._redacted("", inner, depth + 1) for inner in value]
            case _:  # an exception or a struct: what would be printed of it
                shown = repr(value)
                return value if self.text(shown) == shown else self.text(shown)


def _is_sensitive(name: str) -> bool:
    lower = name.lower().replace("-", "_")
    return lower not in PLAIN and any(word in lower for word in SENSITIVE)
