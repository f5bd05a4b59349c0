"""The command `handson`: the lab, a way into its hosts, the course by itself, JupyterLab."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handson.course import checkout, find
from handson.errors import HandsonError
from handson.i18n import _

# Everything else is imported where it is used: `handson --help` shall not wait for boto3.
if TYPE_CHECKING:
    from handson.workspace import Workspace

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parser().parse_args(argv)
    try:
        status: int = options.act(options)
        return status
    except HandsonError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(_("Stopped."), file=sys.stderr)
        return 128 + getattr(stopped, "number", INTERRUPTED - 128)
    except BrokenPipeError:
        # Whoever read our output has enough of it; Python shall not complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser; each subcommand's function is its `act`."""
    top = argparse.ArgumentParser(
        prog="handson",
        description=_("SMTP AUTH for a Postfix relay, learned step by step."),
        epilog=_("`handson COMMAND --help` tells more about a command."),
    )
    commands = top.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)

    def add(name: str, summary: str, more: str = "") -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(
            name, help=summary, description=f"{summary} {more}".strip()
        )
        return sub

    def named(sub: argparse.ArgumentParser, default: str = "") -> None:
        sub.add_argument(
            "--name",
            default=default or os.environ.get("HANDSON_NAME") or "lab",
            help=_("name of the lab and of its workspace (default: %(default)s)"),
        )

    def based(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--base",
            default="",
            metavar="IMAGE",
            help=_("Debian 12 image of a registry to build the host image upon"),
        )

    def stepped(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("step", metavar="STEP", help=_("a step: 05, master_cf or 05_master_cf"))

    up = add("up", _("Start the lab, or see that it runs."))
    named(up)
    based(up)
    up.set_defaults(act=_up)

    build = add("build", _("Build the host image, where it is not built yet."))
    based(build)
    build.set_defaults(act=_build)

    down = add("down", _("Remove the lab: its hosts, networks and processes."))
    named(down)
    down.add_argument(
        "--forget", action="store_true", help=_("forget your choices and your password too")
    )
    down.set_defaults(act=_down)

    state = add("status", _("Tell what runs, and which steps are done."))
    named(state)
    state.set_defaults(act=_status)

    ssh = add(
        "ssh",
        _("Log in to a host of the course."),
        _("What follows the host goes to ssh: `handson ssh client -- uptime`."),
    )
    named(ssh)
    ssh.add_argument("host", choices=("server", "client", "mailbox"), help=_("where to log in"))
    ssh.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help=_("options and a command for ssh"),
    )
    ssh.set_defaults(act=_ssh)

    undo = add(
        "undo",
        _("Take a step back, and the later ones before it."),
        _("The hosts are then as they were before that step."),
    )
    named(undo)
    stepped(undo)
    undo.set_defaults(act=_undo)

    goto = add(
        "goto",
        _("Go to the start of a step, from wherever you are."),
        _(
            "Undoes that step and the later ones, and runs the notebooks of earlier steps that "
            "are not done; starts the lab where it is down. On AWS this may create instances, "
            "which cost money while they run; going to 00_start deletes them."
        ),
    )
    named(goto)
    stepped(goto)
    goto.set_defaults(act=_goto)

    reset = add(
        "reset",
        _("Go to the starting point: fresh hosts, no step done on them."),
        _("Undoes every step and leaves the hosts."),
    )
    named(reset)
    reset.add_argument(
        "--hard", action="store_true", help=_("delete the hosts and make new ones instead")
    )
    reset.set_defaults(act=_reset)

    run = add(
        "run",
        _("Run the whole course without a browser."),
        _(
            "Makes a lab of its own and removes it at the end. On AWS it uses your choices, "
            "creates the hosts, which costs money while they run, and deletes them."
        ),
    )
    named(run, "course")
    based(run)
    run.add_argument(
        "--target",
        choices=("lab", "aws"),
        default=os.environ.get("HANDSON_TARGET") or "lab",
        help=_("where to run it (default: %(default)s)"),
    )
    run.add_argument("--runs", type=Path, help=_("folder for what is made (default: runs)"))
    run.add_argument("--root", type=Path, help=_("checkout of the course (default: found)"))
    run.add_argument(
        "--cell-timeout",
        type=_seconds,
        default=180,
        metavar="SECONDS",
        help=_("how long a cell may take (default: %(default)s)"),
    )
    run.add_argument(
        "--keep", action="store_true", help=_("leave the hosts as they are when something fails")
    )
    run.add_argument("--since", type=float, default=0, help=argparse.SUPPRESS)
    run.set_defaults(act=_run)

    lab = add("lab", _("Open JupyterLab on the first notebook, with the lab up."))
    named(lab)
    based(lab)
    lab.add_argument("--root", type=Path, help=_("checkout of the course (default: found)"))
    lab.add_argument("--no-browser", action="store_true", help=_("open no browser"))
    lab.add_argument("--port", type=int, help=_("port of JupyterLab (default: 8888 or the next)"))
    lab.add_argument("--ip", help=_("address on which JupyterLab listens (default: localhost)"))
    lab.set_defaults(act=_lab)
    return top


