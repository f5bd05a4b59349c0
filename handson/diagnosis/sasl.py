"""Causes in smtpd.conf and in what is installed: who checks a password, and by what mechanism."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.cloud.security_groups import covers
from handson.diagnosis.cause import (
    OPTIONS,
    POSTCONF,
    RELOAD,
    RESTART,
    SASL_README,
    Cause,
    Link,
    first,
    listed,
    logged,
    on_client,
    on_server,
    to_set,
    words_of,
)
from handson.diagnosis.fault import (
    RELOAD_SH,
    RESTART_SH,
    Fault,
    Part,
    in_main_cf,
    in_smtpd_conf,
)
from handson.diagnosis.tls import has_certificate
from handson.hosts.host import fill
from handson.i18n import N_, _

if TYPE_CHECKING:
    from handson.mail.observation import Observation


def smtpd_conf_syntax(observed: Observation) -> str:
    error = observed.survey.configuration_error
    if not error:
        return ""
    line = logged(observed, "error when parsing configuration file")
    return f"{error}\n{line}".strip()


def smtpd_conf_ignored(observed: Observation) -> str:
    survey, path = observed.survey, observed.server.system.smtpd_conf
    if name := _looks_elsewhere(observed):
        return f"{name} = {survey.value(name)}"
    elsewhere = [place for place in survey.places if place != path]
    offered = listed(observed.submission.mechanisms)
    if elsewhere and path not in survey.places:
        return _("{other} is there, {path} is not; EHLO lists {offered}").format(
            other=listed(elsewhere), path=path, offered=offered
        )
    extra = unlisted(observed)
    if not extra:
        return ""
    if survey.has_old_smtpd:
        return _("{path} was changed after smtpd had started; EHLO lists {offered}").format(
            path=path, offered=offered
        )
    return _("{path} lists {listed}; EHLO lists {offered}").format(
        path=path, listed=listed(survey.mechanisms), offered=offered
    )


def _looks_elsewhere(observed: Observation) -> str:
    """Return the parameter that has libsasl2 read another file than the system's, or ''."""
    survey = observed.survey
    if survey.value("smtpd_sasl_type") not in ("", "cyrus") or not unlisted(observed):
        return ""
    if survey.value("smtpd_sasl_path") not in ("", "smtpd"):
        return "smtpd_sasl_path"
    folder = survey.value("cyrus_sasl_config_path")
    at_home = observed.server.system.smtpd_conf.rpartition("/")[0]
    return "cyrus_sasl_config_path" if folder and at_home not in folder.split(":") else ""


def put_in_place(observed: Observation) -> list[str]:
    """Return the commands that have smtpd read the settings at the path of this system."""
    survey, path = observed.survey, observed.server.system.smtpd_conf
    if name := _looks_elsewhere(observed):
        if name == "smtpd_sasl_path":
            return to_set(observed, name, "smtpd")
        return on_server(f"sudo postconf -X {name}", RELOAD)
    elsewhere = [place for place in survey.places if place != path]
    if path in survey.places or not elsewhere:
        return on_server(RESTART)
    return on_server(f"sudo install -D -m 0644 {elsewhere[0]} {path}", RELOAD)


def unlisted(observed: Observation) -> list[str]:
    """Return the mechanisms that are offered although smtpd.conf does not list them."""
    wanted = set(observed.survey.mechanisms)
    if not wanted:
        return []
    return [
        one for one in observed.submission.mechanisms if one.removesuffix("-PLUS") not in wanted
    ]


def mech_list_comma(observed: Observation) -> str:
    value = observed.survey.configuration.get("mech_list", "")
    if "," not in value or "PLAIN" in observed.submission.mechanisms:
        return ""
    return _("mech_list: {value}; EHLO lists {offered}").format(
        value=value, offered=listed(observed.submission.mechanisms)
    )


def auth_waits_for_tls(observed: Observation) -> str:
    found = observed.submission
    if found.ehlo is None or found.mechanisms:
        return ""
    if observed.survey.value("smtpd_tls_auth_only") != "yes":
        return ""
    if "STARTTLS" in found.extensions and has_certificate(observed):
        return ""
    names = ("smtpd_tls_auth_only", "smtpd_tls_security_level", "smtpd_tls_cert_file")
    values = "; ".join(f"{name} = {observed.survey.value(name)}".rstrip() for name in names)
    return _("{values}; EHLO lists no AUTH").format(values=values)


