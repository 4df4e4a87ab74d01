"""Kraken's dead man's switch: CancelAllOrdersAfter, armed per account, fires once unless it is armed again in time."""

from collections.abc import Iterable

from allstop.actors.simulated.kraken.at import At
from allstop.actors.simulated.kraken.refusal import Refusal

TIMEOUT_MAX_S = 86_400  # a day


class DeadMansSwitch:
    """Of every account. What a switch does when it fires is the engine's."""

    def __init__(self) -> None:
        self._fires: dict[str, At] = {}

    def arm(self, account: str, timeout_s: int, at: At) -> At | None:
        """Arms the account's switch, or disarms it with 0; when it will fire. Raises Refusal."""
        if not 0 <= timeout_s < TIMEOUT_MAX_S:
            raise Refusal("EGeneral:Invalid arguments:timeout")
        if timeout_s == 0:
            self._fires.pop(account, None)
            return None
        fires = At(at.now_s + timeout_s, at.wall_ns + timeout_s * 1_000_000_000)
        self._fires[account] = fires
        return fires

    def fired(self, at: At) -> list[str]:
        """The accounts whose time is over. Each is told once."""
        over = [account for account, fires in self._fires.items() if at.now_s >= fires.now_s]
        for account in over:
            del self._fires[account]
        return over

    def moments(self) -> Iterable[float]:
        """When one fires next, as things stand."""
        return (fires.now_s for fires in self._fires.values())
