"""What is the matter: `handson status`, `diagnose` and `break`.

What a command needs is imported inside it: `handson --help` shall not wait for boto3.
"""

from __future__ import annotations

import click

from handson.cli.options import Command, begun, named
from handson.errors import HandsonError
from handson.i18n import _
from handson.secret import masked
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
        observed = step.observe()
        chain.reach(observed)
        observed.stage = stage(step.workspace)
        found = judge(observed)
    for one in found.tries:
        print(masked(f"{'✔' if one.is_well else '✘'} {one.what}: {one.seen}"))
    causes = [found.cause, *found.others] if found.cause else []
    for known in causes:
        evidence, cure = (text.replace("\n", "\n  ") for text in (known.evidence, known.cure))
        text = f"\n{known.id}: {evidence}\n  {known.cause}\n  → {cure}\n  {known.manual}"
        print(masked(text))
    if found.is_well:
        print(_("Nothing is wrong that the diagnosis can see."))
    return 0 if found.is_well else 1


@click.command("break", cls=Command)
@named()
@click.argument("fault", metavar="[ID]", required=False)
@click.option("--list", "listed", is_flag=True, help=_("List the faults, and inject none."))
@click.option("--hint", is_flag=True, help=_("Tell what is wrong and how to fix it."))
@click.option("--fix", is_flag=True, help=_("Put everything back as it was."))
def break_(name: str, fault: str | None, listed: bool, hint: bool, fix: bool) -> None:
    """Inject a fault on the hosts, to practise on.

    Which one is not told, unless you name it by its ID. `08_break_it` is the notebook for it.

    \b
    Examples:
      handson break
      handson break chrooted-smtpd
      handson break --fix
    """
    from handson.diagnosis import faults
    from handson.diagnosis.exercise import Exercise
    from handson.ui.terminal import console
    from handson.ui.view import Table

    if listed + hint + fix > 1:
        raise click.UsageError(_("Only one of --list, --hint and --fix can be done at a time."))
    if listed:
        rows = [[one.id, one.seen] for one in faults.FAULTS]
        console().print(Table([_("fault"), _("what is seen")], rows))
        return
    with begun(PRACTICE, name) as step:
        observed = step.observe()
        if fix:
            print(_("{id}: fixed.").format(id=faults.fix(observed)))
        elif hint:
            here = faults.injected(observed)
            if not here:
                raise HandsonError(_("No fault is injected."), _("Inject one: handson break"))
            exercise = Exercise(step.workspace, step.observe)
            is_own = exercise.id == here[0]
            print(exercise.tell().text() if is_own else faults.how_to_fix(observed, here[0]))
        else:
            Exercise(step.workspace, step.observe).start(fault or "")
            print(_("A fault is injected. Find it: handson diagnose, or handson ssh server."))
