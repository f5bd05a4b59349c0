"""Causes in the lists that decide about a recipient, and in tries that never logged in."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.cloud.security_groups import covers
from handson.diagnosis.cause import SASL_README, Cause, Link, tried
from handson.diagnosis.fault import in_mailrc, in_main_cf
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene
    from handson.mail.smtp import Dialogue

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


def trust_logins(scene: Scene) -> str:
    """Return the command that has the list that refuses trust logins."""
    service = scene.survey.submission
    for name in LISTS:
        value = scene.survey.value(name)
        if not value or "permit_sasl_authenticated" in value:
            continue
        words = value.replace(",", " ").split()
        place = next(
            (n for n, word in enumerate(words) if word.startswith(("reject", "defer"))), len(words)
        )
        words.insert(place, "permit_sasl_authenticated")
        if service and name in service.parameters:
            setting = f"{service.key}/{name}={','.join(words)}"
            return f"sudo postconf -P {shlex.quote(setting)}; sudo postfix reload"
        setting = f"{name} = {', '.join(words)}"
        return f"sudo postconf -e {shlex.quote(setting)}; sudo postfix reload"
    return _("Name permit_sasl_authenticated in {lists}, before what refuses.").format(
        lists=" / ".join(LISTS)
    )


def relays_without_login(scene: Scene) -> str:
    found = scene.anonymous
    if not found.is_accepted:
        return ""
    names = ("smtpd_client_restrictions", *LISTS)
    values = [f"{name} = {value}" for name in names if (value := scene.survey.value(name))]
    trusted = [one for one in scene.survey.mynetworks if covers(one, scene.settings.client_ip)]
    if trusted:
        values.append(
            _("mynetworks holds the client: {networks}").format(networks=" ".join(trusted))
        )
    return "\n".join([f"{found.port}: {found.rcpt}", *values])


def open_relay(scene: Scene) -> str:
    asked = [scene.strangers] if "strangers" in vars(scene) else []
    asked += scene.elsewhere.values() if "elsewhere" in vars(scene) else []
    return next((_taken(scene, one) for one in asked if one.is_accepted), "")


def client_trusted(scene: Scene) -> str:
    if not scene.relay.is_accepted or open_relay(scene):
        return ""
    return _taken(scene, scene.relay)


def _taken(scene: Scene, found: Dialogue) -> str:
    """Return what port 25 answered, and the settings that decide it."""
    lists = [f"{name} = {value}" for name in LISTS if (value := scene.survey.main(name))]
    networks = f"mynetworks = {' '.join(scene.survey.mynetworks)}"
    return "\n".join([f"25: {found.rcpt}", networks, *lists])


def client_rejected(scene: Scene) -> str:
    return _without_login(scene, "Client host rejected")


def relay_denied(scene: Scene) -> str:
    return _without_login(scene, "Relay access denied")


def _without_login(scene: Scene, reason: str) -> str:
    """Return what shows that a mail program did not log in and was refused for `reason`."""
    if not scene.submission.is_accepted:
        return ""  # with a login it does not work either: the cause lies before this one
    found = scene.mailrc
    if found.is_there and (found.user or found.is_v15):
        return ""
    if found.is_there and scene.program.is_there:
        if reason not in scene.program.output:
            return ""
        return _("the mail program, with its own settings, does not log in: {answer}").format(
            answer=scene.program.answer
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
        trust_logins,
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
        "relays-without-login",
        _("Port 587 takes mail for another domain without a login."),
        _("No list of the service refuses a client that has not logged in, and one permits it."),
        _(
            "sudo postconf -P {service}/smtpd_client_restrictions=permit_sasl_authenticated,reject"
            "; sudo postfix reload"
        ),
        ACCESS,
        relays_without_login,
        link=Link.RESTRICTIONS,
        port=587,
        is_leak=True,
    ),
    Cause(
        "open-relay",
        _("Port 25 takes mail for another domain from a host that nobody trusts."),
        _("The server relays for a host that it has no reason to trust."),
        _(
            "sudo postconf -e mynetworks=127.0.0.0/8; where a list names “permit” before "
            "reject_unauth_destination, take it out; sudo postfix reload"
        ),
        ACCESS,
        open_relay,
        link=Link.RESTRICTIONS,
        port=25,
        is_leak=True,
    ),
    Cause(
        "client-trusted",
        _("Port 25 takes mail of the client for another domain, without a login."),
        _("The server still relays for the client's address, and its login does not matter."),
        "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
        "https://www.postfix.org/postconf.5.html#mynetworks",
        client_trusted,
        link=Link.RESTRICTIONS,
        port=25,
        is_leak=True,
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
