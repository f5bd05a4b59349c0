"""The lab by itself: `handson up`, `build`, `down`, `ssh` and `lab`.

What a command needs is imported inside it: `handson --help` shall not wait for boto3. Only what
is needed while acting as another user is imported before: that user may not be able to read
root's Python.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import click

from handson.cli.options import Command, based, named, owned, rooted
from handson.course.outline import checkout
from handson.errors import HandsonError, InvalidInput
from handson.i18n import _
from handson.lab.users import acting_as, home_of
from handson.workspace import Workspace


@click.command(cls=Command)
@named()
@owned
@based
def up(name: str, owner: str, base: str) -> None:
    """Start the lab, or see that it runs.

    \b
    Examples:
      handson up
      handson up --name second
      sudo handson up --for alice
    """
    uid = _uid(owner)
    with acting_as(uid):
        workspace = _workspace(name, owner)
        public_key = workspace.public_key
    _start(workspace, public_key, base, uid)
    if uid == os.getuid():
        print(_("Next: handson lab, or handson ssh once 00_start has made the hosts."))
    else:
        print(
            _("It belongs to {user}, who continues with: handson lab --name {name}").format(
                user=owner, name=name
            )
        )


@click.command(cls=Command)
@based
def build(base: str) -> None:
    """Build the host image, where it is not built yet.

    \b
    Example: handson build --base docker.io/library/debian:12
    """
    from handson.lab.lab import build as build_image
    from handson.ui.progress import progress

    with progress(_("Building the host image"), 150) as shown:
        image = build_image(shown.say, base)
    print(_("The host image is {name}.").format(name=image))


@click.command(cls=Command)
@named()
@owned
@click.option("--forget", is_flag=True, help=_("Forget your choices and your password too."))
def down(name: str, owner: str, forget: bool) -> None:
    """Remove the lab: its hosts, networks and processes.

    \b
    Examples:
      handson down
      handson down --name second --forget
    """
    from handson.cloud import targets
    from handson.lab.lab import Lab
    from handson.ui.progress import progress

    uid = _uid(owner)
    with acting_as(uid):
        workspace = _workspace(name, owner)
    lab = Lab(name, uid)
    with lab.hold("handson down"), progress(_("Removing the lab")) as shown:
        found = lab.down(shown.say)
    with acting_as(uid):
        target = targets.of(workspace.settings(), workspace)
        if target.needs_lab:
            # Those hosts are no more, and nothing of a step is done on the next ones.
            workspace.forget()
            workspace.unpin()
        if forget:
            workspace.remove()
    print(
        _("The lab “{name}” is removed.").format(name=name)
        if found
        else _("There was no lab “{name}”.").format(name=name)
    )
    if not target.needs_lab:
        print(target.kept)


@click.command(cls=Command, context_settings={"allow_interspersed_args": False})
@named()
@click.argument("host", type=click.Choice(("server", "client", "stranger", "mailbox")))
@click.argument("arguments", metavar="[--] [SSH ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, host: str, arguments: tuple[str, ...]) -> None:
    """Log in to a host of the course.

    What follows the host goes to ssh.

    \b
    Examples:
      handson ssh server
      handson ssh client -- uptime
    """
    from handson.hosts.ssh import ssh_command

    words = arguments[1:] if arguments[:1] == ("--",) else arguments
    command = ssh_command(host, Workspace(name), [*words])
    sys.stdout.flush()
    os.execv(command[0], command)


@click.command(cls=Command)
@named()
@based
@rooted
@click.option("--no-browser", is_flag=True, help=_("Open no browser."))
@click.option("--port", type=int, help=_("Port of JupyterLab (default: 8888 or the next)."))
@click.option("--ip", help=_("Address on which JupyterLab listens (default: localhost)."))
def lab(
    name: str, base: str, root: Path | None, no_browser: bool, port: int | None, ip: str | None
) -> int:
    """Open JupyterLab on the first notebook, with the lab up.

    \b
    Examples:
      handson lab
      handson lab --no-browser --port 9000
    """
    from handson.cli import jupyter
    from handson.cloud import targets

    folder = checkout(root)
    workspace = Workspace(name)
    has_lab = targets.of(workspace.settings(), workspace).needs_lab
    if has_lab:
        _start(workspace, workspace.public_key, base, os.getuid())
    arguments = [
        *(["--no-browser"] if no_browser else []),
        *([f"--port={port}"] if port else []),
        *([f"--ip={ip}"] if ip else []),
    ]
    status = jupyter.run(folder, workspace, arguments)
    if has_lab:
        print(
            _("The lab is still up. Remove it with: handson down --name {name}").format(name=name)
        )
    return status


def _uid(owner: str) -> int:
    """Return the uid of the user that a lab is for; only root makes one for somebody else."""
    if not owner:
        return os.getuid()
    try:
        user = pwd.getpwnam(owner)
    except KeyError:
        raise InvalidInput(
            _("There is no user “{user}” on this machine.").format(user=owner),
            _("Name one that `id USER` knows."),
        ) from None
    if os.getuid() not in (0, user.pw_uid):
        raise HandsonError(
            _("Only root can make or remove a lab for somebody else."),
            _("Run the command with sudo, or without --for."),
        )
    return user.pw_uid


def _workspace(name: str, owner: str) -> Workspace:
    return Workspace(name, home_of(_uid(owner)) / ".handson" / name if owner else None)


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
        print(
            _("{host} had been removed. It was made again, as it was at the beginning.").format(
                host=host
            )
        )
    # Nothing of a step is done on the hosts of the lab's Internet.
    if set(lab.renewed) - {*internet.HOSTS}:
        with acting_as(owner):
            forget_hosts(workspace)
