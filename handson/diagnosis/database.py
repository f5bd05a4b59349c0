"""Causes in the password database: not there, not readable, not the right user or password."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.diagnosis.cause import (
    RESTART,
    SASL_README,
    Cause,
    Link,
    first,
    lately,
    listed,
    on_client,
    on_server,
)
from handson.diagnosis.fault import LOGIN, Fault, Part, in_mailrc
from handson.diagnosis.services import chrooted_smtpd
from handson.i18n import N_, _

if TYPE_CHECKING:
    from handson.mail.observation import Observation
    from handson.mail.smtp import Reply

README = f"{SASL_README}#auxprop_sasldb"
SET = "sudo saslpasswd2 -c -f {database} -u {domain} {user}"
# GDBM's word for a file that it could not open: it may not be there, or not be readable.
NOT_OPENED = r"Could not open .*gdbm_errno=3\b"
ALLOW = ("sudo chown root:postfix {database}", "sudo chmod 0640 {database}")


def sasldb_missing(observed: Observation) -> str:
    survey = observed.survey
    if "auxprop" not in survey.verifiers or survey.configuration_error or survey.database_mode:
        return ""
    line = lately(observed, f"opening password file|sasldb.*No such file|{NOT_OPENED}")
    return f"{_('{path} is not there').format(path=survey.database)}\n{line}".strip()


def sasldb_corrupt(observed: Observation) -> str:
    survey = observed.survey
    if "auxprop" not in survey.verifiers or not survey.database_mode:
        return ""
    # What file the database is in depends on how the library was built, not on the file.
    if survey.database_format == observed.server.system.sasldb_format:
        return ""
    return first(
        lately(observed, r"unable to open Berkeley db .*: Invalid argument"),
        _("{path} is no database of {format}").format(
            path=survey.database, format=observed.server.system.sasldb_format
        ),
    )


def sasldb_permission(observed: Observation) -> str:
    survey = observed.survey
    if "auxprop" not in survey.verifiers or not survey.database_mode:
        return ""
    if survey.can_read_database:
        return ""
    denied = "(unable to open Berkeley db|Could not open) .*Permission denied"
    line = lately(observed, f"{denied}|{NOT_OPENED}")
    return f"{survey.database} {survey.database_mode}\n{line}".strip()


def sasldb_not_fetched(observed: Observation) -> str:
    """Look for a lookup that failed, though the file itself is as it should be."""
    auth = observed.submission.auth
    if auth is None or auth.code != 454 or sasldb_permission(observed) or sasldb_corrupt(observed):
        return ""
    line = lately(observed, r"Couldn't fetch entry .*gdbm_errno=0\b")
    return f"{auth}\n{line}" if line else ""


def wrong_password(observed: Observation) -> str:
    """Name which of three it is: no such user, no such realm, or another password."""
    auth = observed.submission.auth
    if not _is_wrong(observed, auth):
        return ""
    return f"{auth}\n{_which(observed, observed.settings.login)}"


def mailrc_login(observed: Observation) -> str:
    """Look whether only the mail program's own login is refused."""
    found = observed.mailrc
    answer = found.dialogue.auth if found.dialogue else None
    if not observed.submission.is_logged_in or not found.user or not _is_wrong(observed, answer):
        return ""
    if found.port == 25:
        return ""  # another smtpd looked: in a chroot, perhaps
    return f"{found.source}: {found.user}: {answer}\n{_which(observed, found.user)}"


def _is_wrong(observed: Observation, answer: Reply | None) -> bool:
    """Return whether sasldb was read, and what it holds is not what was sent."""
    if answer is None or answer.code != 535 or "authentication failure" not in answer.text:
        return False
    looks = (sasldb_missing, sasldb_corrupt, sasldb_permission, chrooted_smtpd)
    return "auxprop" in observed.survey.verifiers and not any(look(observed) for look in looks)


def _full(observed: Observation, name: str) -> str:
    """Return the name as it is looked up in sasldb: a bare one gets a realm.

    SASL_README: smtpd_sasl_local_domain, and without it the server's own name.
    """
    realm = observed.survey.value("smtpd_sasl_local_domain") or observed.survey.value("myhostname")
    return name if "@" in name else f"{name}@{realm}"


def _which(observed: Observation, name: str) -> str:
    users, full, path = observed.survey.users, _full(observed, name), observed.survey.database
    user, _at, realm = full.rpartition("@")
    known = listed(users)
    if full in users:
        return _("{path} holds {name}: the password is another one").format(path=path, name=full)
    if full != name:
        return _("“{name}” is looked up as {full}; {path} holds {known}").format(
            name=name, full=full, path=path, known=known
        )
    if any(one.startswith(f"{user}@") for one in users):
        return _("no realm {realm} for {user}; {path} holds {known}").format(
            realm=realm, user=user, path=path, known=known
        )
    return _("no user {name}; {path} holds {known}").format(name=name, path=path, known=known)


