"""`allstop tree`: what a tree file declares, with what the builder adds."""

import json
from typing import Any

import click
from rich.console import Console
from rich.tree import Tree as RichTree

from allstop.supervisors.loading import load_tree
from allstop.supervisors.outline import Line, outline


@click.command()
@click.argument("tree", default="tree.py")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a picture.")
def command(tree: str, as_json: bool) -> int:
    """Print TREE (file.py:attribute or module:attribute): ids, strategies and budgets. Starts nothing."""
    root = outline(load_tree(tree))
    if as_json:
        click.echo(json.dumps(_plain(root)))
    else:
        Console(highlight=False).print(_picture(root))
    return 0


def _picture(line: Line, onto: RichTree | None = None) -> RichTree:
    label = f"[bold]{line.id}[/bold]" + (f"  [dim]{line.note}[/dim]" if line.note else "")
    node = RichTree(label) if onto is None else onto.add(label)
    for child in line.children:
        _picture(child, node)
    return node


def _plain(line: Line) -> dict[str, Any]:
    return {"id": line.id, "note": line.note, "children": [_plain(child) for child in line.children]}