def no_mechanisms(observed: Observation) -> str:
    if observed.survey.lines("plugins") or "SCRAM" in " ".join(observed.survey.mechanisms):
        return ""
    return first(
        logged(observed, "no SASL authentication mechanisms"),
        _("no libplain.so under /usr/lib or /usr/lib64"),
    )


def noplaintext(observed: Observation) -> str:
    survey = observed.survey
    options = survey.value("smtpd_sasl_security_options")
    if "noplaintext" not in options.replace(",", " ").split():
        return ""
    if observed.submission.is_logged_in or "PLAIN" in observed.submission.mechanisms:
        return ""
    if survey.mechanisms and "PLAIN" not in survey.mechanisms:
        return ""
    if observed.submission.banner is None and not set(survey.mechanisms) <= {"PLAIN", "LOGIN"}:
        return ""  # something would be left to offer, so this is not why smtpd ends
    value = f"smtpd_sasl_security_options = {options}"
    return "\n".join(
        filter(
            None, [value, logged(observed, "no (applicable SASL|SASL authentication) mechanisms")]
        )
    )


def unknown_verifier(observed: Observation) -> str:
    if observed.submission.auth is None or observed.submission.is_logged_in:
        return ""
    line = logged(observed, "unknown password verifier")
    if not line:
        return ""
    plugin = observed.survey.configuration.get("auxprop_plugin", "")
    method = f"pwcheck_method: {' '.join(observed.survey.verifiers)}"
    return "\n".join([line, f"auxprop_plugin: {plugin}" if plugin else method])


def _asks_saslauthd(observed: Observation) -> bool:
    auth = observed.submission.auth
    return (
        "saslauthd" in observed.survey.verifiers
        and "auxprop" not in observed.survey.verifiers
        and auth is not None
        and auth.code in (454, 535)
    )


def saslauthd_denied(observed: Observation) -> str:
    if not _asks_saslauthd(observed):
        return ""
    line = logged(observed, "cannot connect to saslauthd server: Permission denied")
    modes = observed.survey.lines("saslauthd")
    return "\n".join([line, *modes]) if line and modes else ""


def saslauthd_absent(observed: Observation) -> str:
    if not _asks_saslauthd(observed) or saslauthd_denied(observed):
        return ""
    return first(
        logged(observed, "cannot connect to saslauthd server"),
        _(
            "pwcheck_method: saslauthd; the daemon answers from what its MECHANISMS names, "
            "and did not accept this login"
        ),
    )


def auth_not_offered(observed: Observation) -> str:
    name = _hides_auth(observed)
    if not name:
        return ""
    service = observed.survey.submission
    return _("{service}: {name} = {value}; EHLO lists no AUTH").format(
        service=service.key if service else "submission",
        name=name,
        value=observed.survey.value(name),
    )


def _hides_auth(observed: Observation) -> str:
    """Return the parameter that keeps AUTH out of the answer to EHLO, or ''."""
    found, survey = observed.submission, observed.survey
    if found.ehlo is None:
        return ""
    if auth_waits_for_tls(observed) or "smtpd_sasl_auth_enable" in survey.swallowed:
        return ""
    if found.mechanisms:
        plain = observed.mailrc.dialogue
        if not plain or not plain.ehlo or plain.mechanisms or plain.port != 587:
            return ""
        # The server is right for those who ask for TLS first; this mail program does not.
    if survey.value("smtpd_sasl_auth_enable") == "no":
        return "smtpd_sasl_auth_enable"
    if survey.value("smtpd_tls_auth_only") == "yes":
        return "smtpd_tls_auth_only"
    if "auth" in words_of(survey.value("smtpd_discard_ehlo_keywords").lower()):
        return "smtpd_discard_ehlo_keywords"
    excepted = words_of(survey.value("smtpd_sasl_exceptions_networks"))
    if any(covers(network, observed.settings.client_ip) for network in excepted):
        return "smtpd_sasl_exceptions_networks"
    return ""


