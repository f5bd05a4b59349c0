"""Taking a step back: the hosts as they were before it, from backups and what was recorded.

One function a step. Each looks at what is there and returns what it did; where there is
nothing to undo it does nothing and returns nothing. Later steps go first, for they stand on
the earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from handson.course import checks, outline
from handson.course.outline import StepInfo
from handson.course.progress import holds
from handson.diagnosis import faults
from handson.diagnosis.exercise import FOUND
from handson.hosts import script, snapshot
from handson.hosts.host import Host
from handson.i18n import _
from handson.mail.postfix import find_submission, read_parameters
from handson.ui.view import Note, View, escape
from handson.workspace import Workspace

if TYPE_CHECKING:
    from handson.course.step import Step

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
RELOAD = "sudo postfix reload 2>/dev/null || sudo systemctl restart postfix"
RECIPIENTS = "smtpd_recipient_restrictions"

Act = Callable[["Step"], list[View]]
ACTS: dict[str, Act] = {}


class Undone(View):
    """What was undone: the steps, the latest first, each with the commands that did it."""

    def __init__(self, title: str, steps: list[tuple[StepInfo, list[View]]]) -> None:
        self.title, self.steps = title, steps

    @property
    def note(self) -> Note:
        """The whole in one sentence."""
        if not self.steps:
            return Note(_("{step}: nothing to undo.").format(step=self.title))
        slugs = [info.slug for info, _shown in self.steps]
        if len(slugs) == 1:
            return Note(_("Undone: {slug}.").format(slug=slugs[0]), "good")
        return Note(_("Undone, later steps first: {slugs}.").format(slugs=", ".join(slugs)), "good")

    def text(self) -> str:
        lines = []
        for info, shown in self.steps:
            lines += [f"# {info.slug}", *(view.text() for view in shown)]
        return "\n".join([*lines, self.note.text()])

    def html(self) -> str:
        parts = []
        for info, shown in self.steps:
            parts.append(f'<strong class="title">{escape(info.slug)}</strong>')
            parts += [view.html() for view in shown]
        return "".join([*parts, self.note.html()])


def undo(step: Step) -> Undone:
    """Undo a step and the later ones, in reverse order, and return what was done.

    Raises HandsonError where a host cannot be asked; then run it once more.
    """
    # Without hosts there is nothing else to undo.
    infos = (step.info,) if step.info.slug == "00_start" else outline.since(step.info.slug)
    done = [(info, _undo(step, info)) for info in reversed(infos)]
    return Undone(step.info.slug, [(info, shown) for info, shown in done if shown])


def undoes(slug: str) -> Callable[[Act], Act]:
    """Register the decorated function as the one that undoes a step."""

    def add(act: Act) -> Act:
        ACTS[slug] = act
        return act

    return add


def _undo(step: Step, info: StepInfo) -> list[View]:
    shown = ACTS[info.slug](step) if info.slug in ACTS else []
    if info.slug == "00_start":
        return shown
    report = step.workspace.progress().get(info.slug, {})
    # The checks themselves are refused here and there: what they leave in the log alone
    # is no step begun.
    was_done = bool(shown or report.get("done"))
    if info.slug not in ACTS:
        was_done |= bool(report) or info == step.info
    if was_done and _has_happened(step, info.slug):
        moment = step.hosts.server.read("date --iso-8601=ns").strip().replace(",", ".")
        moment = f"{moment[:26]}{moment[29:]}"  # Python counts microseconds
        step.workspace.note(f"since {info.slug}", moment)
        shown.append(
            Note(_("What the log tells of the time until now no longer counts for this step."))
        )
    step.workspace.forget(info.slug)
    return shown


# -- what the log tells --------------------------------------------------------


def counts_since(workspace: Workspace, slug: str) -> str:
    """Return the moment (ISO 8601, by the server's clock) since which the log counts for a step.

    It is when the step, or one before it, was undone last; '' when none was.
    """
    slugs = [*(one.slug for one in outline.until(slug)), slug]
    moments = [moment for one in slugs if (moment := workspace.noted(f"since {one}"))]
    return max(moments, key=datetime.fromisoformat, default="")


def let_count(workspace: Workspace, slug: str) -> None:
    """Let all count again that the log tells of a step: it is being done once more."""
    workspace.note(f"since {slug}", "")


def _has_happened(step: Step, slug: str) -> bool:
    scene = step.scene(slug)
    return any(holds(rule, scene) for rule in checks.rules(slug) if rule.kind == "happened")


# -- the steps -----------------------------------------------------------------


@undoes("00_start")
def start(step: Step) -> list[View]:
    """Delete the stacks, and with them all that was done on the hosts."""
    there = bool(step.cloud.stacks())
    known = bool(step.workspace.progress())
    shown: list[View] = [step.delete()] if there else []
    forget_hosts(step.workspace)
    if known and not there:
        shown.append(Note(_("The hosts are gone; what was done on them is forgotten.")))
    return shown


def forget_hosts(workspace: Workspace) -> None:
    """Forget what was done on hosts that are no more."""
    workspace.forget()
    workspace.unpin()
    for one in outline.STEPS:
        if workspace.noted(f"since {one.slug}"):
            let_count(workspace, one.slug)


@undoes("01_security_group")
def security_group(step: Step) -> list[View]:
    """Close port 587."""
    shown: list[View] = []
    group = step.cloud.names.server_group
    for rule in step.cloud.rules():
        # A range that holds 587 too is not what the step makes.
        is_ours = rule.is_inbound and rule.protocol == "tcp" and rule.port == "587"
        if is_ours and step.cloud.close_port(587, rule.source):
            text = _("{group} lets in TCP 587 from {source} no longer.")
            shown.append(Note(text.format(group=group, source=rule.source), "good"))
    return shown


@undoes("02_sasl_install")
def sasl_install(step: Step) -> list[View]:
    """Put smtpd.conf back, and remove the packages that were not there at the start."""
    server = step.hosts.server
    shown = [
        *_put_back(server, server.system.smtpd_conf, mark="^pwcheck_method:.*auxprop"),
        *_remove(server, server.system.sasl_packages),
    ]
    # Debian's package leaves its rule for sasldb's mode behind; installed once more, it would
    # take the rule for applied already.
    left = "! command -v saslpasswd2 && dpkg-statoverride --list {sasldb}"
    if server.probe(left)[0] == 0:
        shown.append(server.run("sudo dpkg-statoverride --remove {sasldb}"))
    return shown


@undoes("03_sasldb")
def sasldb(step: Step) -> list[View]:
    """Delete the user; sasldb as it was before, or gone."""
    server, scene = step.hosts.server, step.scene()
    database, login = scene.sasl.database, step.settings.login
    if not scene.sasldb.exists:
        return []
    shown: list[View] = []
    users = scene.sasl.users()
    if login in users:
        delete = "sudo saslpasswd2 -d -f {database} -u {domain} {user}"
        shown.append(server.run(delete, database=database))
    is_recorded = snapshot.has(server, "03_sasldb")
    was_there = snapshot.has(server, "03_sasldb", "sasldb")
    if is_recorded and not was_there and set(users) <= {login}:
        shown.append(server.run("sudo rm -f {database}", database=database))
    elif was_there and database == server.system.sasldb:
        record = f"{snapshot.FOLDER}/03_sasldb/sasldb"
        owner, mode = server.facts.file(record).content_string.split()
        if scene.sasl.database_file().ownership != f"{owner} 0{mode}":
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


@undoes("04_main_cf")
def main_cf(step: Step) -> list[View]:
    """Put main.cf back; what 06_mailx_test changed in it has been undone before."""
    shown = _put_back(step.hosts.server, MAIN, mark="^smtpd_sasl_auth_enable *= *yes")
    if shown:
        shown.append(step.hosts.server.run(RELOAD))
    return shown


@undoes("05_master_cf")
def master_cf(step: Step) -> list[View]:
    """Put master.cf back, so that nothing listens on port 587, and stop saslauthd."""
    server, postfix = step.hosts.server, step.scene().postfix
    shown = _put_back(server, MASTER, mark="^(submission|587)[[:space:]]+inet")
    # A run that was killed may have put the file back and not come to the restart.
    is_stale = postfix.is_listening(587) and not find_submission(postfix.services())
    if shown or is_stale:
        shown.append(server.run("sudo systemctl restart postfix"))
    if server.facts.service("saslauthd").is_running:
        shown.append(server.run("sudo systemctl stop saslauthd"))
    return shown


@undoes("06_mailx_test")
def mailx_test(step: Step) -> list[View]:
    """Trust the client's address again; the mail program and its settings go."""
    server, client = step.hosts.server, step.hosts.client
    shown: list[View] = []
    now = step.scene().postfix.explicit()
    for name, value in _before_mailx_test(server, now).items():
        if value is None:
            shown.append(server.run("sudo postconf -X {name}", name=name))
        else:
            shown.append(server.run("sudo postconf -e {setting}", setting=f"{name} = {value}"))
    if shown:
        shown.append(server.run(RELOAD))
    snapshot.forget(server, "06_mailx_test")
    files = client.probe("cd && ls .mailrc dead.letter 2>/dev/null")[1].split()
    record = f"{snapshot.FOLDER}/{snapshot.START}/mailrc"
    was_there = snapshot.has(client, snapshot.START, "mailrc")
    if was_there and client.probe("sudo -n cmp -s {r} ~/.mailrc", r=record)[0] != 0:
        shown.append(client.run("sudo cp -a {record} ~/.mailrc", record=record))
    if gone := tuple(f for f in files if not (was_there and f == ".mailrc")):
        shown.append(client.run("cd; rm -f {files}", files=gone))
    return [*shown, *_remove(client, client.system.mail_packages)]


@undoes("08_break_it")
def break_it(step: Step) -> list[View]:
    """Mend the fault that is planted, and forget which were found."""
    shown: list[View] = []
    if faults.planted(step.scene()):
        mended = faults.mend(step.scene())
        shown.append(Note(_("{id}: mended.").format(id=mended.id), "good"))
    server = step.hosts.server
    if server.facts.file(FOUND).exists:
        shown.append(server.run("sudo rm {path}", path=FOUND))
    return shown


@undoes("09_harden")
def harden(step: Step) -> list[View]:
    """Put main.cf and master.cf back as they were before; the certificate goes."""
    server, client = step.hosts.server, step.hosts.client
    shown: list[View] = []
    if snapshot.has(server, "09_harden"):
        for path in (MAIN, MASTER):
            shown += _put_back(server, path, "09_harden")
        certificate = ("/etc/postfix/submission.key", "/etc/postfix/submission.crt")
        if server.probe("sudo ls {files}", files=certificate)[1].startswith("/etc"):
            shown.append(server.run("sudo rm -f {files}", files=certificate))
        if shown:
            shown.append(server.run(RELOAD))
        snapshot.forget(server, "09_harden")
    record = f"{snapshot.FOLDER}/09_harden/mailrc"
    if snapshot.has(client, "09_harden", "mailrc"):
        if client.probe("sudo -n cmp -s {record} ~/.mailrc", record=record)[0] != 0:
            shown.append(client.run("sudo cp -a {record} ~/.mailrc", record=record))
        snapshot.forget(client, "09_harden")
    if client.probe("ls ~/submission.crt")[0] == 0:
        shown.append(client.run("rm ~/submission.crt"))
    name = f"mail.{step.settings.domain}"
    if client.probe("grep -qw {name} /etc/hosts", name=name)[0] == 0:
        # Written in place: a container engine has mounted the file.
        rest = "grep -vw {name} /etc/hosts > /tmp/hosts; sudo tee /etc/hosts < /tmp/hosts"
        shown.append(client.run(f"{rest} > /dev/null; rm /tmp/hosts", name=name))
    return shown


def _before_mailx_test(server: Host, now: dict[str, str]) -> dict[str, str | None]:
    """Return what the step changes in main.cf as it was before; None where it was not set."""
    then = _recorded(server, "06_mailx_test")
    found: dict[str, str | None] = {}
    if then and then.get(RECIPIENTS) != now.get(RECIPIENTS):
        found[RECIPIENTS] = then.get(RECIPIENTS)
    # Done by hand before the notebook was opened, it is in that record already.
    for record in (then, _recorded(server, snapshot.START)):
        if record and record.get("mynetworks") != now.get("mynetworks"):
            found["mynetworks"] = record.get("mynetworks")
            break
    return found


def _recorded(server: Host, name: str) -> dict[str, str]:
    """Return the parameters that main.cf set when that record was taken."""
    folder = f"{snapshot.FOLDER}/{name}/etc/postfix"
    # Without a main.cf postconf ends only after a second.
    command = "sudo -n test -e {folder}/main.cf && sudo -n postconf -c {folder} -n 2>/dev/null"
    status, output = server.probe(command, folder=folder)
    return read_parameters(output) if status == 0 else {}


# -- files and packages --------------------------------------------------------


def _put_back(host: Host, path: str, record: str = "", mark: str = "") -> list[View]:
    """Put a file back from its oldest dated backup (or a record), or as it was at the start.

    `mark` is a pattern that the file matches once the step is done.
    """
    recorded = f"{snapshot.FOLDER}/{record}{path}"
    known = {
        "file": path,
        "source": recorded if record else next(iter(host.backups(path)), ""),
        "start": f"{snapshot.FOLDER}/{snapshot.START}",
        "mark": mark,
    }
    answer = script.run(host, script.read(__package__, "compare.sh"), known)
    what, _space, source = answer.strip().partition(" ")
    if what == "remove":
        return [host.run("sudo rm {path}", path=path)]
    if what == "copy":
        return [host.run("sudo cp -a {source} {path}", source=source, path=path)]
    return []


def _remove(host: Host, names: tuple[str, ...]) -> list[View]:
    """Remove those packages that were not there at the start."""
    new = snapshot.added(host, names)
    if not new:
        return []
    snapshot.settle(host)
    return [host.run("sudo {remove} {packages}", packages=new)]
