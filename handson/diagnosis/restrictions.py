"""Causes in the lists that decide about a recipient, and in tries that never logged in."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.cloud.security_groups import covers
from handson.diagnosis.cause import (
    POSTCONF,
    RELOAD,
    SASL_README,
    Cause,
    Link,
    on_server,
    to_set,
    tried,
    words_of,
)
from handson.diagnosis.fault import in_mailrc, in_main_cf
from handson.i18n import N_, _
from handson.mail.postfix import trusts

if TYPE_CHECKING:
    from handson.mail.observation import Observation
    from handson.mail.smtp import Dialogue

ACCESS = "https://www.postfix.org/SMTPD_ACCESS_README.html"
LISTS = ("smtpd_recipient_restrictions", "smtpd_relay_restrictions")
DESTINATION = ("reject_unauth_destination", "defer_unauth_destination")
# What a refusal of smtpd says, the lists that it may come from, and the words that say it so.
REFUSED_BY = {
    "Relay access denied": (LISTS, DESTINATION),
    "Client host rejected: Access denied": (("smtpd_client_restrictions",), ("reject",)),
    "Helo command rejected: Access denied": (("smtpd_helo_restrictions",), ("reject",)),
    "Sender address rejected: Access denied": (("smtpd_sender_restrictions",), ("reject",)),
    "Recipient address rejected: Access denied": (LISTS, ("reject",)),
}


def _distrusting(observed: Observation) -> dict[str, int]:
    """Return the lists that refuse before they would permit a login, and at which word."""
    found = observed.submission
    if not found.is_logged_in or not found.refusal:
        return {}
    text = found.refusal.text
    lists, said = next((where for part, where in REFUSED_BY.items() if part in text), ((), ()))
    places = {name: _refuses_at(words_of(observed.survey.value(name)), said) for name in lists}
    return {name: place for name, place in places.items() if place is not None}


def _refuses_at(words: list[str], refusing: tuple[str, ...]) -> int | None:
    """Return the place of the word that refuses; None where a login is permitted before it."""
    for place, word in enumerate(words):
        if word in refusing:
            return place
        if word in ("permit", "permit_sasl_authenticated"):
            return None
    return None


def relay_denied_authenticated(observed: Observation) -> str:
    names, found = _distrusting(observed), observed.submission
    if not names:
        return ""
    lists = [f"{name} = {observed.survey.value(name)}" for name in names]
    return "\n".join([f"{found.auth and found.auth.code} … {found.refusal}", *lists])


def refused_at_greeting(observed: Observation) -> str:
    found = observed.submission
    if found.is_logged_in or not found.refusal or (found.ehlo and found.mechanisms):
        return ""
    if observed.survey.value("smtpd_delay_reject") != "no":
        return ""
    return f"{found.refusal}\nsmtpd_delay_reject = no"


def trust_logins(observed: Observation) -> list[str]:
    """Return the commands that have the lists that refuse trust logins first."""
    commands = []
    for name, place in _distrusting(observed).items():
        words = words_of(observed.survey.value(name))
        after = [word for word in words[place:] if word != "permit_sasl_authenticated"]
        words[place:] = ["permit_sasl_authenticated", *after]
        commands += to_set(observed, name, ", ".join(words))[:-1]
    return [*commands, *on_server(RELOAD)]


def relays_without_login(observed: Observation) -> str:
    found = observed.anonymous
    if not found.is_accepted:
        return ""
    names = ("smtpd_client_restrictions", *LISTS)
    values = [f"{name} = {value}" for name in names if (value := observed.survey.value(name))]
    trusted = _trusted(observed, observed.settings.client_ip)
    return "\n".join([f"{found.port}: {found.rcpt}", *values, *trusted])


def demand_login(observed: Observation) -> list[str]:
    """Return the commands that have the submission service refuse who has not logged in."""
    service = observed.survey.submission
    key = service.key if service else "submission/inet"
    value = "permit_sasl_authenticated,reject"
    option = shlex.quote(f"{key}/smtpd_client_restrictions={value}")
    return on_server(f"sudo postconf -P {option}", RELOAD)


def _trusted(observed: Observation, address: str) -> list[str]:
    """Return the value of mynetworks with the entries of it that hold an address; or nothing."""
    networks = observed.survey.lines("networks") or observed.survey.mynetworks
    if not trusts(networks, address):
        return []
    held = [one for one in networks if covers(one, address)]
    value = f"mynetworks = {' '.join(observed.survey.mynetworks)}"
    return [
        _("{value}: {networks} holds {address}").format(
            value=value, networks=", ".join(held), address=address
        )
    ]


def client_trusted(observed: Observation) -> str:
    """Look whether the client relays through port 25 without a login, and by mynetworks."""
    found = observed.relay
    trusted = _trusted(observed, observed.settings.client_ip)
    return "\n".join([f"25: {found.rcpt}", *trusted]) if found.is_accepted and trusted else ""


def open_relay(observed: Observation) -> str:
    asked = [observed.strangers] if "strangers" in vars(observed) else []
    asked += observed.elsewhere.values() if "elsewhere" in vars(observed) else []
    return next((_taken(observed, one) for one in asked if one.is_accepted), "")


def _taken(observed: Observation, found: Dialogue) -> str:
    """Return what port 25 answered, and the settings that decide it."""
    lists = [f"{name} = {value}" for name in LISTS if (value := observed.survey.main(name))]
    networks = f"mynetworks = {' '.join(observed.survey.mynetworks)}"
    return "\n".join([f"25: {found.rcpt}", networks, *lists])


def close_relay(observed: Observation) -> list[str]:
    """Return the commands that have nobody trusted but this host and who has logged in."""
    name = LISTS[1] if observed.survey.main(LISTS[1]) else LISTS[0]
    value = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination"
    command = f"sudo postconf -e {shlex.quote(f'{name} = {value}')}"
    return on_server("sudo postconf -e mynetworks=127.0.0.0/8", command, RELOAD)


def client_rejected(observed: Observation) -> str:
    return _without_login(observed, "Client host rejected")


def relay_denied(observed: Observation) -> str:
    return _without_login(observed, "Relay access denied")


def _without_login(observed: Observation, reason: str) -> str:
    """Return what shows that a mail program did not log in and was refused for `reason`."""
    if not observed.submission.is_accepted:
        return ""  # with a login it does not work either: the cause lies before this one
    found = observed.mailrc
    if found.is_there and (found.user or found.is_v15):
        return ""
    if found.is_there and observed.program.is_there:
        if reason not in observed.program.output:
            return ""
        return _("the mail program, with its own settings, does not log in: {answer}").format(
            answer=observed.program.answer
        )
    return tried(observed, rf"reject: RCPT .* {reason}")


CAUSES = (
    Cause(
        "relay-denied-authenticated",
        N_("235 Authentication successful, and then 554 Relay access denied or Access denied."),
        N_(
            "A list of restrictions refuses before it names permit_sasl_authenticated. Each list "
            "is asked, so a login that another list permits is not enough."
        ),
        N_("Name permit_sasl_authenticated in that list, before what refuses:"),
        ACCESS,
        relay_denied_authenticated,
        commands=trust_logins,
        link=Link.RESTRICTIONS,
        fault=in_main_cf(
            N_("the list for recipients does not know logins"),
            "smtpd_recipient_restrictions=permit_mynetworks, reject_unauth_destination",
            drop="smtpd_relay_restrictions",
        ),
    ),
    Cause(
        "refused-at-greeting",
        N_("554 Client host rejected, before a login is possible."),
        N_("Postfix applies the restrictions at once, and not after MAIL and RCPT as by default."),
        "",
        f"{POSTCONF}#smtpd_delay_reject",
        refused_at_greeting,
        link=Link.GREETS,
        commands=lambda observed: to_set(observed, "smtpd_delay_reject", "yes"),
        port=587,
    ),
    Cause(
        "relays-without-login",
        N_("Port 587 takes mail for another domain without a login."),
        N_("No list of the service refuses a client that has not logged in, and one permits it."),
        N_(
            "In master.cf give the service the option "
            "-o smtpd_client_restrictions=permit_sasl_authenticated,reject"
        ),
        ACCESS,
        relays_without_login,
        commands=demand_login,
        link=Link.RESTRICTIONS,
        port=587,
        is_leak=True,
    ),
    Cause(
        "client-trusted",
        N_("Port 25 takes mail for another domain from the client, without a login."),
        N_("mynetworks holds the client's address, so that nothing there needs a login."),
        "",
        f"{POSTCONF}#mynetworks",
        client_trusted,
        link=Link.RESTRICTIONS,
        commands=on_server("sudo postconf -e mynetworks=127.0.0.0/8", RELOAD),
        port=25,
        is_leak=True,
    ),
    Cause(
        "open-relay",
        N_("Port 25 takes mail for another domain from a host that nobody trusts."),
        N_("The server relays for a host that it has no reason to trust."),
        N_("Trust this host and logins only, and refuse all others:"),
        ACCESS,
        open_relay,
        commands=close_relay,
        link=Link.RESTRICTIONS,
        port=25,
        is_leak=True,
    ),
    Cause(
        "client-rejected",
        N_("554 Client host rejected: Access denied, on port 587."),
        N_("The mail program did not log in: it has no name, no password or no mechanism."),
        N_(
            "Write into ~/.mailrc on the client: set smtp-auth=plain, smtp-auth-user={login}, "
            "and smtp-auth-password with the password. The notebook 06_mailx_test does this."
        ),
        f"{SASL_README}#server_sasl_authz",
        client_rejected,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(N_("the mail program does not log in"), "set sendwait\n"),
    ),
    Cause(
        "relay-denied",
        N_("454 or 554 Relay access denied, without a login."),
        N_("The client neither logged in nor is its address in mynetworks."),
        N_(
            "Send through port 587 with a login. Write into ~/.mailrc on the client: "
            "set smtp=smtp://{server_ip}:587, smtp-auth=plain, smtp-auth-user={login}, "
            "and smtp-auth-password with the password. The notebook 06_mailx_test does this."
        ),
        ACCESS,
        relay_denied,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            N_("the mail program sends through port 25, without a login"),
            "set smtp=smtp://{server_ip}:25\nset sendwait\n",
        ),
    ),
)
