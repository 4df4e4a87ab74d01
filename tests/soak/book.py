"""What a soak has to do, what it has done, and how long the rest takes. Kept in a file, so that it can be resumed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Five drawn from the seed, one while the engine halts, one when it starts halted. A start costs the guardian's key four
# calls and more, of 20 that come back at one a second: with more kills in a row it is the venue that keeps it waiting,
# and the story would say nothing about the engine.
KILLS_PER_STORY = 7
SEEDS_PER_ITEM = 50  # simulated seeds, each of three virtual minutes
KINDS = ("kills", "demo", "seeds", "mutants")


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One story, one demo, one batch of simulated seeds, or all the planted bugs."""

    kind: str  # one of KINDS
    seed: int  # of a batch: its number

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Item":
        """Raises ValueError for what is not `kills:N`, `demo:N`, `seeds:N` or `mutants:0`."""
        kind, _, seed = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"{text!r} is none of {', '.join(f'{known}:N' for known in KINDS)}")
        return cls(kind, int(seed))

    @property
    def simulated(self) -> range:
        """The seeds of a batch."""
        return range(self.seed * SEEDS_PER_ITEM + 1, (self.seed + 1) * SEEDS_PER_ITEM + 1)


def parse_seeds(text: str) -> range:
    """`A..B`, both included. Raises ValueError."""
    first, dots, last = text.partition("..")
    if not dots or int(last) < int(first):
        raise ValueError(f"{text!r} is not A..B with A at most B")
    return range(int(first), int(last) + 1)


def planned(kills: int, seeds: Sequence[int], simulated: int = 0, *, mutants: bool = False) -> list[Item]:
    """Stories for at least so many kills, a demo for each of `seeds`, batches for at least so many simulated seeds, and
    the planted bugs: all taking turns, so that a soak cut short did some of each."""
    groups = [
        [Item("kills", number) for number in range(-(-kills // KILLS_PER_STORY))],
        [Item("demo", seed) for seed in seeds],
        [Item("seeds", number) for number in range(-(-simulated // SEEDS_PER_ITEM))],
        [Item("mutants", 0)] if mutants else [],
    ]
    return [item for _, item in sorted(_place(item, group) for group in groups for item in group)]


def _place(item: Item, among: Sequence[Item]) -> tuple[float, Item]:
    return (among.index(item) + 0.5) / len(among), item


@dataclass
class Book:
    """The state file. `done`: seconds that each item took; only what passed is in it."""

    path: Path
    done: dict[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def open(cls, path: Path) -> "Book":
        """What an interrupted soak left; empty when there is none, or when it cannot be read."""
        try:
            told = json.loads(path.read_text())
            return cls(path, {str(name): float(took) for name, took in told["done"].items()})
        except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
            return cls(path)

    def passed(self, item: Item, took_s: float) -> None:
        self.done[str(item)] = took_s
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".part")
        partial.write_text(json.dumps({"done": self.done}, indent=1) + "\n")
        partial.replace(self.path)

    def left(self, items: Sequence[Item]) -> list[Item]:
        return [item for item in items if str(item) not in self.done]

    def close(self) -> None:
        """Everything was done: the next soak begins anew."""
        self.path.unlink(missing_ok=True)


GUESS_S: Mapping[str, float] = {
    "kills": 40.0,
    "demo": 50.0,
    "seeds": 60.0,
    "mutants": 150.0,
}  # until the first of a kind has been timed


def eta_s(left: Sequence[Item], done: Mapping[str, float]) -> float:
    """How long the rest takes, by what each kind has taken so far."""
    return sum(expected_s(item, done) for item in left)


def expected_s(item: Item, done: Mapping[str, float]) -> float:
    took = [s for name, s in done.items() if name.startswith(f"{item.kind}:")]
    return sum(took) / len(took) if took else GUESS_S[item.kind]
