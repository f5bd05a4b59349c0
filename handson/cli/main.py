"""The command `handson`: the lab, a way into its hosts, the course by itself, JupyterLab."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from handson.cli import course, lab, look
from handson.cli.log import log
from handson.course.run.signals import stopping
from handson.errors import HandsonError
from handson.i18n import _
from handson.workspace.private_file import of_the_disk

INTERRUPTED = 130


class Handson(click.Group):
    """The commands in their own order; what ends one of them becomes a sentence and a status."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            with stopping():
                return super().invoke(context)
        except HandsonError as error:
            click.echo(error, err=True)
            context.exit(1)
        except OSError as error:
            if (told := of_the_disk(error)) is None:
                raise
            click.echo(told, err=True)
            context.exit(1)
        except KeyboardInterrupt as stopped:
            click.echo(_("Stopped."), err=True)
            context.exit(getattr(stopped, "status", INTERRUPTED))


@click.group(
    cls=Handson,
    commands=[
        lab.up,
        lab.build,
        lab.down,
        look.status,
        lab.ssh,
        look.break_,
        look.diagnose,
        log,
        course.undo,
        course.goto,
        course.reset,
        course.run,
        lab.lab,
    ],
    help=_("SMTP AUTH for a Postfix relay, learned step by step."),
    epilog=_("More about a command: handson COMMAND --help. Begin with: handson lab"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="smtp-auth-handson")
def handson() -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    >>> main(["status", "--name", "-"])
    1
    """
    try:
        return handson.main(argv, "handson", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
