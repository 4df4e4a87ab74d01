"""`allstop check`: prove a tree file without connecting to anything."""

import json

import click

from allstop.actors.errors import BadInput, Problem
from allstop.supervisors.checking import check_tree
from allstop.supervisors.keys import shape_problems
from allstop.supervisors.loading import load_tree


@click.command()
@click.argument("tree", default="tree.py")
@click.option("--without-keys", is_flag=True, help="Do not look at the environment for API keys.")
@click.option("--json", "as_json", is_flag=True, help='Print {"ok": ..., "problems": [{"what", "where"}]}.')
def command(tree: str, without_keys: bool, as_json: bool) -> int:
    """Prove TREE (file.py:attribute or module:attribute). Every mistake is named with its file and line.

    Exit 0 if the tree could be started, 2 if not. Nothing is connected, started or written.
    """
    try:
        loaded = load_tree(tree)
        problems = check_tree(loaded)
        if not without_keys:
            problems += tuple(p for node in loaded.accounts.children for p in shape_problems(node))
    except BadInput as error:
        problems = error.problems
    if as_json:
        click.echo(json.dumps({"ok": not problems, "problems": [_plain(problem) for problem in problems]}))
    else:
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
        if not problems:
            click.echo(f"{tree}: ok")
    return 2 if problems else 0


def _plain(problem: Problem) -> dict[str, str]:
    return {"what": problem.what, "where": problem.where}