def set_login(observed: Observation) -> str:
    """Return what to do, with the realm that is looked up and those that there are."""
    login, users = observed.settings.login, observed.survey.users
    if login in users:
        return _("Set the password of {name} again; saslpasswd2 asks for it:").format(name=login)
    text = _(
        "Create {user} in the realm that is looked up, {realm}; saslpasswd2 asks for the password"
    )
    text = text.format(user=observed.settings.user, realm=observed.settings.domain)
    others = [one for one in users if one.startswith(f"{observed.settings.user}@")]
    if others:
        text += _(" (or log in as {names})").format(names=listed(others))
    return f"{text}:"


def _can_write_name(observed: Observation) -> bool:
    """Return whether the mail program has only to use the name that the course logs in with."""
    found = observed.mailrc
    return found.user != observed.settings.login and not found.is_v15 and found.source != "~/.netrc"


def correct_mailrc(observed: Observation) -> str:
    """Return what to do about a login that only the mail program has wrong."""
    login = observed.settings.login
    if _can_write_name(observed):
        return _("Have the mail program log in with the name that the server takes:")
    return _("Write the name {name} and its password into {file} on the client.").format(
        name=login, file=observed.mailrc.source
    )


def write_name(observed: Observation) -> list[str]:
    """Return the command that has the mail program use the right name."""
    setting = shlex.quote(f"set smtp-auth-user={observed.settings.login}")
    return on_client(f"echo {setting} >> ~/.mailrc") if _can_write_name(observed) else []


CAUSES = (
    Cause(
        "sasldb-missing",
        N_("535, or the log says that sasldb could not be opened."),
        N_("There is no password database at the path that smtpd opens on this system."),
        N_("Create the user; saslpasswd2 asks for the password:"),
        README,
        sasldb_missing,
        link=Link.LOGIN,
        commands=on_server(SET, *ALLOW),
        fault=Fault(
            N_("sasldb is not where smtpd looks for it"),
            Part(("$database", "$database.moved"), 'mv "$database" "$database.moved"\n'),
        ),
    ),
    Cause(
        "sasldb-corrupt",
        N_("454 generic failure; the log: unable to open … sasldb2: Invalid argument."),
        N_("The file is not a database in the format that this system's library reads."),
        N_("Create the database anew; saslpasswd2 asks for the password:"),
        README,
        sasldb_corrupt,
        link=Link.LOGIN,
        commands=on_server("sudo mv {database} {database}.bad", SET, *ALLOW),
        fault=Fault(
            N_("sasldb is no database"),
            Part(("$database",), 'echo "this is no database" > "$database"\n'),
        ),
    ),
    Cause(
        "sasldb-permission",
        N_("454 generic failure; the log: sasldb2: Permission denied, or gdbm_errno=3."),
        N_("smtpd runs as postfix, and owner, group and mode do not let it read sasldb."),
        "",
        README,
        sasldb_permission,
        link=Link.LOGIN,
        commands=on_server(*ALLOW),
        fault=Fault(
            N_("smtpd cannot read sasldb"),
            Part(("$database",), 'chown root:root "$database"\nchmod 0600 "$database"\n'),
        ),
    ),
    Cause(
        "sasldb-not-fetched",
        N_("454 generic failure; the log: Couldn't fetch entry from … sasldb2: gdbm_errno=0."),
        N_(
            "libsasl2 opened sasldb and could not look up an entry, for which GDBM gave no error. "
            "Cyrus SASL 2.1.27, built with GDBM, was seen to answer the right login so; 2.1.28 "
            "takes it."
        ),
        N_(
            "Install the newest packages of this system. Where their version stays 2.1.27, another "
            "host has to be the server: with this library no login from sasldb succeeds."
        ),
        README,
        sasldb_not_fetched,
        link=Link.LOGIN,
        commands=on_server("sudo {install} {sasl_packages}", RESTART),
        arises=lambda system: system.sasldb_format == "GDBM",
    ),
    Cause(
        "wrong-password",
        N_("535 authentication failure; the log: Password verification failed."),
        N_("The password or the realm is another one than in sasldb, or there is no such user."),
        set_login,
        README,
        wrong_password,
        link=Link.LOGIN,
        commands=on_server(SET),
        fault=Fault(
            N_("the password in sasldb is another one"),
            Part(
                ("$database",),
                # saslpasswd2 reads the password up to the end of its input, a line end included.
                "head -c 18 /dev/urandom | base64 | tr -d '\\n' | "
                'saslpasswd2 -p -f "$database" -u "$domain" "$user"\n',
            ),
        ),
    ),
    Cause(
        "mailrc-login",
        N_("535 authentication failure, for the mail program only."),
        N_("The name or the password in the mail program's settings is not one that sasldb holds."),
        correct_mailrc,
        README,
        mailrc_login,
        link=Link.MAIL_PROGRAM,
        commands=write_name,
        fault=in_mailrc(
            N_("the mail program logs in with a name that has no realm"),
            LOGIN.replace("{login}", "{user}"),
        ),
    ),
)
