"""The steps of the course, in their order."""

from __future__ import annotations

from dataclasses import dataclass

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
        "08_teardown",
        _("Teardown"),
        _("Delete everything that was made, and prove that nothing is left."),
    ),
)


def info(slug: str) -> StepInfo:
    """Return the step of that slug; raise HandsonError when there is none."""
    for step in STEPS:
        if step.slug == slug:
            return step
    raise HandsonError(
        _("There is no step “{slug}”.").format(slug=slug),
        _("The steps are: {slugs}.").format(slugs=", ".join(step.slug for step in STEPS)),
    )
