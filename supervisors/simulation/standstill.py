"""When a run may end with an engine that neither trades nor has proven a halt: what the world took from it for good.

Two things no process can mend, and each is checked on both sides: the world must have done it, and the engine must say
so. A journal with a row that is not what was written: no engine starts on it (T104 of the scenarios names what is
missing). A key that the venue has revoked: trading is latched, or an engine that can protect nothing without it refuses
to start.
"""

from typing import Final

from allstop.actors.levels import Level, Vote

JOURNAL_BROKEN: Final = "JOURNAL_BROKEN"
KEY_WORDS: Final = ("KEY_STOPPED", "KEY_REFUSED", "EAPI:Invalid key")


def explained(why: str, *, chain_broken: bool, key_revoked: bool) -> bool:
    """Whether a process that did not start, or ended with these words, says what the world did to it."""
    broken = chain_broken and JOURNAL_BROKEN in why
    return broken or (key_revoked and any(word in why for word in KEY_WORDS))


def stands_still(worst: Vote, *, key_revoked: bool) -> bool:
    """Whether an account that is not traded says by its worst vote that its key is gone."""
    return key_revoked and worst.level >= Level.READ_ONLY and any(word in worst.reason for word in KEY_WORDS)
