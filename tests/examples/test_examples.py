"""What the examples promise, and what the README shows of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from allstop.supervisors.chaos import load_script
from allstop.supervisors.checking import check_tree
from allstop.supervisors.cli import main
from allstop.supervisors.config import Tree
from allstop.supervisors.loading import load_tree

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_the_example_tree_passes_its_check(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "--without-keys", "--json", str(EXAMPLES / "tree.py")])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "problems": []}


def test_the_readme_shows_the_tree_of_the_example(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (shown,) = [block for block in blocks if "tree = halt_root(" in block]
    (tmp_path / "tree.py").write_text(shown)
    readme, example = load_tree(str(tmp_path / "tree.py")), load_tree(str(EXAMPLES / "tree.py"))
    assert check_tree(readme) == ()
    assert shape(readme) == shape(example)


def shape(tree: Tree) -> object:
    return (
        [(node.id, node.pairs, node.budget, node.trading) for node in tree.accounts.children],
        [(node.id, node.pairs, node.budget) for node in tree.data.children],
        [node.id for node in tree.strategies.children],
        tree.state_dir,
    )


@pytest.mark.parametrize("name", ["chaos_demo.py", "chaos_storm.py"])
def test_a_chaos_script_of_the_examples_loads(name: str) -> None:
    assert callable(load_script(EXAMPLES / name))


@pytest.mark.loopback
@pytest.mark.slow
def test_the_embedded_runtime_buys_is_filled_and_is_covered() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "embed.py")], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FILLED: 0.001 BTC/USD" in done.stdout
    assert "covered: 0.001 BTC/USD" in done.stdout
