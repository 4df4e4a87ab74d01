"""How many faults there were lately: three in a minute are more than bad luck."""

import msgspec


class FaultWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A value: `noted` gives the next one."""

    most: int
    window_s: float
    faults_s: tuple[float, ...] = ()

    def noted(self, now_s: float) -> "FaultWindow":
        recent = tuple(at_s for at_s in self.faults_s if at_s > now_s - self.window_s)
        return msgspec.structs.replace(self, faults_s=(*recent, now_s)[-self.most :])

    @property
    def spent(self) -> bool:
        """The last fault noted was one too many."""
        return len(self.faults_s) >= self.most
