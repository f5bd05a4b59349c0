"""The way through the course: `handson undo`, `goto`, `reset` and `run`.

What a command needs is imported inside it: `handson --help` shall not wait for boto3.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from handson.cli.options import Command, based, begun, named, rooted, stepped
from handson.course.outline import checkout
from handson.errors import HandsonError
from handson.i18n import _
from handson.settings import TARGETS, variable
from handson.workspace import Workspace, default_path


@click.command(cls=Command)
@named()
@stepped
def undo(name: str, slug: str) -> None:
    """Take a step back, and the later ones before it.

    STEP is 05, master_cf or 05_master_cf. The hosts are then as they were before that step.

    \b
    Example: handson undo 05
    """
    from handson.course.undo import undo as take_back

    with begun(slug, name) as step:
        print(take_back(step))


@click.command(cls=Command)
@named()
@stepped
def goto(name: str, slug: str) -> None:
    """Go to the start of a step, from wherever you are.

    STEP is 05, master_cf or 05_master_cf. Undoes that step and the later ones, and runs the
    notebooks of earlier steps that are not done; starts the lab where it is down. On AWS this
    may create instances, which cost money while they run; going to 00_start deletes them.

    \b
    Example: handson goto master_cf
    """
    from handson.course import goto as travel

    print(travel.goto(slug, Workspace(name)))


@click.command(cls=Command)
@named()
@click.option("--hard", is_flag=True, help=_("Delete the hosts and make new ones instead."))
def reset(name: str, hard: bool) -> None:
    """Go to the starting point: fresh hosts, no step done on them.

    Undoes every step and leaves the hosts.

    \b
    Example: handson reset --hard
    """
    from handson.course import goto as travel

    print(travel.reset(Workspace(name), hard))


@click.command(cls=Command)
@named("course")
@based
@rooted
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default=lambda: variable("HANDSON_TARGET") or TARGETS[0],
    show_default=TARGETS[0],
    help=_("Where to run it."),
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    help=_("Folder for what is made (default: runs)."),
)
@click.option(
    "--cell-timeout",
    "cell_seconds",
    type=click.IntRange(min=1),
    default=180,
    show_default=True,
    metavar="SECONDS",
    help=_("How long a cell may take."),
)
@click.option("--keep", is_flag=True, help=_("Keep the hosts when something fails."))
@click.option(
    "--take-over",
    is_flag=True,
    help=_("Remove a lab of that name that no run made, after asking."),
)
@click.option("--since", type=float, default=0, hidden=True)
def run(name: str, root: Path | None, runs: Path | None, **choices: Any) -> int:
    """Run the whole course without a browser.

    Makes a lab of its own and removes it at the end. On AWS it uses your choices, creates the
    hosts, which costs money while they run, and deletes them.

    \b
    Examples:
      handson run
      handson run --target aws --keep
    """
    from handson.cloud import targets
    from handson.course.run.runner import Plan, run_course, runs_folder

    folder = checkout(root)
    runs = runs or runs_folder(folder, default_path(name))
    plan = Plan(root=folder, runs=runs.absolute(), name=name, **choices)
    if plan.take_over and targets.kind(plan.target).needs_lab:
        _ask_to_take_over(name)
    return run_course(plan)


def _ask_to_take_over(name: str) -> None:
    """Have the learner say yes before a run removes a lab that no run made."""
    from handson.lab.lab import Lab
    from handson.lab.state import RUN

    made = Lab(name).maker()
    if made is None or made.purpose == RUN:
        return
    if not sys.stdin.isatty():
        raise HandsonError(
            _("--take-over asks first, and there is no terminal to answer in."),
            _("Remove the lab yourself: handson down --name {name}").format(name=name),
        )
    question = _("Remove the lab “{name}”, made from {workspace}, and all that is on it? [y/N] ")
    answer = ""
    with contextlib.suppress(EOFError):  # Ctrl-D
        answer = input(question.format(name=name, workspace=made.workspace))
    if answer.strip().lower() not in ("y", "yes"):
        raise HandsonError(
            _("The lab “{name}” stays, and nothing was run.").format(name=name),
            _("Run beside it with another --name."),
        )
