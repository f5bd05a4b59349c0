"""What a notebook works with: one step, its hosts, its cloud, its checks."""

from __future__ import annotations

from email.utils import formatdate
from functools import cached_property
from itertools import groupby
from typing import Any

from handson.cloud import targets
from handson.cloud.cloud import Cloud, plan
from handson.course import checks, outline
from handson.course import progress as standing
from handson.course import undo as undoing
from handson.course.check_report import Report
from handson.course.live_topology import draw
from handson.course.outline import STEPS, StepInfo
from handson.diagnosis.chain import cause
from handson.diagnosis.exercise import Exercise
from handson.diagnosis.faults import FAULTS
from handson.errors import CheckFailed
from handson.hosts import snapshot
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.hosts.ready import newest_mail, wait_for, wait_until_ready
from handson.i18n import _
from handson.mail import smtp
from handson.mail.capture import OnHost, Wiretap
from handson.mail.log import Message, Refusal
from handson.mail.received import ReceivedMail
from handson.mail.relay_matrix import probe
from handson.mail.relay_matrix.probe import Matrix
from handson.mail.timeline import MessageTimeline, RefusalTable
from handson.secret import Secret, scrub
from handson.settings import Settings
from handson.ui.choice import Choice, Option
from handson.ui.form import SettingsForm
from handson.ui.header import Header, StepMark
from handson.ui.progress import progress
from handson.ui.topology import Topology
from handson.ui.view import Note, Table, View
from handson.workspace import Workspace


def begin(slug: str, workspace: Workspace | None = None) -> Step:
    """Begin a step: what a notebook's first cell calls.

    >>> begin("02_sasl_install").server.run("hostname")     # doctest: +SKIP
    """
    return Step(outline.info(slug), workspace or Workspace())


