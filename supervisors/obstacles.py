"""What keeps a running tree from trading, in words: for a chaos script that waits, and for a person who looks."""

from allstop.actors.levels import Level
from allstop.actors.order_gate import GateView
from allstop.supervisors.build import Runtime


def obstacles(runtime: Runtime) -> list[str]:
    """What keeps entries from passing now, an account at a time; empty when the engine trades."""
    found = [
        f"{name}: not proven: {gate_in_words(gate.view())}"
        for name, gate in runtime.gates.items()
        if gate.missing
    ]
    for node in runtime.tree.accounts.children:
        scope = (node.venue, node.account)
        level = runtime.levels.effective(scope)
        if level > Level.RATE_LIMITED:
            worst = runtime.levels.votes(scope)[0]
            found.append(f"{node.id} is at {level.name}: {worst.reason} (by {worst.by})")
        if not any(runtime.fresh(pair) for pair in node.pairs):
            found.append(f"{node.id}: no pair's data is fresh")
    return found


def gate_in_words(gate: GateView) -> str:
    """What is not proven, each with the reason that was told for it."""
    told = {name: proof.reason for name, proof in gate.proofs.items() if proof.reason}
    return ", ".join(f"{name} ({told[name]})" if name in told else name for name in gate.missing)
