"""Causes in the mail program's settings on the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import OPTIONS, S_NAIL, Cause, Link, listed, on_client, tried
from handson.diagnosis.fault import LOGIN, RELOAD_SH, Fault, Part, in_mailrc
from handson.hosts.script import read
from handson.i18n import N_, _

if TYPE_CHECKING:
    from handson.mail.observation import Observation


def v15_credentials(observed: Observation) -> str:
    found = observed.mailrc
    if not found.is_v15 or found.user:
        return ""
    if found.uses_netrc and found.netrc_mode and found.netrc_mode[-2:] != "00":
        return f"~/.netrc {found.netrc_mode}"
    if found.old_names:
        return _("~/.mailrc sets v15-compat, which ignores {names}").format(
            names=listed(found.old_names)
        )
    return _("~/.mailrc sets v15-compat, and no password is found for {host}").format(
        host=found.address
    )


def old_variables(observed: Observation) -> list[str]:
    """Return the command that lets the mail program find its password."""
    found = observed.mailrc
    if found.uses_netrc and found.netrc_mode and found.netrc_mode[-2:] != "00":
        return on_client("chmod 0600 ~/.netrc")
    return on_client("echo 'unset v15-compat' >> ~/.mailrc") if found.old_names else []


def other_port(observed: Observation) -> str:
    """Look whether the mail program speaks to a port that is not for logins."""
    found = observed.mailrc
    if not found.has_target or found.port in (587, 465):
        return ""
    if found.port == 25 and not (found.user or found.is_v15):
        return ""  # it lacks the login as well, which relay-denied tells
    answer = found.dialogue.outcome() if found.dialogue else ""
    return "\n".join(
        filter(None, [f"{found.source or '~/.mailrc'}: smtp: {found.address}:{found.port}", answer])
    )


def login_mechanism(observed: Observation) -> str:
    offered = observed.submission.mechanisms
    if not offered or "LOGIN" in offered:
        return ""
    found = observed.mailrc
    if found.user and found.mechanism == "LOGIN":
        answer = found.dialogue.auth if found.dialogue else None
        return "\n".join(
            filter(None, [_("the mail program uses AUTH LOGIN"), str(answer) if answer else ""])
        )
    if found.dialogue and found.dialogue.is_logged_in:
        return ""  # the settings are right now; the log tells of an earlier try
    return tried(observed, "Couldn't find mech LOGIN|SASL LOGIN .*no mechanism available")


def bad_base64(observed: Observation) -> str:
    return tried(observed, "authentication failed: bad protocol / cancel")


def how_to_code(observed: Observation) -> str:
    """Return how a login is encoded for the mechanism that was tried (RFC 4616; AUTH LOGIN)."""
    if "SASL LOGIN" in bad_base64(observed):
        return _("AUTH LOGIN: encode name and password each by itself: printf %s NAME | base64")
    return _("AUTH PLAIN: encode both in one: printf '\\0%s\\0%s' NAME PASSWORD | base64")


# Written by a colleague who knew AUTH PLAIN by half: the NUL before the name is missing.
_BY_HAND = (
    "cat > ~/login-by-hand.py <<'PROGRAM'\n"
    f"{read(__package__, 'login_by_hand.py')}PROGRAM\n"
    'python3 ~/login-by-hand.py "$server_ip"\n'
)


CAUSES = (
    Cause(
        "mailrc-port",
        N_("A login works on port 587, and the mail program is refused all the same."),
        N_("The mail program's settings name a port that is not the one for logins."),
        "",
        S_NAIL,
        other_port,
        commands=on_client("echo 'set smtp=smtp://{server_ip}:587' >> ~/.mailrc"),
        link=Link.MAIL_PROGRAM,
    ),
    Cause(
        "v15-credentials",
        N_("s-nail: A password is necessary for smtp authentication."),
        N_("With v15-compat the old variables are ignored, and a .netrc must have mode 0600."),
        N_(
            "Use either the old variables without v15-compat, or v15-compat with the login in "
            "mta=smtp://USER%40DOMAIN:PASSWORD@{server_ip}:587 or in a ~/.netrc of mode 0600."
        ),
        S_NAIL,
        v15_credentials,
        commands=old_variables,
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            N_("the mail program ignores the variables that hold the login"),
            "set v15-compat\n" + LOGIN,
            arises=lambda system: system.mail_dialect == "s-nail",
        ),
    ),
    Cause(
        "login-mechanism",
        N_("535 no mechanism available; the log: Couldn't find mech LOGIN."),
        N_("The mail program uses AUTH LOGIN, and the server's mech_list does not name it."),
        N_(
            "Have the mail program use PLAIN. (Or add LOGIN to mech_list in {smtpd_conf} on the "
            "server, and reload Postfix.)"
        ),
        OPTIONS,
        login_mechanism,
        commands=on_client("echo 'set smtp-auth=plain' >> ~/.mailrc"),
        link=Link.MAIL_PROGRAM,
        fault=in_mailrc(
            N_("the mail program logs in by LOGIN, which is not offered"),
            LOGIN.replace("=plain", "=login"),
        ),
    ),
    Cause(
        "bad-base64",
        N_("535 bad protocol / cancel, when AUTH PLAIN is typed or written by hand."),
        N_("What was sent to log in is not encoded as the mechanism requires."),
        how_to_code,
        "https://www.rfc-editor.org/rfc/rfc4616",
        bad_base64,
        link=Link.MAIL_PROGRAM,
        is_state=True,
        fault=Fault(
            N_("a program that encodes the login wrongly"),
            # A reload separates the lines of the log that are of now from those of before.
            server=Part(after=RELOAD_SH),
            client=Part(("~/login-by-hand.py",), _BY_HAND),
        ),
    ),
)
