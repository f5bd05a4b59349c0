"""Does main.cf switch SMTP AUTH on, and does it refuse to relay for strangers?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.diagnosis.chain import Link, up_to
from handson.diagnosis.own_words import is_own_fault
from handson.hosts.restore import put_back
from handson.i18n import _
from handson.mail.observation import Observation
from handson.mail.postfix import MAIN_CF, RELOAD
from handson.ui.view import View

RULES = Rules("survey", "postfix_check", "relay", "strangers")
POSTCONF = "https://www.postfix.org/postconf.5.html"


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
    up_to(Link.GREETS, 25),
)
def main_cf_valid(observed: Observation) -> Finding:
    status, output = observed.postfix_check
    compare = _("Compare the file with its backup: sudo diff -u main.cf.YYYYMMDD main.cf")
    if status != 0:
        return bad(output.strip()[:300], _("Postfix's own check says so."), compare)
    if observed.survey.swallowed:
        return bad("\n".join(observed.survey.swallowed.values()), "", compare)
    if observed.survey.warnings:
        return bad("\n".join(observed.survey.warnings), _("Postfix itself warns of it."), compare)
    # Neither command tries a list: a name that is none shows at the first recipient.
    refusal = observed.relay.refusal
    if not observed.relay.banner or (refusal and is_own_fault(refusal)):
        return bad(observed.relay.outcome(), "", compare)
    return good(
        _("postfix check: 0; postconf -n: no warning; port 25: {answer}").format(
            answer=observed.relay.rcpt or observed.relay.refusal or observed.relay.banner
        )
    )


@RULES.now(
    "auth-enabled",
    _("SMTP AUTH is switched on."),
    f"{POSTCONF}#smtpd_sasl_auth_enable",
    up_to(Link.GREETS),
)
def auth_enabled(observed: Observation) -> Finding:
    # What counts is what the submission service goes by, once there is one.
    value = observed.survey.value("smtpd_sasl_auth_enable")
    if value == "yes":
        return good(f"smtpd_sasl_auth_enable = {value}")
    return bad(
        f"postconf smtpd_sasl_auth_enable: {value or '–'}",
        "",
        "sudo postconf -e smtpd_sasl_auth_enable=yes; sudo systemctl restart postfix",
    )


@RULES.now(
    "sasl-type-cyrus",
    _("Postfix asks Cyrus SASL."),
    f"{POSTCONF}#smtpd_sasl_type",
    up_to(Link.LISTENS, 25),
)
def sasl_type_cyrus(observed: Observation) -> Finding:
    value = observed.survey.value("smtpd_sasl_type")
    if value == "cyrus":
        return good(f"smtpd_sasl_type = {value}")
    if not value:
        cause = _("Postfix cannot read its settings, so that this one is not known.")
        return bad(observed.survey.services_error or "postconf smtpd_sasl_type: –", cause, "")
    return bad(
        f"postconf smtpd_sasl_type: {value}",
        _("Another SASL is chosen: {value}.").format(value=value),
        "sudo postconf -e smtpd_sasl_type=cyrus; sudo postfix reload",
    )


@RULES.now(
    "strangers-refused",
    _("main.cf refuses to relay to other domains for those whom it does not trust."),
    f"{POSTCONF}#smtpd_relay_restrictions",
    (*up_to(Link.GREETS, 25), "open-relay"),
)
def strangers_refused(observed: Observation) -> Finding:
    # A host that nobody trusts is asked: lists may refuse in more ways than can be read.
    refusal = observed.strangers.refusal
    if refusal and observed.strangers.mail and not is_own_fault(refusal):
        return good(str(refusal))
    names = ("smtpd_relay_restrictions", "smtpd_recipient_restrictions")
    values = {name: observed.survey.main(name) for name in names}
    is_open = observed.strangers.is_accepted
    return bad(
        "\n".join([observed.strangers.outcome(), *(f"{n} = {v}" for n, v in values.items())]),
        _("A host that nobody trusts may relay: this is an open relay.") if is_open else "",
        _("End one of the lists with reject_unauth_destination."),
    )
