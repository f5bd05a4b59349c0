"""What the commands of `handson` share: how each tells about itself, and their common options."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from handson.course.outline import find
from handson.i18n import _
from handson.workspace import Workspace, default_name

if TYPE_CHECKING:
    from handson.course.step import Step

F = TypeVar("F", bound=Callable[..., object])


class Command(click.Command):
    """A command that is told about by its function's docstring, in the reader's language."""

    def __init__(self, *, help: str = "", **more: Any) -> None:
        super().__init__(help=_(inspect.cleandoc(help)), **more)


def named(default: str = "") -> Callable[[F], F]:
    """Give a command `--name`; a name that cannot be a lab's raises InvalidInput."""

    def check(_context: click.Context, _option: click.Parameter, name: str) -> str:
        from handson.lab.state import check_name

        return check_name(name)

    return click.option(
        "--name",
        default=default or default_name,
        show_default=default or _("HANDSON_NAME, or lab"),
        callback=check,
        help=_("Name of the lab and of its workspace."),
    )


def _slug(_context: click.Context, _argument: click.Parameter, step: str) -> str:
    return find(step).slug


owned = click.option(
    "--for",
    "owner",
    metavar="USER",
    default="",
    help=_("A user of this machine whose lab it is; only root may say another."),
)
based = click.option(
    "--base",
    metavar="IMAGE",
    default="",
    help=_("Debian 12 image of a registry to build the host image on."),
)
rooted = click.option(
    "--root",
    type=click.Path(path_type=Path),
    help=_("Checkout of the course (default: found)."),
)
stepped = click.argument("slug", metavar="STEP", callback=_slug)


@contextlib.contextmanager
def begun(slug: str, name: str) -> Iterator[Step]:
    """Begin a step in the workspace of a lab, and let go of its hosts at the end."""
    from handson.course.begin import begin

    step = begin(slug, Workspace(name))
    try:
        yield step
    finally:
        step.hosts.close()
