"""What is the matter: `handson status`, `diagnose` and `break`.

What a command needs is imported inside it: `handson --help` shall not wait for boto3.
"""

from __future__ import annotations

import random

import click

from handson.cli.options import Command, begun, named
from handson.errors import HandsonError
from handson.i18n import _
from handson.workspace import Workspace

PRACTICE = "08_break_it"


@click.command(cls=Command)
@named()
def status(name: str) -> None:
    """Tell what runs, and which steps are done.

    \b
    Example: handson status --name second
    """
    from handson.cli import status as standing
    from handson.ui.terminal import console

    shown = console()
    for number, view in enumerate(standing.status(Workspace(name))):
        shown.print(*([""] if number else []), view, sep="\n")


@click.command(cls=Command)
@named()
def diagnose(name: str) -> int:
    """Say what is wrong on the hosts, with the evidence and the cure.

    Tries what has to work and what has to be refused, and changes nothing. The status is 1
    when something is wrong, whether the cause is known or not.

    \b
    Example: handson diagnose || handson break --hint
    """
    from handson.course.progress import stage
    from handson.diagnosis import chain
    from handson.diagnosis.verdict import judge

    with begun(PRACTICE, name) as step:
        scene = step.scene()
        chain.reach(scene)
        scene.stage = stage(step.workspace)
        found = judge(scene)
    for one in found.tries:
        print(f"{'✔' if one.is_well else '✘'} {one.what}: {one.seen}")
    causes = [found.cause, *found.others] if found.cause else []
    for known in causes:
        evidence = known.evidence.replace("\n", "\n  ")
        print(f"\n{known.id}: {evidence}\n  {known.cause}\n  → {known.cure}\n  {known.manual}")
    if found.is_well:
        print(_("Nothing is wrong that the diagnosis can see."))
    return 0 if found.is_well else 1


@click.command("break", cls=Command)
@named()
@click.argument("fault", metavar="[ID]", required=False)
@click.option("--list", "listed", is_flag=True, help=_("List the faults, and plant none."))
@click.option("--hint", is_flag=True, help=_("Tell what is wrong and how to mend it."))
@click.option("--mend", is_flag=True, help=_("Put everything back as it was."))
def break_(name: str, fault: str | None, listed: bool, hint: bool, mend: bool) -> None:
    """Plant a fault on the hosts, to practise on.

    Which one is not told, unless you name it by its ID. `08_break_it` is the notebook for it.

    \b
    Examples:
      handson break
      handson break chrooted-smtpd
      handson break --mend
    """
    from handson.diagnosis import faults
    from handson.diagnosis.exercise import Exercise
    from handson.ui.terminal import console
    from handson.ui.view import Table

    if listed + hint + mend > 1:
        raise click.UsageError(_("Only one of --list, --hint and --mend can be done at a time."))
    if listed:
        rows = [[one.id, one.seen] for one in faults.FAULTS]
        console().print(Table([_("fault"), _("what is seen")], rows))
        return
    with begun(PRACTICE, name) as step:
        scene = step.scene()
        if mend:
            print(_("{id}: mended.").format(id=faults.mend(scene)))
        elif hint:
            here = faults.planted(scene)
            if not here:
                raise HandsonError(_("No fault is planted."), _("Plant one: handson break"))
            print(faults.how_to_mend(scene, here[0]))
        else:
            chosen = fault or faults.draw(random.Random(), scene)
            Exercise(step.workspace, step.scene).start(chosen)
            print(_("A fault is planted. Find it: handson diagnose, or handson ssh server."))
