"""What each subcommand of `handson` does.

A function a subcommand, by its name; each returns the exit status. What a function needs is
imported inside it: `handson --help` shall not wait for boto3.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import random
import sys
from typing import TYPE_CHECKING

from handson.course.outline import checkout, find
from handson.errors import HandsonError, InvalidInput
from handson.i18n import _
from handson.lab.users import acting_as, home_of

if TYPE_CHECKING:
    from handson.course.step import Step
    from handson.workspace import Workspace


def up(options: argparse.Namespace) -> int:
    owner = _owner(options)
    with _acting_for(owner):
        workspace = _workspace(options)
        public_key = workspace.public_key
    _start(workspace, public_key, options.base, owner)
    if owner == os.getuid():
        print(_("Next: handson lab, or handson ssh once 00_start has made the hosts."))
    else:
        print(
            _("It is {user}'s now, who goes on with: handson lab --name {name}").format(
                user=options.owner, name=workspace.name
            )
        )
    return 0


def build(options: argparse.Namespace) -> int:
    from handson.lab.lab import build as build_image
    from handson.ui.progress import progress

    with progress(_("Building the host image"), 150) as shown:
        name = build_image(shown.say, options.base)
    print(_("The host image is {name}.").format(name=name))
    return 0


def down(options: argparse.Namespace) -> int:
    from handson.cloud import targets
    from handson.lab.lab import Lab
    from handson.ui.progress import progress

    owner = _owner(options)
    with _acting_for(owner):
        workspace = _workspace(options)
    lab = Lab(workspace.name, owner)
    with lab.hold("handson down"), progress(_("Removing the lab")) as shown:
        found = lab.down(shown.say)
    with _acting_for(owner):
        target = targets.of(workspace.settings(), workspace)
        if target.needs_lab:
            # Those hosts are no more, and nothing of a step is done on the next ones.
            workspace.forget()
            workspace.unpin()
        if options.forget:
            workspace.remove()
    print(
        _("The lab “{name}” is removed.").format(name=workspace.name)
        if found
        else _("There was no lab “{name}”.").format(name=workspace.name)
    )
    if not target.needs_lab:
        print(target.kept)
    return 0


def status(options: argparse.Namespace) -> int:
    from handson.cli import status as standing

    for number, view in enumerate(standing.status(_workspace(options))):
        print(f"\n{view}" if number else view)
    return 0


def undo(options: argparse.Namespace) -> int:
    slug = find(options.step).slug
    from handson.course.begin import begin
    from handson.course.undo import undo as take_back

    step = begin(slug, _workspace(options))
    try:
        print(take_back(step))
    finally:
        step.hosts.close()
    return 0


def goto(options: argparse.Namespace) -> int:
    slug = find(options.step).slug
    from handson.course import goto as travel

    print(travel.goto(slug, _workspace(options)))
    return 0


def reset(options: argparse.Namespace) -> int:
    workspace = _workspace(options)
    from handson.course import goto as travel

    print(travel.reset(workspace, options.hard))
    return 0


def ssh(options: argparse.Namespace) -> int:
    from handson.hosts.ssh import ssh_command

    arguments = options.arguments
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    command = ssh_command(options.host, _workspace(options), arguments)
    sys.stdout.flush()
    os.execv(command[0], command)


def break_(options: argparse.Namespace) -> int:
    """Plant a fault, list them, tell about the one that is planted, or mend it."""
    from handson.diagnosis import faults
    from handson.diagnosis.exercise import Exercise

    if options.list:
        for one in faults.FAULTS:
            print(f"{one.id:<28}{one.seen}")
        return 0
    step = _last_step(options)
    try:
        scene = step.scene()
        if options.mend:
            print(_("{id}: mended.").format(id=faults.mend(scene)))
        elif options.hint:
            here = faults.planted(scene)
            if not here:
                raise HandsonError(_("No fault is planted."), _("Plant one: handson break"))
            print(faults.how_to_mend(scene, here[0]))
        else:
            chosen = options.fault or faults.draw(random.Random(), scene)
            Exercise(step.workspace, step.scene).start(chosen)
            print(_("A fault is planted. Find it: handson diagnose, or handson ssh server."))
    finally:
        step.hosts.close()
    return 0


def diagnose(options: argparse.Namespace) -> int:
    """Print the causes that are recognised, the surest first; status 1 when there is one."""
    from handson.diagnosis import chain

    step = _last_step(options)
    try:
        chain.reach(step.scene())
        found = chain.diagnose(step.scene())
    finally:
        step.hosts.close()
    for one in found:
        print(f"{one.id}: {one.evidence}\n  {one.cause}\n  → {one.cure}\n  {one.manual}")
    if not found:
        print(_("Nothing that the diagnosis knows is wrong."))
    return 1 if found else 0


def _last_step(options: argparse.Namespace) -> Step:
    from handson.course.begin import begin

    return begin("08_break_it", _workspace(options))


def run(options: argparse.Namespace) -> int:
    from handson.cloud import targets
    from handson.course.run.runner import Plan, run_course, runs_folder
    from handson.workspace import default_path

    root = checkout(options.root)
    runs = options.runs or runs_folder(root, default_path(options.name))
    plan = Plan(
        root=root,
        runs=runs.absolute(),
        target=options.target,
        name=options.name,
        base=options.base,
        cell_seconds=options.cell_timeout,
        keep=options.keep,
        take_over=options.take_over,
        since=options.since,
    )
    if plan.take_over and targets.kind(plan.target).needs_lab:
        _ask_to_take_over(plan.name)
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
    if input(question.format(name=name, workspace=made.workspace)).strip().lower() not in (
        "y",
        "yes",
    ):
        raise HandsonError(
            _("The lab “{name}” stays, and nothing was run.").format(name=name),
            _("Run beside it with another --name."),
        )


def lab(options: argparse.Namespace) -> int:
    from handson.cli import jupyter
    from handson.cloud import targets

    root = checkout(options.root)
    workspace = _workspace(options)
    has_lab = targets.of(workspace.settings(), workspace).needs_lab
    if has_lab:
        _start(workspace, workspace.public_key, options.base, os.getuid())
    arguments = [
        *(["--no-browser"] if options.no_browser else []),
        *([f"--port={options.port}"] if options.port else []),
        *([f"--ip={options.ip}"] if options.ip else []),
    ]
    status = jupyter.run(root, workspace, arguments)
    if has_lab:
        print(
            _("The lab is still up. Remove it with: handson down --name {name}").format(
                name=workspace.name
            )
        )
    return status


def _owner(options: argparse.Namespace) -> int:
    """Return the uid of the user that a lab is for; only root makes one for somebody else."""
    if not options.owner:
        return os.getuid()
    try:
        user = pwd.getpwnam(options.owner)
    except KeyError:
        raise InvalidInput(
            _("There is no user “{user}” on this machine.").format(user=options.owner),
            _("Name one that `id USER` knows."),
        ) from None
    if os.getuid() not in (0, user.pw_uid):
        raise HandsonError(
            _("Only root can make or remove a lab for somebody else."),
            _("Run it by sudo, or leave --for out."),
        )
    return user.pw_uid


def _acting_for(owner: int) -> contextlib.AbstractContextManager[None]:
    """Touch the files of the user that a lab is for, with that user's rights.

    What this needs is imported before: the user may not be able to read root's Python.
    """
    from handson import workspace  # noqa: F401

    return acting_as(owner)


def _workspace(options: argparse.Namespace) -> Workspace:
    from handson.lab.state import check_name
    from handson.workspace import Workspace

    name = check_name(options.name)
    if getattr(options, "owner", ""):
        return Workspace(name, home_of(_owner(options)) / ".handson" / name)
    return Workspace(name)


def _start(workspace: Workspace, public_key: str, base: str, owner: int) -> None:
    from handson.course.log_window import forget_hosts
    from handson.lab import internet
    from handson.lab.lab import Lab
    from handson.ui.progress import progress

    lab = Lab(workspace.name, owner)
    with lab.hold("handson up"), progress(_("Starting the lab")) as shown:
        was_up = lab.is_up
        state = lab.up(public_key, shown.say, base, workspace=str(workspace.path))
    sentence = (
        _("The lab “{name}” is up already. AWS API: {endpoint}")
        if was_up
        else _("The lab “{name}” is up. AWS API: {endpoint}")
    )
    print(sentence.format(name=workspace.name, endpoint=state.endpoint))
    for host in lab.renewed:
        print(_("{host} had been removed: this is a new one, as it was made.").format(host=host))
    # Nothing of a step is done on the hosts of the lab's Internet.
    if set(lab.renewed) - {*internet.HOSTS}:
        with _acting_for(owner):
            forget_hosts(workspace)