def offer_auth(observed: Observation) -> list[str]:
    """Return the commands that have AUTH listed, or have the mail program ask for TLS first."""
    name = _hides_auth(observed)
    if name == "smtpd_tls_auth_only":
        return on_client("echo 'set smtp-use-starttls' >> ~/.mailrc")
    if name == "smtpd_discard_ehlo_keywords":
        words = words_of(observed.survey.value(name))
        return to_set(observed, name, ",".join(one for one in words if one.lower() != "auth"))
    if name == "smtpd_sasl_exceptions_networks":
        return to_set(observed, name, "")
    return to_set(observed, "smtpd_sasl_auth_enable", "yes", RESTART)


def ask_sasldb(observed: Observation) -> list[str]:
    """Return the commands that have sasldb asked, where smtpd can reach it."""
    survey, commands = observed.survey, [fill(ASK_SASLDB, observed.server.words)]
    if survey.submission and survey.is_chrooted and survey.sections.get("caged") != "yes":
        field = shlex.quote(f"{survey.submission.key}/chroot=n")
        commands.append(f"sudo postconf -F {field}")
    return on_server(*commands, RESTART)


ASK_SASLDB = "sudo sed -i 's/^pwcheck_method:.*/pwcheck_method: auxprop/' {smtpd_conf}"

_ASK_DAEMON = 'sed -i "s/^pwcheck_method:.*/pwcheck_method: saslauthd/" "$conf"\n'
_DAEMON_BACK = "if is_kept_active saslauthd; then systemctl restart saslauthd; fi\n"