# -- the commands -------------------------------------------------------------


def _up(options: argparse.Namespace) -> int:
    _start(_workspace(options), options.base)
    print(_("Next: handson lab, or handson ssh once 00_start has made the hosts."))
    return 0


def _build(options: argparse.Namespace) -> int:
    from handson.lab import Lab
    from handson.ui.progress import progress

    with progress(_("Building the host image"), 150) as shown:
        name = Lab("build").build(shown.say, options.base)
    print(_("The host image is {name}.").format(name=name))
    return 0


def _down(options: argparse.Namespace) -> int:
    from handson.lab import Lab
    from handson.ui.progress import progress

    workspace = _workspace(options)
    with progress(_("Removing the lab")) as shown:
        found = Lab(workspace.name).down(shown.say)
    is_on_aws = workspace.settings().target == "aws"
    if not is_on_aws:
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
    if is_on_aws:
        print(_("What the course made on AWS is still there: notebooks/10_teardown.ipynb."))
    return 0


def _status(options: argparse.Namespace) -> int:
    from handson.status import status

    for number, view in enumerate(status(_workspace(options))):
        print(f"\n{view}" if number else view)
    return 0


def _undo(options: argparse.Namespace) -> int:
    slug = find(options.step).slug
    from handson.step import begin

    step = begin(slug, _workspace(options))
    try:
        print(step.undo())
    finally:
        step.hosts.close()
    return 0


def _goto(options: argparse.Namespace) -> int:
    slug = find(options.step).slug
    from handson.travel import goto

    print(goto(slug, _workspace(options)))
    return 0


def _reset(options: argparse.Namespace) -> int:
    workspace = _workspace(options)
    from handson.travel import reset

    print(reset(workspace, options.hard))
    return 0


def _ssh(options: argparse.Namespace) -> int:
    from handson.ssh import ssh_command

    arguments = options.arguments
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    command = ssh_command(options.host, _workspace(options), arguments)
    sys.stdout.flush()
    os.execv(command[0], command)


def _run(options: argparse.Namespace) -> int:
    from handson.runner import Plan, run_course

    root = checkout(options.root)
    plan = Plan(
        root=root,
        runs=(options.runs or root / "runs").absolute(),
        target=options.target,
        name=options.name,
        base=options.base,
        cell_seconds=options.cell_timeout,
        keep=options.keep,
        since=options.since,
    )
    return run_course(plan)


def _lab(options: argparse.Namespace) -> int:
    from handson import jupyter

    root = checkout(options.root)
    workspace = _workspace(options)
    has_lab = workspace.settings().target == "lab"
    if has_lab:
        _start(workspace, options.base)
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


def _workspace(options: argparse.Namespace) -> Workspace:
    from handson.lab.state import check_name
    from handson.workspace import Workspace

    return Workspace(check_name(options.name))


def _start(workspace: Workspace, base: str) -> None:
    from handson.lab import Lab
    from handson.ui.progress import progress

    lab = Lab(workspace.name)
    was_up = lab.is_up
    with progress(_("Starting the lab")) as shown:
        state = lab.up(workspace.public_key, shown.say, base)
    sentence = (
        _("The lab “{name}” is up already. AWS API: {endpoint}")
        if was_up
        else _("The lab “{name}” is up. AWS API: {endpoint}")
    )
    print(sentence.format(name=workspace.name, endpoint=state.endpoint))


def _seconds(text: str) -> int:
    seconds = int(text)
    if seconds < 1:
        raise argparse.ArgumentTypeError(_("at least one second"))
    return seconds


if __name__ == "__main__":
    sys.exit(main())
