"""Causes in the password database: not there, not readable, not the right user or password."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from handson.diagnosis.cause import (
    SASL_README,
    Cause,
    Link,
    first,
    lately,
    listed,
    on_client,
    on_server,
)
from handson.diagnosis.fault import Fault, Part
from handson.diagnosis.services import chrooted_smtpd
from handson.i18n import N_, _

if TYPE_CHECKING:
    from handson.mail.observation import Scene

README = f"{SASL_README}#auxprop_sasldb"
SET = "sudo saslpasswd2 -c -f {database} -u {domain} {user}"
ALLOW = ("sudo chown root:postfix {database}", "sudo chmod 0640 {database}")


def sasldb_missing(scene: Scene) -> str:
    survey = scene.survey
    if "auxprop" not in survey.verifiers or survey.configuration_error or survey.database_mode:
        return ""
    return first(
        lately(scene, "opening password file|sasldb.*No such file"),
        _("{path} is not there").format(path=survey.database),
    )


def sasldb_corrupt(scene: Scene) -> str:
    survey = scene.survey
    if "auxprop" not in survey.verifiers or not survey.database_mode:
        return ""
    # What file the database is in depends on how the library was built, not on the file.
    if survey.database_format == scene.server.system.sasldb_format:
        return ""
    return first(
        lately(scene, r"unable to open Berkeley db .*: Invalid argument"),
        _("{path} is no database of {format}").format(
            path=survey.database, format=scene.server.system.sasldb_format
        ),
    )


def sasldb_permission(scene: Scene) -> str:
    survey = scene.survey
    if "auxprop" not in survey.verifiers or not survey.database_mode:
        return ""
    if survey.can_read_database:
        return ""
    line = lately(scene, r"(unable to open Berkeley db|Could not open) .*Permission denied")
    return f"{survey.database} {survey.database_mode}\n{line}".strip()


def wrong_password(scene: Scene) -> str:
    """Name which of three it is: no such user, no such realm, or another password."""
    if any(
        look(scene) for look in (sasldb_missing, sasldb_corrupt, sasldb_permission, chrooted_smtpd)
    ):
        return ""
    if "auxprop" not in scene.survey.verifiers:
        return ""
    auth, users = scene.submission.auth, scene.survey.users
    if auth and auth.code == 535 and "authentication failure" in auth.text:
        return f"{auth}\n{_which(scene, scene.settings.login, users)}"
    if not scene.submission.is_logged_in or not scene.mailrc.user:
        return ""
    answer = scene.mailrc.dialogue.auth if scene.mailrc.dialogue else None
    if answer and answer.code == 535 and "authentication failure" in answer.text:
        which = _which(scene, scene.mailrc.user, users)
        return f"{scene.mailrc.source}: {scene.mailrc.user}: {answer}\n{which}"
    return ""


def _tried_name(scene: Scene) -> str:
    """Return the name that was refused: the course's, or the one in the mail program's settings."""
    return scene.settings.login if not scene.submission.is_logged_in else scene.mailrc.user


def _full(scene: Scene, name: str) -> str:
    """Return the name as it is looked up in sasldb: a bare one gets a realm.

    SASL_README: smtpd_sasl_local_domain, and without it the server's own name.
    """
    realm = scene.survey.value("smtpd_sasl_local_domain") or scene.survey.value("myhostname")
    return name if "@" in name else f"{name}@{realm}"


def _which(scene: Scene, name: str, users: list[str]) -> str:
    full, path, known = _full(scene, name), scene.survey.database, listed(users)
    user, _at, realm = full.rpartition("@")
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


def _uses_bare_name(scene: Scene) -> bool:
    """Return whether the mail program has only to write the name in full, as sasldb holds it."""
    login, name = scene.settings.login, _tried_name(scene)
    return (
        name != login
        and _full(scene, name) not in scene.survey.users
        and login in scene.survey.users
        and scene.mailrc.source == "~/.mailrc"
        and not scene.mailrc.is_v15
    )


def _has_other_password(scene: Scene) -> bool:
    """Return whether only the mail program's own password is wrong: the course's one is right."""
    return scene.submission.is_logged_in and scene.settings.login == _full(
        scene, _tried_name(scene)
    )


def how_to_log_in(scene: Scene) -> str:
    """Return what to do, with the realm that is looked up and those that there are."""
    name = _full(scene, _tried_name(scene))
    user, _at, realm = name.rpartition("@")
    if _uses_bare_name(scene):
        return _("Have the mail program log in with the name that sasldb holds:")
    if _has_other_password(scene):
        return _("Write the password of {name} as smtp-auth-password into {file}.").format(
            name=name, file=scene.mailrc.source
        )
    if name in scene.survey.users:
        return _("Set the password of {name} again; saslpasswd2 asks for it:").format(name=name)
    others = [one for one in scene.survey.users if one.startswith(f"{user}@")]
    text = _(
        "Create {user} in the realm that is looked up, {realm}; saslpasswd2 asks for the password"
    )
    text = text.format(user=user, realm=realm)
    if others:
        text += _(" (or log in as {names})").format(names=listed(others))
    return f"{text}:"


def log_in(scene: Scene) -> list[str]:
    """Return the commands that make the refused name one that sasldb holds with its password."""
    if _uses_bare_name(scene):
        setting = f"set smtp-auth-user={scene.settings.login}"
        return on_client(f"echo {shlex.quote(setting)} >> ~/.mailrc")
    if _has_other_password(scene):
        return []
    user, _at, realm = _full(scene, _tried_name(scene)).rpartition("@")
    path = shlex.quote(scene.survey.database)
    return on_server(f"sudo saslpasswd2 -c -f {path} -u {shlex.quote(realm)} {shlex.quote(user)}")


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
        N_("454 generic failure; the log: unable to open … sasldb2: Permission denied."),
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
        "wrong-password",
        N_("535 authentication failure; the log: Password verification failed."),
        N_("The password or the realm is another one than in sasldb, or there is no such user."),
        how_to_log_in,
        README,
        wrong_password,
        link=Link.LOGIN,
        commands=log_in,
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
)
