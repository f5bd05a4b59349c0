"""The order of the course's steps, and how one is found by name or number."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from handson.errors import HandsonError
from handson.i18n import _

if TYPE_CHECKING:
    from handson.course.step import Step

# The modules in `handson/course/steps`, one class each.
ORDER = (
    "start",
    "security_group",
    "sasl_install",
    "sasldb",
    "main_cf",
    "master_cf",
    "mailx",
    "log_check",
    "break_it",
    "harden",
    "teardown",
)


@cache
def steps() -> tuple[type[Step], ...]:
    """Return the classes of all steps, in their order.

    >>> steps()[1].slug
    '01_security_group'
    """
    modules = [importlib.import_module(f"handson.course.steps.{name}") for name in ORDER]
    return tuple(
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and "slug" in vars(thing)
    )


def step(slug: str) -> type[Step]:
    """Return the step of that slug; raise HandsonError when there is none."""
    for one in steps():
        if one.slug == slug:
            return one
    raise _unknown(slug)


def find(text: str) -> type[Step]:
    """Return the step that a learner names by number, name or both; raise HandsonError otherwise.

    >>> find("5").slug, find("05").slug, find("master_cf").slug, find("05_master_cf").slug
    ('05_master_cf', '05_master_cf', '05_master_cf', '05_master_cf')
    """
    cleaned = text.strip().lower().removesuffix(".ipynb")
    for one in steps():
        number, _dash, name = one.slug.partition("_")
        if cleaned in (one.slug, number, name, one.number):
            return one
    raise _unknown(text)


def _unknown(text: str) -> HandsonError:
    return HandsonError(
        _("There is no step “{slug}”.").format(slug=text[:60]),
        _("The steps are: {slugs}.").format(slugs=", ".join(one.slug for one in steps())),
    )


def since(slug: str) -> tuple[type[Step], ...]:
    """Return that step and the later ones."""
    return steps()[steps().index(step(slug)) :]


def until(slug: str) -> tuple[type[Step], ...]:
    """Return the steps before that one."""
    return steps()[: steps().index(step(slug))]


def checkout(given: Path | None = None) -> Path:
    """Return the checkout of the course: as given, around this package, or around here."""
    if given:
        return given.absolute()
    for folder in (Path(__file__).parents[2], Path.cwd(), Path.cwd().parent):
        if (folder / "notebooks").is_dir():
            return folder
    raise HandsonError(
        _("The notebooks were not found."), _("Run this in a checkout of the course.")
    )
