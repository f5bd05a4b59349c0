"""Is Cyrus SASL there with its PLAIN plug-in, and does smtpd.conf say how it checks?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.hosts.restore import put_back, remove_new
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.view import View

RULES = Rules("configuration")
OPTIONS = "https://www.cyrusimap.org/sasl/sasl/options.html"


class SaslInstall(Step):
    """Install Cyrus SASL on the server and tell it how Postfix checks a password."""

    slug = "02_sasl_install"
    title = _("Install SASL")
    purpose = _("Install Cyrus SASL on the server and tell it how Postfix checks a password.")
    rules = RULES
    installs = ("server",)

    def undo(self) -> list[View]:
        """Put smtpd.conf back, and remove the packages that were not there at the start."""
        server = self.hosts.server
        shown = [
            *put_back(server, server.system.smtpd_conf, mark="^pwcheck_method:.*auxprop"),
            *remove_new(server, server.system.sasl_packages),
        ]
        # Debian's package leaves its rule for sasldb's mode behind; installed once more, it would
        # take the rule for applied already.
        left = "! command -v saslpasswd2 && dpkg-statoverride --list {sasldb}"
        if server.probe(left)[0] == 0:
            shown.append(server.run("sudo dpkg-statoverride --remove {sasldb}"))
        return shown


@RULES.now(
    "plain-plugin",
    _("The plug-in for the PLAIN mechanism is installed on the server."),
    "https://www.postfix.org/SASL_README.html#server_cyrus",
    ("no-mechanisms",),
)
def plain_plugin(observed: Observation) -> Finding:
    found = observed.server.probe("find /usr/lib /usr/lib64 -name 'libplain.so*' 2>/dev/null")[1]
    files = found.split()
    if files:
        return good(files[0])
    return bad(
        _("no libplain.so under /usr/lib"),
        _("The package that carries PLAIN is missing; it is often only recommended."),
        observed.server.fill("sudo {install} {sasl_packages}"),
    )


@RULES.now(
    "saslpasswd2-there",
    _("The program that keeps the password database is installed."),
    "https://www.cyrusimap.org/sasl/sasl/reference/manpages/saslpasswd2.html",
)
def saslpasswd2_there(observed: Observation) -> Finding:
    try:
        return good(observed.server.facts.find_command("saslpasswd2"))
    except ValueError:
        return bad(
            _("saslpasswd2 is not found"),
            _("The SASL package is not installed."),
            observed.server.fill("sudo {install} {sasl_packages}"),
        )


@RULES.now(
    "password-check-auxprop",
    _("Passwords are looked up in a database of SASL's own (auxprop)."),
    OPTIONS,
    ("smtpd-conf-syntax", "smtpd-conf-ignored", "saslauthd-denied", "saslauthd-absent"),
)
def password_check_auxprop(observed: Observation) -> Finding:
    found = observed.configuration
    value = found.get("pwcheck_method", "")
    if "auxprop" in value.split():
        return good(f"pwcheck_method: {value}")
    if found and not value:
        return good(_("no pwcheck_method: by default it is auxprop"))
    path = observed.server.system.smtpd_conf
    return bad(
        f"{path}: pwcheck_method: {value or '–'}",
        _("The file asks another program.") if value else _("The file is empty, or not there."),
        _("Write “pwcheck_method: auxprop” into {path}, with no // comment after it.").format(
            path=path
        ),
    )


@RULES.now(
    "plain-offered",
    _("smtpd.conf lists PLAIN among the mechanisms to offer."),
    OPTIONS,
    ("smtpd-conf-syntax", "smtpd-conf-ignored"),
)
def plain_offered(observed: Observation) -> Finding:
    value = observed.configuration.get("mech_list", "")
    if "PLAIN" in value.upper().split():
        return good(f"mech_list: {value}")
    return bad(
        f"mech_list: {value or '–'}",
        _("PLAIN is not in mech_list. Without a mech_list, all installed mechanisms are offered."),
        _("Write “mech_list: PLAIN” into {path}.").format(path=observed.server.system.smtpd_conf),
    )
