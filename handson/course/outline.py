"""The steps of the course, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from handson.errors import HandsonError
from handson.i18n import _


@dataclass(frozen=True)
class StepInfo:
    """A step of the course; its notebook is `SLUG.ipynb`."""

    slug: str
    title: str
    purpose: str


STEPS = (
    StepInfo(
        "00_start",
        _("Start"),
        _("Choose who sends to whom, make the hosts, and see the relay trust an address."),
    ),
    StepInfo(
        "01_security_group",
        _("Security group"),
        _("Open the submission port, TCP 587, in the server's security group."),
    ),
    StepInfo(
        "02_sasl_install",
        _("Install SASL"),
        _("Install Cyrus SASL on the server and tell it how Postfix checks a password."),
    ),
    StepInfo(
        "03_sasldb",
        _("sasldb"),
        _("Create the user who may relay, in a database that only Postfix can read."),
    ),
    StepInfo(
        "04_main_cf",
        _("main.cf"),
        _("Say in main.cf who may relay, and switch SMTP AUTH on."),
    ),
    StepInfo(
        "05_master_cf",
        _("master.cf"),
        _("Start the submission service on port 587, for logged-in clients only."),
    ),
    StepInfo(
        "06_mailx_test",
        _("Test with mailx"),
        _("Send from the client: refused without login, relayed with it, trusted by login alone."),
    ),
    StepInfo(
        "07_log_check",
        _("Check the log"),
        _("Follow one message through the mail log, and find those who were refused."),
    ),
    StepInfo(
        "08_break_it",
        _("Break it"),
        _("Find a fault that was planted, and mend it: troubleshooting as a skill."),
    ),
    StepInfo(
        "09_harden",
        _("Harden"),
        _("Close what the tutorial leaves open: TLS, guessing, senders, port 25."),
    ),
    StepInfo(
        "10_teardown",
        _("Teardown"),
        _("Delete everything that was made, and prove that nothing is left."),
    ),
)


def info(slug: str) -> StepInfo:
    """Return the step of that slug; raise HandsonError when there is none."""
    for step in STEPS:
        if step.slug == slug:
            return step
    raise _unknown(slug)


def find(text: str) -> StepInfo:
    """Return the step that a learner names by number, name or both; raise HandsonError otherwise.

    >>> find("5").slug, find("05").slug, find("master_cf").slug, find("05_master_cf").slug
    ('05_master_cf', '05_master_cf', '05_master_cf', '05_master_cf')
    """
    cleaned = text.strip().lower().removesuffix(".ipynb")
    for step in STEPS:
        number, _dash, name = step.slug.partition("_")
        if cleaned in (step.slug, number, name, str(int(number))):
            return step
    raise _unknown(text)


def _unknown(text: str) -> HandsonError:
    return HandsonError(
        _("There is no step “{slug}”.").format(slug=text[:60]),
        _("The steps are: {slugs}.").format(slugs=", ".join(step.slug for step in STEPS)),
    )


def since(slug: str) -> tuple[StepInfo, ...]:
    """Return that step and the later ones."""
    return STEPS[STEPS.index(info(slug)) :]


def until(slug: str) -> tuple[StepInfo, ...]:
    """Return the steps before that one."""
    return STEPS[: STEPS.index(info(slug))]


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
