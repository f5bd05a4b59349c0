"""Causes in smtpd.conf and in what is installed: who checks a password, and by what mechanism."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import (
    OPTIONS,
    POSTCONF,
    SASL_README,
    Cause,
    Link,
    first,
    listed,
    logged,
)
from handson.diagnosis.fault import RELOAD, RESTART, Fault, Part, in_main_cf, in_smtpd_conf
from handson.i18n import N_, _

if TYPE_CHECKING:
    from handson.mail.observation import Scene


def smtpd_conf_syntax(scene: Scene) -> str:
    error = scene.survey.configuration_error
    if not error:
        return ""
    line = logged(scene, "error when parsing configuration file")
    return f"{error}\n{line}".strip()


def smtpd_conf_ignored(scene: Scene) -> str:
    survey, path = scene.survey, scene.server.system.smtpd_conf
    elsewhere = [place for place in survey.places if place != path]
    offered = listed(scene.submission.mechanisms)
    if elsewhere and path not in survey.places:
        return _("{other} is there, {path} is not; EHLO lists {offered}").format(
            other=listed(elsewhere), path=path, offered=offered
        )
    extra = unlisted(scene)
    if not extra:
        return ""
    if survey.has_old_smtpd:
        return _("{path} was changed after smtpd had started; EHLO lists {offered}").format(
            path=path, offered=offered
        )
    return _("{path} lists {listed}; EHLO lists {offered}").format(
        path=path, listed=listed(survey.mechanisms), offered=offered
    )


def unlisted(scene: Scene) -> list[str]:
    """Return the mechanisms that are offered although smtpd.conf does not list them."""
    wanted = set(scene.survey.mechanisms)
    if not wanted:
        return []
    return [one for one in scene.submission.mechanisms if one.removesuffix("-PLUS") not in wanted]


def mech_list_comma(scene: Scene) -> str:
    value = scene.survey.configuration.get("mech_list", "")
    if "," not in value or "PLAIN" in scene.submission.mechanisms:
        return ""
    return _("mech_list: {value}; EHLO lists {offered}").format(
        value=value, offered=listed(scene.submission.mechanisms)
    )


def auth_waits_for_tls(scene: Scene) -> str:
    found = scene.submission
    if found.ehlo is None or found.mechanisms or "STARTTLS" in found.extensions:
        return ""
    if scene.survey.value("smtpd_tls_auth_only") != "yes":
        return ""
    level = scene.survey.value("smtpd_tls_security_level") or "none"
    return _(
        "smtpd_tls_auth_only = yes; smtpd_tls_security_level = {level}; EHLO lists neither "
        "STARTTLS nor AUTH"
    ).format(level=level)


def no_mechanisms(scene: Scene) -> str:
    if scene.survey.lines("plugins") or "SCRAM" in " ".join(scene.survey.mechanisms):
        return ""
    return first(
        logged(scene, "no SASL authentication mechanisms"),
        _("no libplain.so under /usr/lib or /usr/lib64"),
    )


def noplaintext(scene: Scene) -> str:
    survey = scene.survey
    options = survey.value("smtpd_sasl_security_options")
    if "noplaintext" not in options.replace(",", " ").split():
        return ""
    if not set(survey.mechanisms) <= {"PLAIN", "LOGIN"} or scene.submission.is_logged_in:
        return ""
    value = f"smtpd_sasl_security_options = {options}"
    return "\n".join(
        filter(None, [value, logged(scene, "no (applicable SASL|SASL authentication) mechanisms")])
    )


def unknown_verifier(scene: Scene) -> str:
    if scene.submission.auth is None or scene.submission.is_logged_in:
        return ""
    line = logged(scene, "unknown password verifier")
    if not line:
        return ""
    plugin = scene.survey.configuration.get("auxprop_plugin", "")
    method = f"pwcheck_method: {' '.join(scene.survey.verifiers)}"
    return "\n".join([line, f"auxprop_plugin: {plugin}" if plugin else method])


def _asks_saslauthd(scene: Scene) -> bool:
    auth = scene.submission.auth
    return (
        "saslauthd" in scene.survey.verifiers
        and "auxprop" not in scene.survey.verifiers
        and auth is not None
        and auth.code in (454, 535)
    )


def saslauthd_denied(scene: Scene) -> str:
    if not _asks_saslauthd(scene):
        return ""
    line = logged(scene, "cannot connect to saslauthd server: Permission denied")
    modes = scene.survey.lines("saslauthd")
    return "\n".join([line, *modes]) if line and modes else ""


def saslauthd_absent(scene: Scene) -> str:
    if not _asks_saslauthd(scene) or saslauthd_denied(scene):
        return ""
    return first(
        logged(scene, "cannot connect to saslauthd server"),
        _(
            "pwcheck_method: saslauthd; the daemon answers from the system's accounts, "
            "not from sasldb"
        ),
    )


def auth_not_offered(scene: Scene) -> str:
    found, survey = scene.submission, scene.survey
    if found.ehlo is None:
        return ""
    if auth_waits_for_tls(scene) or "smtpd_sasl_auth_enable" in survey.swallowed:
        return ""
    if found.mechanisms:
        plain = scene.mailrc.dialogue
        if not plain or not plain.ehlo or plain.mechanisms or plain.port != 587:
            return ""
        # The server is right for those who ask for TLS first; this mail program does not.
    service = survey.submission.key if survey.submission else "submission"
    for name, wrong in (
        ("smtpd_sasl_auth_enable", "no"),
        ("smtpd_tls_auth_only", "yes"),
    ):
        if survey.value(name) == wrong:
            return _("{service}: {name} = {value}; EHLO lists no AUTH").format(
                service=service, name=name, value=wrong
            )
    hidden = survey.value("smtpd_discard_ehlo_keywords")
    if "auth" in hidden.lower():
        return f"smtpd_discard_ehlo_keywords = {hidden}"
    return ""


INSTALL = "sudo {install} {plain_package}; {restart}"

_ASK_DAEMON = 'sed -i "s/^pwcheck_method:.*/pwcheck_method: saslauthd/" "$conf"\n'
_DAEMON_BACK = "if is_kept_active saslauthd; then systemctl restart saslauthd; fi\n"


CAUSES = (
    Cause(
        "smtpd-conf-syntax",
        N_("Port 587 connects and says nothing; the log has “error when parsing”."),
        N_("A line of smtpd.conf cannot be read: it wants “name: value”."),
        N_("Write “pwcheck_method: auxprop” and “mech_list: PLAIN” into {smtpd_conf}; {restart}"),
        OPTIONS,
        smtpd_conf_syntax,
        link=Link.GREETS,
        is_state=True,
        fault=in_smtpd_conf(
            N_("smtpd.conf with = in place of a colon"),
            'sed -i "s/^pwcheck_method:/pwcheck_method =/" "$conf"',
            RESTART,
        ),
    ),
    Cause(
        "no-mechanisms",
        N_("Port 587 connects and says nothing; the log has “no SASL authentication mechanisms”."),
        N_("The plug-in of the PLAIN mechanism is not installed."),
        INSTALL,
        f"{SASL_README}#server_cyrus",
        no_mechanisms,
        link=Link.GREETS,
        is_state=True,
        fault=Fault(
            N_("the plug-in for PLAIN is not installed"),
            Part(
                (),
                "if command -v dpkg >/dev/null; then dpkg --remove --force-depends $package\n"
                f"else rpm -e --nodeps $package; fi >/dev/null\n{RELOAD}",
                after=f"env $install $package >/dev/null\n{RESTART}",
            ),
        ),
    ),
    Cause(
        "noplaintext",
        N_("Port 587 connects and says nothing; the log has “no SASL authentication mechanisms”."),
        N_("noplaintext forbids PLAIN, and smtpd.conf lists nothing else."),
        "sudo postconf -e smtpd_sasl_security_options=noanonymous; {restart}",
        f"{POSTCONF}#smtpd_sasl_security_options",
        noplaintext,
        link=Link.GREETS,
        fault=in_main_cf(
            N_("PLAIN is forbidden, and nothing else is offered"),
            "smtpd_sasl_security_options=noanonymous, noplaintext",
            RESTART,
        ),
    ),
    Cause(
        "mech-list-comma",
        N_("EHLO lists AUTH without PLAIN, though mech_list names it."),
        N_("libsasl2 separates mechanisms by spaces: with a comma, “PLAIN,” is the name of none."),
        N_("Write “mech_list: PLAIN LOGIN”, without a comma, into {smtpd_conf}; {restart}"),
        OPTIONS,
        mech_list_comma,
        link=Link.GREETS,
        port=587,
    ),
    Cause(
        "auth-waits-for-tls",
        N_("EHLO lists no AUTH and no STARTTLS."),
        N_("A login is offered over TLS only, and TLS is switched off or has no certificate."),
        N_(
            "Give TLS a certificate (09_harden shows how): sudo postconf -e "
            "smtpd_tls_cert_file=FILE smtpd_tls_key_file=FILE smtpd_tls_security_level=may; "
            "{restart}. Or offer the login in clear: sudo postconf -e smtpd_tls_auth_only=no; "
            "{restart}"
        ),
        f"{POSTCONF}#smtpd_tls_auth_only",
        auth_waits_for_tls,
        link=Link.GREETS,
        port=587,
    ),
    Cause(
        "auth-not-offered",
        N_("EHLO lists no AUTH; a mail program says that the server knows no login."),
        N_("smtpd_sasl_auth_enable is off for this port, or a login is offered over TLS only."),
        N_("sudo postconf -e smtpd_sasl_auth_enable=yes; {restart}. With TLS: STARTTLS first."),
        f"{POSTCONF}#smtpd_sasl_auth_enable",
        auth_not_offered,
        link=Link.GREETS,
        port=587,
        fault=in_main_cf(N_("SMTP AUTH is switched off"), "smtpd_sasl_auth_enable=no"),
    ),
    Cause(
        "unknown-verifier",
        N_("535 no mechanism available; the log has “unknown password verifier(s)”."),
        N_("smtpd.conf names a verifier, or a plug-in behind auxprop, that is not there."),
        N_(
            "In {smtpd_conf} write “pwcheck_method: auxprop” and “auxprop_plugin: sasldb”; "
            "{restart}"
        ),
        OPTIONS,
        unknown_verifier,
        link=Link.LOGIN,
        fault=in_smtpd_conf(
            N_("smtpd.conf names a plug-in that is not installed"),
            'sed -i "/^auxprop_plugin:/d" "$conf"\necho "auxprop_plugin: sql" >> "$conf"',
        ),
    ),
    Cause(
        "saslauthd-denied",
        N_("454 generic failure; the log: cannot connect to saslauthd server: Permission denied."),
        N_("smtpd.conf asks saslauthd, whose socket's folder smtpd may not enter."),
        N_("Write “pwcheck_method: auxprop” into {smtpd_conf}; sudo postfix reload"),
        f"{SASL_README}#saslauthd",
        saslauthd_denied,
        link=Link.LOGIN,
        fault=Fault(
            N_("smtpd.conf asks saslauthd, whose folder smtpd may not enter"),
            Part(
                ("$conf", "/run/saslauthd"),
                f"{_ASK_DAEMON}systemctl start saslauthd\nchmod 0710 /run/saslauthd\n{RELOAD}",
                after="is_kept_active saslauthd || systemctl stop saslauthd\n" + RELOAD,
            ),
        ),
    ),
    Cause(
        "saslauthd-absent",
        N_("454 generic failure; the log: cannot connect to saslauthd server."),
        N_("smtpd.conf still asks saslauthd, which does not run or does not know the user."),
        N_("Write “pwcheck_method: auxprop” into {smtpd_conf}; sudo postfix reload"),
        f"{SASL_README}#saslauthd",
        saslauthd_absent,
        link=Link.LOGIN,
        fault=Fault(
            N_("smtpd.conf asks saslauthd, which does not run"),
            Part(
                ("$conf", "/run/saslauthd"),
                f"{_ASK_DAEMON}systemctl stop saslauthd\nrm -rf /run/saslauthd\n{RELOAD}",
                after=_DAEMON_BACK + RELOAD,
            ),
        ),
    ),
    Cause(
        "smtpd-conf-ignored",
        N_("EHLO lists mechanisms that smtpd.conf does not name: SCRAM, NTLM …"),
        N_("smtpd.conf lies in a folder that this system ignores, or smtpd has not reread it."),
        N_("Put it at {smtpd_conf}; sudo postfix reload"),
        f"{SASL_README}#server_cyrus_location",
        smtpd_conf_ignored,
        link=Link.GREETS,
        is_state=True,
        port=587,
        fault=Fault(
            N_("smtpd.conf in a folder that nobody reads"),
            Part(
                ("$ignored", "$conf"),
                f'install -d "$ignored"\nmv "$conf" "$ignored/"\n{RELOAD}',
                after=RELOAD,
            ),
        ),
    ),
)