class Step(View):
    """One step, with its hosts and its cloud; shown in a notebook it is the header."""

    def __init__(self, info: StepInfo, workspace: Workspace) -> None:
        self.info, self.workspace = info, workspace
        self.connections = Connections(workspace)

    # -- what a notebook works with ------------------------------------------

    @cached_property
    def target(self) -> targets.Target:
        return targets.of(self.workspace.settings(), self.workspace)

    @cached_property
    def settings(self) -> Settings:
        """The learner's choices, with what the target knows by itself."""
        return self.target.apply(self.workspace.settings())

    @property
    def password(self) -> Secret:
        """The SASL user's password; made at first use when none was chosen."""
        return self.workspace.password or self.workspace.save_password()

    @cached_property
    def cloud(self) -> Cloud:
        return Cloud(self.settings, self.target.connection)

    @cached_property
    def hosts(self) -> Hosts:
        return Hosts(self.workspace, self.target, self.settings, self.cloud, self.connections)

    @cached_property
    def server(self) -> Host:
        """The server, ready for this step; what is there before it is recorded."""
        snapshot.begin(self.hosts.server, self.info.slug)
        return self.hosts.server

    @cached_property
    def client(self) -> Host:
        """The client, likewise."""
        snapshot.begin(self.hosts.client, self.info.slug)
        return self.hosts.client

    @property
    def stranger(self) -> Host:
        """A host in the VPC that the server has no reason to trust."""
        return self.hosts.stranger

    def disconnect(self) -> None:
        """Close all connections; what comes next connects anew."""
        if "hosts" in self.__dict__:
            self.hosts.close()
        for name in ("hosts", "server", "client"):
            self.__dict__.pop(name, None)
        self.connections = Connections(self.workspace)

    def twin(self) -> Step:
        """Return the same step with connections of its own, which can be closed by themselves."""
        twin = Step(self.info, self.workspace)
        known = ("target", "settings", "cloud")
        twin.__dict__ |= {name: self.__dict__[name] for name in known if name in self.__dict__}
        return twin

    def go_on_with(self, twin: Step) -> None:
        """Take over a twin's connections, or close them where this step has its own."""
        if "hosts" in self.__dict__:
            twin.disconnect()
        else:
            self.__dict__ |= twin.__dict__

    # -- 00 and 08: choices and stacks ---------------------------------------

    def form(self) -> SettingsForm:
        """Return the form for the choices, filled in with what is known."""
        return SettingsForm(self.workspace.settings(), self.workspace.password is not None)

    def save(self, form: SettingsForm) -> Table:
        """Check the form's values and remember them; raise InvalidInput and change nothing else."""
        chosen = form.settings()
        password = form.take_password()
        self.workspace.save(chosen)
        if password is not None or self.workspace.password is None:
            self.workspace.save_password(password)
        self.disconnect()
        for name in ("target", "settings", "cloud"):
            self.__dict__.pop(name, None)
        known = self.settings
        rows = [
            [_("where"), {"lab": _("the embedded lab"), "aws": "AWS"}[known.target]],
            [_("mail domain"), known.domain],
            [_("login"), known.login],
            [_("password"), str(self.password)],
            [_("sender"), known.sender],
            [_("recipient"), known.recipient],
            [_("your own address"), known.own_ip],
            [_("day in all names"), known.date],
        ]
        return Table([_("choice"), _("value")], rows)

    def create(self) -> Table:
        """Create the five stacks that are not there yet, and wait until all hosts are ready."""
        rows = []
        if self.cloud.instance(self.cloud.names.server) is None:
            undoing.forget_hosts(self.workspace)  # whatever was done was done on others
        key = self.cloud.import_key(self.workspace.public_key)
        with progress(_("Creating the stacks")) as shown:
            for stack in plan(self.settings, key, self.settings.own_ip):
                shown.say(stack.name)
                made = self.cloud.create(stack, shown.say)
                rows.append([made.name, f"cfn/{stack.template.name}", made.status])
            for host in (self.hosts.server, self.hosts.client, self.stranger):
                shown.say(_("waiting for {host}").format(host=host.name))
                wait_until_ready(host)
        return Table([_("stack"), _("template"), _("status")], rows)

    def delete(self) -> Table:
        """Delete the stacks, the newest first, and the key pair."""
        rows = []
        self.disconnect()
        with progress(_("Deleting the stacks")) as shown:
            for stack in reversed(self.cloud.stacks()):
                shown.say(stack.name)
                self.cloud.delete_stack(stack.name, shown.say)
                rows.append([stack.name, _("deleted")])
            if self.cloud.delete_key():
                rows.append([_("key pair"), _("deleted")])
        return Table([_("what"), _("done")], rows, empty=_("There was nothing to delete."))

    def ask_source(self) -> Choice:
        """Return the question who may reach port 587, with what speaks for each answer."""
        return Choice(
            _("Who may reach port 587?"),
            [
                Option(
                    "vpc",
                    _("the VPC, {cidr}").format(cidr=self.settings.vpc_cidr),
                    _("better, because all clients of this relay are inside; nobody else can try"),
                ),
                Option(
                    "anywhere",
                    _("everybody, 0.0.0.0/0"),
                    _("as in the tutorial; needed only for clients outside, and found by guessers"),
                ),
            ],
            self.settings.submission_source,
        )

    def choose_source(self, choice: Choice) -> str:
        """Remember the answer and return the CIDR that it stands for."""
        saved = self.workspace.settings().with_(submission_source=choice.value)
        self.workspace.save(saved)
        self.__dict__.pop("settings", None)
        return self.settings.submission_cidr

    # -- looking -------------------------------------------------------------

    def talk(
        self, port: int, login: bool = False, send: str = "", sender: str = ""
    ) -> smtp.Dialogue:
        """Hold an SMTP dialogue from the client with the server.

        `send` is the subject of a mail to be sent; without it the dialogue ends when the
        server has said whether it would take one. With a login, TLS is used where it is
        offered.
        """
        job = smtp.Job(
            self.settings.server_ip,
            port,
            sender or self.settings.sender,
            self.settings.recipient,
            login=self.settings.login if login else "",
            password=self.password if login else None,
            message=self._message(send) if send else None,
            certificate=probe.read_certificate(self.server) if login else "",
        )
        return smtp.ask(self.client, job)

    def guess(self, count: int) -> Table:
        """Have the stranger try so many wrong passwords, and count the server's answers."""
        job = smtp.Job(
            self.settings.server_ip,
            587,
            self.settings.sender,
            self.settings.recipient,
            login=self.settings.login,
            password=Secret("not-the-password"),
            certificate=probe.read_certificate(self.server),
        )
        answers = [
            str(dialogue.auth or dialogue.refusal or dialogue.outcome())
            for dialogue in smtp.ask_all(self.hosts.stranger, [job] * count)
        ]
        rows = [[answer, str(len(list(same)))] for answer, same in groupby(answers)]
        return Table([_("answer"), _("times in a row")], rows)

    def wiretap(self, port: int) -> Wiretap:
        """Listen on a port of the server while a `with` block runs; see `Wiretap`."""
        server, instance = self.server, self.cloud.instance(self.cloud.names.server)
        users = (self.settings.login, self.settings.user)
        return Wiretap(
            port,
            self.target.tap
            or OnHost(lambda script: server.read("sudo sh -c {script}", script=script)),
            instance.id if instance else "",
            lambda text: scrub(text, self.password, users),
        )

    # -- 08: faults ----------------------------------------------------------

    @property
    def exercise(self) -> Exercise:
        """A fault to be found: `exercise.start()` plants one."""
        return Exercise(self.workspace, self.scene)

    @property
    def faults(self) -> Table:
        """The faults that can be planted here, each with what is seen of it."""
        system = self.server.system.id
        rows = [[one.id, cause(one.id).seen] for one in FAULTS if system in one.systems]
        return Table([_("fault"), _("what is seen")], rows)

    def relay_matrix(self, stage: str) -> Matrix:
        """Try who may relay, and compare with what is right at a stage of the course.

        `stage` is 'start', 'after_login' or 'hardened'; no mail is sent by it.
        """
        return probe.relay_matrix(self, stage)

    def _message(self, subject: str) -> str:
        headers = {
            "From": self.settings.sender,
            "To": self.settings.recipient,
            "Subject": subject,
            "Date": formatdate(),
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\n".join([*lines, "", "smtp-handson", ""])

    def received(self, subject: str, seconds: float = 15) -> View:
        """Return the newest mail of that subject as it lies in the recipient's mailbox.

        Waits up to `seconds` for it. Where the mailbox is not the course's to open (AWS),
        a note says where to look.
        """
        host = self.hosts.mailbox
        recipient = self.settings.recipient
        if host is None:
            return Note(
                _("Look into the mailbox of {recipient}: “{subject}”.").format(
                    recipient=recipient, subject=subject
                )
            )
        return ReceivedMail(wait_for(lambda: newest_mail(host, recipient, subject), seconds))

    def open_submission(self, source: str) -> Note:
        """Open TCP 587 in the server's security group for a source (a CIDR)."""
        opened = self.cloud.open_port(587, source, _("Submission"))
        group = self.cloud.names.server_group
        if opened:
            text = _("{group} lets in TCP 587 from {source} now.")
        else:
            text = _("{group} let in TCP 587 from {source} already: nothing was changed.")
        return Note(text.format(group=group, source=source), "good")

    def only_from_vpc(self) -> Note:
        """Let nobody outside the VPC reach port 587."""
        opened = self.cloud.open_port(587, self.settings.vpc_cidr, _("Submission"))
        closed = self.cloud.close_port(587, "0.0.0.0/0")
        text = (
            _("TCP 587 was open to everybody; only the VPC, {cidr}, may come in now.")
            if closed
            else _("Only the VPC, {cidr}, may come in at TCP 587: nothing was to be closed.")
        )
        if opened and not closed:
            text = _("The VPC, {cidr}, may come in at TCP 587 now, and nobody else.")
        return Note(text.format(cidr=self.settings.vpc_cidr), "good")

    def timeline(self, message: Message) -> MessageTimeline:
        """Return a message of the log as a table and a time line, each field explained."""
        return MessageTimeline(message)

    def refusals(self) -> RefusalTable:
        """Return everything that the log says was refused, each kind once."""
        kinds: dict[tuple[str, ...], Refusal] = {}
        for refusal in self.scene().refusals:
            key = (refusal.stage, refusal.code, refusal.dsn, refusal.reason.partition(" (")[0])
            kinds.setdefault(key, refusal)
        return RefusalTable(list(kinds.values()))

    def message(self, seconds: float = 15) -> Message:
        """Return the newest message of the log that was relayed after a login."""
        undoing.let_count(self.workspace, self.info.slug)

        def look() -> Message | None:
            scene = self.scene()
            found = [m for m in scene.messages if m.is_authenticated and m.deliveries]
            return found[-1] if found else None

        return wait_for(look, seconds)

    def scene(self, slug: str = "") -> checks.Scene:
        """Return what the checks of a step (this one, when none is named) look at, fresh."""
        since = undoing.counts_since(self.workspace, slug or self.info.slug)
        return checks.Scene(self.settings, self.hosts, self.cloud, self.workspace.password, since)

    def check(self) -> Report:
        """Check the step and return the report; raise CheckFailed when something falls short."""
        report = self.look()
        if not report.passed:
            from IPython.display import display

            display(report)  # type: ignore[no-untyped-call]
            failed = [result.sentence for result in report.results if not result.ok]
            raise CheckFailed(
                _("{summary}. Not yet: {failed}").format(
                    summary=report.summary, failed=" ".join(failed)
                ),
                _("The report above names the likely cause and the cure of each."),
            )
        return report

    def look(self) -> Report:
        """Check the step and return the report, whether it passes or not."""
        report = Report(self.info.title, checks.run(self.info.slug, self.scene()))
        self.workspace.record(
            self.info.slug,
            {
                "passed": report.passed,
                "checks": [
                    {"id": r.id, "sentence": r.sentence, "ok": r.ok} for r in report.results
                ],
            },
        )
        return report

    def undo(self) -> undoing.Undone:
        """Take this step back, and the later ones before it; return what was done."""
        return undoing.undo(self)

    def picture(self, focus: str = "") -> Topology:
        """Return the picture of where the learner is, drawn from what is there now."""
        return draw(self.scene(), self.target, focus)

    # -- the header ----------------------------------------------------------

    @property
    def header(self) -> Header:
        """The head of the notebook, with how each step stands at this moment."""
        states = standing.now(self, standing.HEADER_SECONDS)
        marks = [
            StepMark(one.slug, one.title, "here" if one == self.info else states[one.slug])
            for one in STEPS
        ]
        return Header(int(self.info.slug[:2]), self.info.title, self.info.purpose, marks)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.header._repr_mimebundle_()  # one look for both faces

    def text(self) -> str:
        return self.header.text()

    def html(self) -> str:
        return self.header.html()
