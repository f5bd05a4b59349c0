"""Causes in the lists that decide about a recipient, and in tries that never logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import SASL_README, Cause, Link, tried
from handson.diagnosis.fault import in_mailrc, in_main_cf
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene

ACCESS = "https://www.postfix.org/SMTPD_ACCESS_README.html"
LISTS = ("smtpd_recipient_restrictions", "smtpd_relay_restrictions")


def relay_denied_authenticated(scene: Scene) -> str:
    found = scene.submission
    if not found.is_logged_in or not found.rcpt or "Relay access denied" not in found.rcpt.text:
        return ""
    lists = [
        f"{name} = {value}"
        for name in LISTS
        if (value := scene.survey.value(name)) and "permit_sasl_authenticated" not in value
    ]
    return "\n".join([f"{found.auth and found.auth.code} … {found.rcpt}", *lists])


def client_rejected(scene: Scene) -> str:
    return _without_login(scene, "Client host rejected")


def relay_denied(scene: Scene) -> str:
    return _without_login(scene, "Relay access denied")


def _without_login(scene: Scene, reason: str) -> str:
    """Return what shows that a mail program did not log in and was refused for `reason`."""
    if not scene.submission.is_accepted:
        return ""  # with a login it does not work either: the cause lies before this one
    found = scene.mailrc
    if found.is_there and not found.user and not found.is_v15 and found.dialogue:
        refusal = found.dialogue.refusal
        if refusal and reason in refusal.text:
            return _("~/.mailrc holds no complete login; port {port}: {answer}").format(
                port=found.port, answer=refusal
            )
    return tried(scene, rf"reject: RCPT .* {reason}")


CAUSES = (
    Cause(
        "relay-denied-authenticated",
        _("235 Authentication successful, and then 554 Relay access denied."),
        _(
            "The list that decides about recipients does not name permit_sasl_authenticated: "
            "the login counts in another list only."
        ),
        _(
            "sudo postconf -e 'smtpd_recipient_restrictions = permit_mynetworks, "
            "permit_sasl_authenticated, reject_unauth_destination'; sudo postfix reload"
        ),
        ACCESS,
        relay_denied_authenticated,
        link=Link.RESTRICTIONS,
        fault=in_main_cf(
            _("the list for recipients does not know logins"),
            "smtpd_recipient_restrictions=permit_mynetworks, reject_unauth_destination",
            drop="smtpd_relay_restrictions",
        ),
    ),
    Cause(
        "client-rejected",
        _("554 Client host rejected: Access denied, on port 587."),
        _("The mail program did not log in: it has no name, no password or no mechanism."),
        _(
            "In ~/.mailrc on the client: set smtp-auth=plain, smtp-auth-user={login}, "
            "smtp-auth-password=…"
        ),
        f"{SASL_README}#server_sasl_authz",
        client_rejected,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(_("the mail program does not log in"), "set sendwait\n"),
    ),
    Cause(
        "relay-denied",
        _("454 or 554 Relay access denied, without a login."),
        _("The client neither logged in nor is its address in mynetworks."),
        _(
            "Send through port 587 with a login: in ~/.mailrc set smtp-auth=plain, "
            "smtp-auth-user={login}, smtp-auth-password=…, and "
            "smtp=smtp://{server_ip}:587"
        ),
        ACCESS,
        relay_denied,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            _("the mail program sends through port 25, without a login"),
            "set smtp=smtp://{server_ip}:25\nset sendwait\n",
        ),
    ),
)
