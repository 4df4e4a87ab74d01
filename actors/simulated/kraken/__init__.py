"""A Kraken of our own: spot, one process, and it remembers what really happened.

`venue.KrakenVenue` is the model: pure, told the time with every call. `server.KrakenServer` serves it on loopback
sockets, `in_memory.InMemoryKraken` on links in memory; `python -m allstop.actors.simulated.kraken` is a process of it.
It is written from Kraken's documentation and imports nothing of our own codec, so that an error of one shows at the
other. What is simpler than at Kraken:

- The book is a recording (BTC/USD) and copies of it (the other pairs). Our orders fill against it without moving it.
- Books carry no trades. A best level that shrinks counts as a trade; stops trigger on that, or on a `print` fault.
- Spot only: no margin, no reduce-only, no trailing stops, no iceberg, no EditOrder, no funding endpoint.
- Whether a resting stop holds its balance at Kraken is not established: `Settings.stops_hold_balance` has both.
- In which words Kraken refuses a client id that is still open is not documented; here it is an invalid argument.
- The truth (orders, executions, connections) grows as long as the process lives: it is for runs, not for years.
"""
