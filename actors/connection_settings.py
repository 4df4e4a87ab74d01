"""Every wait and bound of the connection actors, in one frozen value, with the reason beside each number."""

import msgspec


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults are for Kraken itself; `LOOPBACK` is the test profile of the simulated venue."""

    open_timeout_s: float = 5.0  # TLS across an ocean takes under one
    close_timeout_s: float = 0.5  # how long a polite end may delay a restart
    ping_interval_s: float = 5.0
    ping_timeout_s: float = 5.0
    silence_max_s: float = 5.0  # Kraken sends a heartbeat a second once something is subscribed
    permit_timeout_s: float = 5.0  # asking one of our own ledgers
    rest_timeout_s: float = 5.0  # one REST call, first byte to last
    turn_wait_max_s: float = (
        10.0  # a query's wait for its turn on the key; a protective call's is cover_s / 2
    )
    # The same of a search for an order whose outcome is unknown: who leaves the line comes back to its end, and on Starter,
    # where the guardian's look is six seconds of the key, ten were too few for the second call of a search.
    lookup_wait_max_s: float = 30.0
    protect_wait_max_s: float = 1.0
    retry_first_s: float = 0.5  # a query that failed is asked again after this, doubling
    retry_max_s: float = 30.0
    reply_grace_s: float = 1.0  # beyond an order's own deadline: skew 0.5 s and the way back
    deadline_min_s: float = 0.5  # Kraken: 0.5 to 60 s by WebSocket
    deadline_max_s: float = 60.0
    rest_deadline_min_s: float = 2.0  # Kraken: 2 to 60 s by REST
    ack_timeout_s: float = 5.0  # for a subscription's ack, and after it for its snapshot
    report_lag_max_s: float = (
        3.0  # an accepted order shows on the private stream within this, or the stream is dead
    )
    reconcile_interval_s: float = 30.0
    # Closed orders are read from this long before the last proof: the clocks' skew and a slow list, with room. Not
    # more: at 20 orders a second each round reads all of it, 50 to a call, from a counter that gives back one a second.
    reconcile_overlap_s: float = 15.0
    failures_max: int = (
        6  # failed rounds in a row: with doubling, about 30 s of trying, then the supervisor decides
    )
    book_silence_max_s: float = 10.0  # a book without an update for so long is stale until the next one
    stale_check_s: float = 1.0  # how late that may be noticed
    faults_window_s: float = 60.0  # three bad sequences or checksums in a minute are an exit
    faults_max: int = 3
    pending_max: int = 500  # unanswered requests of one connection: 20 a second for longer than any deadline
    queue_per_order_max: int = 8  # commands waiting for the same order's previous one

    @property
    def probe_interval_s(self) -> float:
        """How late silence may be noticed: by a fifth."""
        return max(0.01, self.silence_max_s / 5)


LOOPBACK = ConnectionSettings(
    open_timeout_s=1.0,
    close_timeout_s=0.2,
    ping_interval_s=0.5,
    ping_timeout_s=0.5,
    silence_max_s=2.0,
    permit_timeout_s=1.0,
    rest_timeout_s=1.0,
    turn_wait_max_s=3.0,
    lookup_wait_max_s=10.0,
    protect_wait_max_s=1.0,  # the Pro tier gives back one call a second
    retry_first_s=0.1,
    retry_max_s=2.0,
    reply_grace_s=0.2,
    rest_deadline_min_s=0.5,
    ack_timeout_s=1.0,
    report_lag_max_s=1.0,
    failures_max=12,
    reconcile_interval_s=15.0,
    reconcile_overlap_s=10.0,
    book_silence_max_s=5.0,
    stale_check_s=0.25,
)
