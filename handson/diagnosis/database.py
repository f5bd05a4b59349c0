"""Causes in the password database: not there, not readable, not the right user or password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handson.diagnosis.cause import SASL_README, Cause, Link, first, lately, listed
from handson.diagnosis.fault import Fault, Part
from handson.diagnosis.services import chrooted_smtpd
from handson.i18n import _

if TYPE_CHECKING:
    from handson.mail.observation import Scene

README = f"{SASL_README}#auxprop_sasldb"
CREATE = _(
    "sudo saslpasswd2 -c -f {database} -u {domain} {user}; "
    "sudo chown root:postfix {database}; sudo chmod 0640 {database}"
)


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


def how_to_agree(scene: Scene) -> str:
    """Return where the login is to be corrected: on the client, while the course's own works."""
    if scene.submission.is_logged_in:
        return _(
            "On the client, in the file named above, correct the login: "
            "set smtp-auth-user={login}, smtp-auth-password=…"
        )
    return _(
        "Compare the logged sasl_username= with sudo sasldblistusers2 -f {database}; "
        "set the password anew: sudo saslpasswd2 -c -f {database} -u {domain} {user}"
    )


def _which(scene: Scene, name: str, users: list[str]) -> str:
    known = listed(users)
    if name in users:
        return _("{path} holds {name}: the password is another one").format(
            path=scene.survey.database, name=name
        )
    user, _at, realm = name.partition("@")
    if not realm:
        realm = scene.survey.value("smtpd_sasl_local_domain") or scene.survey.value("myhostname")
        if f"{user}@{realm}" in users:
            return _("{path} holds {name}: the password is another one").format(
                path=scene.survey.database, name=f"{user}@{realm}"
            )
        return _("“{name}” is looked up as {full}; {path} holds {known}").format(
            name=name, full=f"{user}@{realm}", path=scene.survey.database, known=known
        )
    if any(one.startswith(f"{user}@") for one in users):
        return _("no realm {realm} for {user}; {path} holds {known}").format(
            realm=realm, user=user, path=scene.survey.database, known=known
        )
    return _("no user {name}; {path} holds {known}").format(
        name=name, path=scene.survey.database, known=known
    )


CAUSES = (
    Cause(
        "sasldb-missing",
        _("535, or the log says that sasldb could not be opened."),
        _("There is no password database at the path that smtpd opens on this system."),
        CREATE,
        README,
        sasldb_missing,
        link=Link.LOGIN,
        fault=Fault(
            _("sasldb is not where smtpd looks for it"),
            Part(("$database", "$database.moved"), 'mv "$database" "$database.moved"\n'),
        ),
    ),
    Cause(
        "sasldb-corrupt",
        _("454 generic failure; the log: unable to open … sasldb2: Invalid argument."),
        _("The file is not a database in the format that this system's library reads."),
        _("sudo mv {database} {database}.bad; ") + CREATE,
        README,
        sasldb_corrupt,
        link=Link.LOGIN,
        fault=Fault(
            _("sasldb is no database"),
            Part(("$database",), 'echo "this is no database" > "$database"\n'),
        ),
    ),
    Cause(
        "sasldb-permission",
        _("454 generic failure; the log: unable to open … sasldb2: Permission denied."),
        _("smtpd runs as postfix, and owner, group and mode do not let it read sasldb."),
        "sudo chown root:postfix {database}; sudo chmod 0640 {database}",
        README,
        sasldb_permission,
        link=Link.LOGIN,
        fault=Fault(
            _("smtpd cannot read sasldb"),
            Part(("$database",), 'chown root:root "$database"\nchmod 0600 "$database"\n'),
        ),
    ),
    Cause(
        "wrong-password",
        _("535 authentication failure; the log: Password verification failed."),
        _("The password or the realm is another one than in sasldb, or there is no such user."),
        how_to_agree,
        README,
        wrong_password,
        link=Link.LOGIN,
        also=Link.MAIL_PROGRAM,
        fault=Fault(
            _("the password in sasldb is another one"),
            Part(
                ("$database",),
                # saslpasswd2 reads the password up to the end of its input, a line end included.
                "head -c 18 /dev/urandom | base64 | tr -d '\\n' | "
                'saslpasswd2 -p -f "$database" -u "$domain" "$user"\n',
            ),
        ),
    ),
)
