"""Does main.cf switch SMTP AUTH on, and does it refuse to relay for strangers?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.diagnosis.chain import Link, up_to
from handson.hosts.restore import put_back
from handson.i18n import _
from handson.mail.observation import Scene
from handson.mail.postfix import MAIN_CF, RELOAD
from handson.ui.view import View

RULES = Rules("survey", "postfix_check")
POSTCONF = "https://www.postfix.org/postconf.5.html"
REFUSALS = ("reject_unauth_destination", "defer_unauth_destination", "reject", "defer")


class MainCf(Step):
    """Say in main.cf who may relay, and switch SMTP AUTH on."""

    slug = "04_main_cf"
    title = _("main.cf")
    purpose = _("Say in main.cf who may relay, and switch SMTP AUTH on.")
    rules = RULES

    def undo(self) -> list[View]:
        """Put main.cf back; what 06_mailx_test changed in it has been undone before."""
        shown = put_back(self.hosts.server, MAIN_CF, mark="^smtpd_sasl_auth_enable *= *yes")
        if shown:
            shown.append(self.hosts.server.run(RELOAD))
        return shown


@RULES.now(
    "main-cf-valid",
    _("Postfix finds no fault in its configuration."),
    f"{POSTCONF}",
    up_to(Link.LISTENS, 25),
)
def main_cf_valid(scene: Scene) -> Finding:
    status, output = scene.postfix_check
    if status == 0:
        return good("postfix check: 0")
    return bad(
        output.strip()[-300:],
        _("A line of main.cf or master.cf cannot be read."),
        _("Compare the file with its backup: sudo diff -u main.cf.YYYYMMDD main.cf"),
    )


@RULES.now(
    "auth-enabled",
    _("SMTP AUTH is switched on."),
    f"{POSTCONF}#smtpd_sasl_auth_enable",
    ("auth-not-offered",),
)
def auth_enabled(scene: Scene) -> Finding:
    # What counts is what the submission service goes by, once there is one.
    if scene.survey.value("smtpd_sasl_auth_enable") == "yes":
        return good("smtpd_sasl_auth_enable = yes")
    return bad(
        "smtpd_sasl_auth_enable = no",
        _("That is the default: the line is missing, or spelt in another way."),
        "sudo postconf -e smtpd_sasl_auth_enable=yes; sudo postfix reload",
    )


@RULES.now("sasl-type-cyrus", _("Postfix asks Cyrus SASL."), f"{POSTCONF}#smtpd_sasl_type")
def sasl_type_cyrus(scene: Scene) -> Finding:
    value = scene.survey.value("smtpd_sasl_type") or "cyrus"
    if value == "cyrus":
        return good(f"smtpd_sasl_type = {value}")
    return bad(
        f"smtpd_sasl_type = {value}",
        _("Another SASL was chosen, most often Dovecot's."),
        "sudo postconf -e smtpd_sasl_type=cyrus; sudo postfix reload",
    )


@RULES.now(
    "strangers-refused",
    _("main.cf refuses to relay to other domains for those whom it does not trust."),
    f"{POSTCONF}#smtpd_relay_restrictions",
)
def strangers_refused(scene: Scene) -> Finding:
    names = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
    values = {name: scene.survey.main(name) for name in names}
    for name, value in values.items():
        if _refuses(value):
            return good(f"{name} = {value}")
    return bad(
        "; ".join(f"{name} = {value}" for name, value in values.items()),
        _("Nothing in either list refuses a foreign destination: an open relay."),
        _("End one of the lists with reject_unauth_destination."),
    )


def _refuses(value: str) -> bool:
    """Tell whether a list refuses a foreign destination before it permits everybody."""
    for name in value.replace(",", " ").split():
        if name == "permit":
            return False
        if name in REFUSALS:
            return True
    return False
