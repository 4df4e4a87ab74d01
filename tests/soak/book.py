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
MODEL_PER_ITEM = 500  # random histories of supervisors, each for the static and for the dynamic one
FUZZ_S = 60.0  # of mutated captures through the codecs, by a seed of its own
# Those of the first line run on real sockets in real time and mostly wait; the others compute, each on one core.
REAL = ("kills", "demo")
KINDS = (*REAL, "seeds", "mutants", "model", "fuzz")


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One story, one demo, one batch of simulated seeds, all the planted bugs, some histories, or a minute of fuzzing."""

    kind: str  # one of KINDS
    seed: int  # of a batch: its number

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Item":
        """Raises ValueError for what is not `kills:N`, or another of the kinds and a number."""
        kind, _, seed = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"{text!r} is none of {', '.join(f'{known}:N' for known in KINDS)}")
        return cls(kind, int(seed))

    @property
    def real(self) -> bool:
        """Whether it takes real time, in which it mostly waits."""
        return self.kind in REAL

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


def parse_simulated(text: str) -> range:
    """The simulated seeds of `N`, which are 1..N, or of `A..B`. Raises ValueError."""
    if ".." in text:
        seeds = parse_seeds(text)
        if seeds.start < 1:
            raise ValueError(f"{text!r}: simulated seeds count from 1")
        return seeds
    if int(text) < 0:
        raise ValueError(f"{text!r} is below 0")
    return range(1, int(text) + 1)


def planned(
    kills: int, seeds: Sequence[int], simulated: range = range(0), *, mutants: bool = False, model: int = 0, fuzz: int = 0
) -> list[Item]:  # fmt: skip
    """Stories for at least so many kills, a demo for each of `seeds`, whole batches for the simulated seeds, the planted
    bugs, at least `model` histories and `fuzz` minutes: all taking turns, so that a soak cut short did some of each."""
    batches = range((simulated.start - 1) // SEEDS_PER_ITEM, -(-(simulated.stop - 1) // SEEDS_PER_ITEM))
    groups = [
        [Item("kills", number) for number in range(-(-kills // KILLS_PER_STORY))],
        [Item("demo", seed) for seed in seeds],
        [Item("seeds", number) for number in batches] if simulated else [],
        [Item("mutants", 0)] if mutants else [],
        [Item("model", number) for number in range(-(-model // MODEL_PER_ITEM))],
        [Item("fuzz", number) for number in range(fuzz)],
    ]
    return [item for _, item in sorted(_place(item, group) for group in groups for item in group)]


def startable(left: Sequence[Item], running: Sequence[Item], cores: int) -> Item | None:
    """What is begun next beside what runs; None when something must end first, or when nothing is left.

    As many compute as there are cores, at a low priority, and beside them one that takes real time, whose processes get
    a core whenever they want one: all cores are used, and what is measured in real time is the engine and not the
    neighbours. When nothing is left to compute, several wait beside one another."""
    real = [item for item in running if item.real]
    computing = len(running) - len(real)
    waits = next((item for item in left if item.real), None)
    computes = next((item for item in left if not item.real), None)
    if waits is not None and len(real) < (1 if computes or computing else cores):
        return waits
    return computes if computing < cores else None


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
    "model": 60.0,
    "fuzz": 62.0,
}  # until the first of a kind has been timed


def eta_s(left: Sequence[Item], done: Mapping[str, float], cores: int) -> float:
    """How long the rest takes, by what each kind has taken so far: what computes has the cores to itself, what waits
    goes on beside it one by one, and beside one another when the computing is over."""
    waits = sum(expected_s(item, done) for item in left if item.real)
    computes = sum(expected_s(item, done) for item in left if not item.real) / cores
    return computes + max(0.0, waits - computes) / cores


def expected_s(item: Item, done: Mapping[str, float]) -> float:
    took = [s for name, s in done.items() if name.startswith(f"{item.kind}:")]
    return sum(took) / len(took) if took else GUESS_S[item.kind]
