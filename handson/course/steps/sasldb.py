"""Is the user in the database, and can smtpd read it while others cannot?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.hosts import snapshot
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.view import View

RULES = Rules("survey", "sasldb")
MANUAL = "https://www.cyrusimap.org/sasl/sasl/reference/manpages/saslpasswd2.html"
README = "https://www.postfix.org/SASL_README.html#auxprop_sasldb"


class Sasldb(Step):
    """Create the user who may relay, in a database that only Postfix can read."""

    slug = "03_sasldb"
    title = _("sasldb")
    purpose = _("Create the user who may relay, in a database that only Postfix can read.")
    rules = RULES
    snapshots = ("server",)

    def undo(self) -> list[View]:
        """Delete the user; sasldb as it was before, or gone."""
        server, observed = self.hosts.server, self.observe()
        database, login = observed.sasl.database, self.settings.login
        if not observed.sasldb.exists:
            return []
        shown: list[View] = []
        users = observed.sasl.users()
        if login in users:
            delete = "sudo saslpasswd2 -d -f {database} -u {domain} {user}"
            shown.append(server.run(delete, database=database))
        is_recorded = snapshot.has(server, "03_sasldb")
        was_there = snapshot.has(server, "03_sasldb", "sasldb")
        if is_recorded and not was_there and set(users) <= {login}:
            shown.append(server.run("sudo rm -f {database}", database=database))
        elif was_there and database == server.system.sasldb:
            record = f"{snapshot.FOLDER}/03_sasldb/sasldb"
            owner, mode = server.facts.text(record).split()
            if observed.sasl.database_file().ownership != f"{owner} 0{mode}":
                shown.append(
                    server.run(
                        "sudo chown {owner} {database}",
                        "sudo chmod 0{mode} {database}",
                        owner=owner,
                        mode=mode,
                        database=database,
                    )
                )
        snapshot.forget(server, "03_sasldb")
        return shown


@RULES.now(
    "user-in-sasldb",
    _("The user is in sasldb, with the mail domain as realm."),
    MANUAL,
    ("sasldb-missing", "sasldb-corrupt"),
)
def user_in_sasldb(observed: Observation) -> Finding:
    users, wanted = observed.survey.users, observed.settings.login
    if wanted in users:
        return good(wanted)
    return bad(
        _("{path} holds: {users}").format(
            path=observed.survey.database, users=", ".join(users) or _("no user")
        ),
        _("The user was not created, or was created in another realm or another file."),
        _create(observed),
    )


@RULES.now(
    "sasldb-readable",
    _("Postfix's smtpd can read sasldb."),
    README,
    ("sasldb-missing", "sasldb-permission"),
)
def sasldb_readable(observed: Observation) -> Finding:
    path, mode = observed.sasldb.path, observed.sasldb.ownership
    if not observed.sasldb.exists:
        return _missing(observed)
    if observed.survey.can_read_database:
        return good(f"{path} {mode}")
    return bad(
        f"{path} {mode}",
        _("smtpd runs as postfix, and neither owner nor group of the file allows it to read."),
        f"sudo chown root:postfix {path}; sudo chmod 0640 {path}",
    )


@RULES.now(
    "sasldb-private",
    _("No other user can read sasldb: it holds plaintext passwords."),
    README,
    ("sasldb-missing",),
)
def sasldb_private(observed: Observation) -> Finding:
    path, mode = observed.sasldb.path, observed.sasldb.ownership
    if not observed.sasldb.exists:
        return _missing(observed)
    if not observed.sasldb.is_world_readable:
        return good(f"{path} {mode}")
    return bad(
        f"{path} {mode}",
        _("Its mode allows every user of the server to read it."),
        f"sudo chmod 0640 {path}",
    )


def _missing(observed: Observation) -> Finding:
    return bad(
        _("{path} is not there").format(path=observed.survey.database),
        _("saslpasswd2 has not created it, or created it at another path."),
        _create(observed),
    )


def _create(observed: Observation) -> str:
    return observed.server.fill(
        "sudo saslpasswd2 -c -f {database} -u {domain} {user}", database=observed.survey.database
    )