CAUSES = (
    Cause(
        "smtpd-conf-syntax",
        N_("Port 587 connects and says nothing; the log has “error when parsing”."),
        N_("A line of smtpd.conf cannot be read: it has to be “name: value”."),
        N_("Write the settings of the course anew:"),
        OPTIONS,
        smtpd_conf_syntax,
        commands=on_server(
            "printf 'pwcheck_method: auxprop\\nmech_list: PLAIN\\n' | sudo tee {smtpd_conf}",
            RESTART,
        ),
        link=Link.GREETS,
        is_state=True,
        fault=in_smtpd_conf(
            N_("smtpd.conf with = in place of a colon"),
            'sed -i "s/^pwcheck_method:/pwcheck_method =/" "$conf"',
            RESTART_SH,
        ),
    ),
    Cause(
        "no-mechanisms",
        N_("Port 587 connects and says nothing; the log has “no SASL authentication mechanisms”."),
        N_("The plug-in of the PLAIN mechanism is not installed."),
        "",
        f"{SASL_README}#server_cyrus",
        no_mechanisms,
        commands=on_server("sudo {install} {plain_package}", RESTART),
        link=Link.GREETS,
        is_state=True,
        fault=Fault(
            N_("the plug-in for PLAIN is not installed"),
            Part(
                (),
                "if command -v dpkg >/dev/null; then dpkg --remove --force-depends $package\n"
                f"else rpm -e --nodeps $package; fi >/dev/null\n{RELOAD_SH}",
                after=f"env $install $package >/dev/null\n{RESTART_SH}",
            ),
        ),
    ),
    Cause(
        "noplaintext",
        N_("Port 587 connects and says nothing, or EHLO lists AUTH without PLAIN."),
        N_("noplaintext forbids PLAIN; where smtpd.conf lists nothing else, smtpd ends."),
        "",
        f"{POSTCONF}#smtpd_sasl_security_options",
        noplaintext,
        commands=lambda observed: to_set(
            observed, "smtpd_sasl_security_options", "noanonymous", RESTART
        ),
        link=Link.GREETS,
        fault=in_main_cf(
            N_("PLAIN is forbidden, and nothing else is offered"),
            "smtpd_sasl_security_options=noanonymous, noplaintext",
            RESTART_SH,
        ),
    ),
    Cause(
        "mech-list-comma",
        N_("EHLO lists AUTH without PLAIN, though mech_list names it."),
        N_("libsasl2 separates mechanisms by spaces: with a comma, “PLAIN,” is the name of none."),
        N_("Write the list without a comma:"),
        OPTIONS,
        mech_list_comma,
        commands=on_server("sudo sed -i '/^mech_list:/s/,/ /g' {smtpd_conf}", RESTART),
        link=Link.GREETS,
        port=587,
    ),
    Cause(
        "auth-waits-for-tls",
        N_("EHLO lists no AUTH, and STARTTLS is not listed or is answered with 454."),
        N_("A login is offered over TLS only, and TLS is switched off or has no certificate."),
        N_("Offer the login in clear; or switch TLS on with a certificate, as 09_harden does."),
        f"{POSTCONF}#smtpd_tls_auth_only",
        auth_waits_for_tls,
        commands=lambda observed: to_set(observed, "smtpd_tls_auth_only", "no", RESTART),
        link=Link.GREETS,
        port=587,
    ),
    Cause(
        "auth-not-offered",
        N_("EHLO lists no AUTH; a mail program says that the server knows no login."),
        N_("A parameter keeps AUTH out of the answer to EHLO on this port."),
        "",
        f"{POSTCONF}#smtpd_sasl_auth_enable",
        auth_not_offered,
        commands=offer_auth,
        link=Link.GREETS,
        port=587,
        fault=in_main_cf(N_("SMTP AUTH is switched off"), "smtpd_sasl_auth_enable=no"),
    ),
    Cause(
        "unknown-verifier",
        N_("535 no mechanism available; the log has “unknown password verifier(s)”."),
        N_("smtpd.conf names a verifier, or a plug-in behind auxprop, that is not there."),
        N_("Have sasldb asked:"),
        OPTIONS,
        unknown_verifier,
        commands=on_server(
            ASK_SASLDB,
            "sudo sed -i 's/^auxprop_plugin:.*/auxprop_plugin: sasldb/' {smtpd_conf}",
            RESTART,
        ),
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
        N_("Have sasldb asked:"),
        f"{SASL_README}#saslauthd",
        saslauthd_denied,
        commands=on_server(ASK_SASLDB, RELOAD),
        link=Link.LOGIN,
        fault=Fault(
            N_("smtpd.conf asks saslauthd, whose folder smtpd may not enter"),
            Part(
                ("$conf", "/run/saslauthd"),
                f"{_ASK_DAEMON}systemctl start saslauthd\nchmod 0710 /run/saslauthd\n{RELOAD_SH}",
                after="is_kept_active saslauthd || systemctl stop saslauthd\n" + RELOAD_SH,
            ),
        ),
    ),
    Cause(
        "saslauthd-absent",
        N_("454 generic failure; the log: cannot connect to saslauthd server."),
        N_(
            "smtpd.conf asks saslauthd. It does not run where smtpd looks for it, or it does not "
            "accept this login."
        ),
        N_("Have sasldb asked:"),
        f"{SASL_README}#saslauthd",
        saslauthd_absent,
        commands=ask_sasldb,
        link=Link.LOGIN,
        fault=Fault(
            N_("smtpd.conf asks saslauthd, which does not run"),
            Part(
                ("$conf", "/run/saslauthd"),
                f"{_ASK_DAEMON}systemctl stop saslauthd\nrm -rf /run/saslauthd\n{RELOAD_SH}",
                after=_DAEMON_BACK + RELOAD_SH,
            ),
        ),
    ),
    Cause(
        "smtpd-conf-ignored",
        N_("EHLO lists mechanisms that smtpd.conf does not name: SCRAM, NTLM …"),
        N_("smtpd reads another smtpd.conf than this system's, none, or has not read it again."),
        N_("Have smtpd read {smtpd_conf}:"),
        f"{SASL_README}#server_cyrus_location",
        smtpd_conf_ignored,
        commands=put_in_place,
        link=Link.GREETS,
        is_state=True,
        port=587,
        fault=Fault(
            N_("smtpd.conf in a folder that nobody reads"),
            Part(
                ("$ignored", "$conf"),
                f'install -d "$ignored"\nmv "$conf" "$ignored/"\n{RELOAD_SH}',
                after=RELOAD_SH,
            ),
        ),
    ),
)
