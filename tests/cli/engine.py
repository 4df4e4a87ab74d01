"""A tree file against the simulated Kraken, and the `allstop` command as a process of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allstop.actors.simulated.kraken.server import KrakenServer
from allstop.supervisors.oracles import read_journal

TREE = """from allstop.supervisors.config import accounts, data, halt_root, kraken, kraken_public

tree = halt_root(
    accounts(
        kraken(account="main", pairs=["BTC/USD"], rest_url="{rest}", private_url="{private}", timing="loopback"),
    ),
    data(kraken_public(["BTC/USD"], url="{public}", rest_url="{rest}", timing="loopback")),
    state_dir="{state}",
)
"""
ACCOUNT_LINE = 5
COMMAND_S = 60.0  # a cold interpreter on a busy machine; the commands here end in about one


def tree_file(folder: Path, venue: KrakenServer) -> Path:
    """A tree for this venue, with its state in `folder`/state."""
    path = folder / "tree.py"
    urls = {"rest": venue.http_url, "private": venue.ws_auth_url, "public": venue.ws_url}
    path.write_text(TREE.format(**urls, state=folder / "state"))
    return path


def keys(venue: KrakenServer, role: str = "trade") -> dict[str, str]:
    key = next(key for key in venue.venue.keys.values() if key.name == role)
    return {"KRAKEN_API_KEY": key.key, "KRAKEN_API_SECRET": key.secret}


def fault(venue: KrakenServer, kind: str, **fields: Any) -> None:
    venue.venue.fault({"kind": kind, **fields}, venue.at())


def truth(venue: KrakenServer) -> dict[str, Any]:
    return venue.venue.truth(venue.at())


async def allstop(*arguments: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command. The environment has no keys but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KRAKEN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from allstop.supervisors.cli import main; main()", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**clean, **(environ or {})},
    )  # fmt: skip
    try:
        async with asyncio.timeout(COMMAND_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def errors(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("error: ")]


def half_started(state_dir: Path) -> list[str]:
    """What a start that was refused must not leave: a socket, a latch, the runtime's journal, or anything in an
    account's journal but its opening and what its questions to the venue used up (nonces, charges)."""
    found = [
        name for name in ("control.sock", "halt.json", "journal-runtime.db") if (state_dir / name).exists()
    ]
    for path in state_dir.glob("journal-*.db"):
        kinds = {row.kind for row in read_journal(path).rows}
        found += sorted(kind for kind in kinds if not kind.startswith(("journal.", "ledger.")))
    return found
