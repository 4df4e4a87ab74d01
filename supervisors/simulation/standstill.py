"""When a run may end with an engine that neither trades nor has proven a halt: what the world took from it for good.

One thing no process can mend, and it is checked on both sides: the venue must have revoked the key, and the engine must
say so. Then trading is latched, or an engine that can protect nothing without that key refuses to start.
"""

from typing import Final

from allstop.actors.levels import Level, Vote

KEY_WORDS: Final = ("KEY_STOPPED", "KEY_REFUSED", "EAPI:Invalid key")


def explained(why: str, *, key_revoked: bool) -> bool:
    """Whether a process that did not start, or ended with these words, says what the world did to it."""
    return key_revoked and any(word in why for word in KEY_WORDS)


def stands_still(worst: Vote, *, key_revoked: bool) -> bool:
    """Whether an account that is not traded says by its worst vote that its key is gone."""
    return worst.level >= Level.READ_ONLY and explained(worst.reason, key_revoked=key_revoked)
