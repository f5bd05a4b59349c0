"""The command `handson`: the lab, a way into its hosts, the course by itself, JupyterLab."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from handson.cli import commands
from handson.course.run.signals import stopping
from handson.errors import HandsonError
from handson.i18n import _
from handson.settings import TARGETS
from handson.workspace import default_name

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parser().parse_args(argv)
    try:
        with stopping():
            status: int = getattr(commands, options.act)(options)
            return status
    except HandsonError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(_("Stopped."), file=sys.stderr)
        return getattr(stopped, "status", INTERRUPTED)
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
    subparsers = top.add_subparsers(title=_("commands"), metavar="COMMAND", required=True)

    def add(name: str, summary: str, more: str = "") -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = subparsers.add_parser(
            name, help=summary, description=f"{summary} {more}".strip()
        )
        return sub

    def named(sub: argparse.ArgumentParser, default: str = "") -> None:
        sub.add_argument(
            "--name",
            default=default or default_name(),
            help=_("name of the lab and of its workspace (default: %(default)s)"),
        )

    def owned(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--for",
            dest="owner",
            metavar="USER",
            default="",
            help=_("a user of this machine whose lab it is; only root may say another"),
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
    owned(up)
    based(up)
    up.set_defaults(act="up")

    build = add("build", _("Build the host image, where it is not built yet."))
    based(build)
    build.set_defaults(act="build")

    down = add("down", _("Remove the lab: its hosts, networks and processes."))
    named(down)
    owned(down)
    down.add_argument(
        "--forget", action="store_true", help=_("forget your choices and your password too")
    )
    down.set_defaults(act="down")

    state = add("status", _("Tell what runs, and which steps are done."))
    named(state)
    state.set_defaults(act="status")

    ssh = add(
        "ssh",
        _("Log in to a host of the course."),
        _("What follows the host goes to ssh: `handson ssh client -- uptime`."),
    )
    named(ssh)
    ssh.add_argument(
        "host", choices=("server", "client", "stranger", "mailbox"), help=_("where to log in")
    )
    ssh.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help=_("options and a command for ssh"),
    )
    ssh.set_defaults(act="ssh")

    broken = add(
        "break",
        _("Plant a fault on the hosts, to practise on."),
        _("Which one is not told, unless you name it. `08_break_it` is the notebook for it."),
    )
    named(broken)
    broken.add_argument("fault", nargs="?", metavar="ID", help=_("a fault (default: one is drawn)"))
    told = broken.add_mutually_exclusive_group()
    told.add_argument("--list", action="store_true", help=_("list the faults, and plant none"))
    told.add_argument(
        "--hint", action="store_true", help=_("tell what is wrong and how to mend it")
    )
    told.add_argument("--mend", action="store_true", help=_("put everything back as it was"))
    broken.set_defaults(act="break_")

    found = add(
        "diagnose",
        _("Say what is wrong on the hosts, with the evidence and the cure."),
        _("Changes nothing. The status is 1 when something is found."),
    )
    named(found)
    found.set_defaults(act="diagnose")

    undo = add(
        "undo",
        _("Take a step back, and the later ones before it."),
        _("The hosts are then as they were before that step."),
    )
    named(undo)
    stepped(undo)
    undo.set_defaults(act="undo")

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
    goto.set_defaults(act="goto")

    reset = add(
        "reset",
        _("Go to the starting point: fresh hosts, no step done on them."),
        _("Undoes every step and leaves the hosts."),
    )
    named(reset)
    reset.add_argument(
        "--hard", action="store_true", help=_("delete the hosts and make new ones instead")
    )
    reset.set_defaults(act="reset")

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
        choices=TARGETS,
        default=os.environ.get("HANDSON_TARGET") or TARGETS[0],
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
    run.add_argument(
        "--take-over",
        action="store_true",
        help=_("remove a lab of that name that no run made, after asking"),
    )
    run.add_argument("--since", type=float, default=0, help=argparse.SUPPRESS)
    run.set_defaults(act="run")

    lab = add("lab", _("Open JupyterLab on the first notebook, with the lab up."))
    named(lab)
    based(lab)
    lab.add_argument("--root", type=Path, help=_("checkout of the course (default: found)"))
    lab.add_argument("--no-browser", action="store_true", help=_("open no browser"))
    lab.add_argument("--port", type=int, help=_("port of JupyterLab (default: 8888 or the next)"))
    lab.add_argument("--ip", help=_("address on which JupyterLab listens (default: localhost)"))
    lab.set_defaults(act="lab")
    return top


def _seconds(text: str) -> int:
    seconds = int(text)
    if seconds < 1:
        raise argparse.ArgumentTypeError(_("at least one second"))
    return seconds


if __name__ == "__main__":
    sys.exit(main())
