"""The faults on the server: Postfix's files, SASL's files, and who may read them."""

from __future__ import annotations

from handson.diagnosis.fault import AGED, DEBIAN, EDITS_MASTER, RELOAD, RESTART, Fault, Part
from handson.i18n import _

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"

# What the submission service sets for itself would hide a fault in main.cf.
_DROP = 'drop() { postconf -PX "$service/$1" 2>/dev/null || true; }\n'
_OWN = (
    'drop smtpd_client_restrictions\nline="-o smtpd_client_restrictions=permit_sasl_authenticated'
)


def _main(id: str, title: str, setting: str, after: str = RELOAD, drop: str = "") -> Fault:
    """Return the fault of a wrong value in main.cf."""
    name = setting.partition("=")[0]
    script = f"{_DROP}drop {name}\n" + (f"drop {drop}\n" if drop else "")
    script += f"postconf -e '{setting}'\n{AGED}{after}"
    return Fault(id, title, Part((MAIN, MASTER), script, after=after), systems=EDITS_MASTER)


def _conf(id: str, title: str, edit: str, after: str = RELOAD, more: str = "") -> Fault:
    """Return the fault of a wrong line in smtpd.conf."""
    part = Part(("$conf",), f"{more}{edit}\n{RELOAD}", after=after)
    return Fault(id, title, part)


def _line(id: str, title: str, edit: str, after: str = RELOAD) -> Fault:
    """Return the fault of a wrong line in master.cf."""
    part = Part((MASTER,), f"{_DROP}{edit}\n{AGED}{after}", after=RESTART)
    return Fault(id, title, part, systems=EDITS_MASTER)


_ASK_DAEMON = 'sed -i "s/^pwcheck_method:.*/pwcheck_method: saslauthd/" "$conf"\n'
_DAEMON_BACK = "if is_kept_active saslauthd; then systemctl restart saslauthd; fi\n"

SERVER_FAULTS = (
    # --- the services ---
    _line(
        "submission-off",
        _("the line of the submission service is a remark"),
        'sed -i -E "s/^($name[[:space:]]+(inet|pass)[[:space:]])/#\\1/" /etc/postfix/master.cf',
    ),
    _line(
        "space-in-option",
        _("a blank after the comma in an -o line"),
        f'{_OWN}, reject"\n'
        'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a\\  $line" /etc/postfix/master.cf',
    ),
    _line(
        "option-in-column-1",
        _("an -o line that is not indented"),
        f'{_OWN},reject"\n'
        'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a $line" /etc/postfix/master.cf',
        RESTART,
    ),
    Fault(
        "chrooted-smtpd",
        _("the submission service runs in a chroot"),
        Part((MASTER,), f'postconf -F "$service/chroot=y"\n{AGED}{RELOAD}', after=RELOAD),
        systems=DEBIAN,
    ),
    _main(
        "loopback-only",
        _("Postfix listens on loopback only"),
        "inet_interfaces=loopback-only",
        RESTART,
    ),
    _main(
        "inet-interface-unknown",
        _("inet_interfaces names an address that the host does not have"),
        # An address reserved for documentation (RFC 5737), as a public one would be.
        "inet_interfaces=192.0.2.25",
        RESTART,
    ),
    _main(
        "map-type",
        _("main.cf names a type of table that Postfix does not know"),
        "virtual_alias_maps=sdbm:/etc/postfix/virtual",
    ),
    # --- what decides ---
    _main(
        "relay-denied-authenticated",
        _("the list for recipients does not know logins"),
        "smtpd_recipient_restrictions=permit_mynetworks, reject_unauth_destination",
        drop="smtpd_relay_restrictions",
    ),
    _main("auth-not-offered", _("SMTP AUTH is switched off"), "smtpd_sasl_auth_enable=no"),
    _main(
        "noplaintext",
        _("PLAIN is forbidden, and nothing else is offered"),
        "smtpd_sasl_security_options=noanonymous, noplaintext",
        RESTART,
    ),
    # --- smtpd.conf ---
    _conf(
        "smtpd-conf-syntax",
        _("smtpd.conf with = in place of a colon"),
        'sed -i "s/^pwcheck_method:/pwcheck_method =/" "$conf"',
        RESTART,
    ),
    Fault(
        "smtpd-conf-ignored",
        _("smtpd.conf in a folder that nobody reads"),
        Part(
            ("$ignored", "$conf"),
            f'install -d "$ignored"\nmv "$conf" "$ignored/"\n{RELOAD}',
            after=RELOAD,
        ),
    ),
    _conf(
        "unknown-verifier",
        _("smtpd.conf names a plug-in that is not installed"),
        'sed -i "/^auxprop_plugin:/d" "$conf"\necho "auxprop_plugin: sql" >> "$conf"',
    ),
    Fault(
        "saslauthd-absent",
        _("smtpd.conf asks saslauthd, which does not run"),
        Part(
            ("$conf", "/run/saslauthd"),
            f"{_ASK_DAEMON}systemctl stop saslauthd\nrm -rf /run/saslauthd\n{RELOAD}",
            after=_DAEMON_BACK + RELOAD,
        ),
    ),
    Fault(
        "saslauthd-denied",
        _("smtpd.conf asks saslauthd, whose folder smtpd may not enter"),
        Part(
            ("$conf", "/run/saslauthd"),
            f"{_ASK_DAEMON}systemctl start saslauthd\nchmod 0710 /run/saslauthd\n{RELOAD}",
            after="is_kept_active saslauthd || systemctl stop saslauthd\n" + RELOAD,
        ),
    ),
    # --- what is installed, and the database ---
    Fault(
        "no-mechanisms",
        _("the plug-in for PLAIN is not installed"),
        Part(
            (),
            "if command -v dpkg >/dev/null; then dpkg --remove --force-depends $package\n"
            f"else rpm -e --nodeps $package; fi >/dev/null\n{RELOAD}",
            after=f"env $install $package >/dev/null\n{RESTART}",
        ),
    ),
    Fault(
        "sasldb-permission",
        _("smtpd cannot read sasldb"),
        Part(("$database",), 'chown root:root "$database"\nchmod 0600 "$database"\n'),
    ),
    Fault(
        "sasldb-missing",
        _("sasldb is not where smtpd looks for it"),
        Part(("$database", "$database.moved"), 'mv "$database" "$database.moved"\n'),
    ),
    Fault(
        "sasldb-corrupt",
        _("sasldb is no database"),
        Part(("$database",), 'echo "this is no database" > "$database"\n'),
    ),
    Fault(
        "wrong-password",
        _("the password in sasldb is another one"),
        Part(
            ("$database",),
            # saslpasswd2 reads the password up to the end of its input, a line end included.
            "head -c 18 /dev/urandom | base64 | tr -d '\\n' | "
            'saslpasswd2 -p -f "$database" -u "$domain" "$user"\n',
        ),
    ),
    # --- the log ---
    Fault(
        "no-maillog",
        _("nothing writes the mail log to a file"),
        Part(
            ("/var/log/mail.log",),
            "systemctl stop syslog.socket rsyslog 2>/dev/null || true\nrm -f /var/log/mail.log\n",
            after="systemctl start rsyslog\n",
        ),
        systems=DEBIAN,
    ),
)
