"""What all steps share: the hosts, the cloud, the checks, and the head of the notebook."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from handson.cloud import targets
from handson.cloud.cloud import Cloud
from handson.course import checks, live_topology, log_window, outline
from handson.course.check_report import Report
from handson.errors import CheckFailed
from handson.hosts import snapshot
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.i18n import _
from handson.mail import smtp
from handson.mail.observation import Scene
from handson.mail.received import received
from handson.mail.relay_matrix import probe
from handson.mail.relay_matrix.probe import Matrix
from handson.secret import Secret
from handson.settings import Settings
from handson.ui.header import Header, StepMark
from handson.ui.view import View
from handson.workspace import Workspace

# How long a header waits to know what is true now, in seconds.
HEADER_SECONDS = 1.4

Standing = Callable[["Step", float], dict[str, str]]
Other = TypeVar("Other", bound="Step")


class Step(View):
    """One step, with its hosts and its cloud; shown in a notebook it is the header.

    A step's module has a class of its own, with its notebook's name (`slug`), what is said of
    it, its rules, and what only its notebook does. Before it begins, the state of the hosts in
    `snapshots` is recorded, for its undo; a package manager that is at work on those in
    `installs` is let come to its end.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str]
    rules: ClassVar[checks.Rules]
    snapshots: ClassVar[tuple[str, ...]] = ()
    installs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, workspace: Workspace, standing: Standing) -> None:
        self.workspace, self._standing = workspace, standing
        self.connections = Connections(workspace)

    def __init_subclass__(cls) -> None:
        """Derive what the notebook's name begins with: '5' of '05_master_cf'."""
        cls.number = cls.slug.partition("_")[0].removeprefix("0")

    number: ClassVar[str]

    def undo(self) -> list[View]:
        """Take back what this step alone changes, whoever did it; return what was done."""
        return []

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
        return self._ready(self.hosts.server)

    @cached_property
    def client(self) -> Host:
        """The client, likewise."""
        return self._ready(self.hosts.client)

    def _ready(self, host: Host) -> Host:
        if host.name in self.installs:
            snapshot.settle(host)
        snapshot.take(host, snapshot.START, *([self.slug] if host.name in self.snapshots else []))
        return host

    @property
    def stranger(self) -> Host | None:
        """A host in the VPC that the server has no reason to trust, where there is one."""
        return self.hosts.stranger

    def disconnect(self) -> None:
        """Close all connections; what comes next connects anew."""
        if "hosts" in self.__dict__:
            self.hosts.close()
        for name in ("hosts", "server", "client"):
            self.__dict__.pop(name, None)
        self.connections = Connections(self.workspace)

    def choose_anew(self) -> None:
        """Disconnect, and let what follows from the learner's choices be read again."""
        self.disconnect()
        for name in ("target", "settings", "cloud"):
            self.__dict__.pop(name, None)

    # -- the same hosts for another ------------------------------------------

    def as_step(self, other: type[Other]) -> Other:
        """Return another step, on the same hosts and over the same connections."""
        new = other(self.workspace, self._standing)
        shared = ("target", "settings", "cloud", "hosts", "connections")
        new.__dict__ |= {name: self.__dict__[name] for name in shared if name in self.__dict__}
        return new

    def twin(self) -> Step:
        """Return the same step with connections of its own, which can be closed by themselves."""
        twin = self.as_step(type(self))
        twin.__dict__.pop("hosts", None)
        twin.connections = Connections(self.workspace)
        return twin

    def go_on_with(self, twin: Step) -> None:
        """Take over a twin's connections, or close them where this step has its own."""
        if "hosts" in self.__dict__:
            twin.disconnect()
        else:
            self.__dict__ |= twin.__dict__

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
        """Return the newest mail of that subject as it lies in the recipient's mailbox."""
        return received(self.hosts.mailbox, self.settings.recipient, subject, seconds)

    def relay_matrix(self, stage: str) -> Matrix:
        """Try who may relay, and compare with what is right at a stage of the course.

        `stage` is 'start', 'after_login' or 'hardened'; no mail is sent by it.
        """
        return probe.relay_matrix(self, stage)

    def picture(self, focus: str = "") -> View:
        """Return the picture of where the learner is, drawn from what is there now."""
        return live_topology.draw(self.scene(), self.target, focus)

    # -- the checks ----------------------------------------------------------

    def scene(self, slug: str = "") -> Scene:
        """Return what the checks of a step (this one, when none is named) look at, fresh."""
        since = log_window.counts_since(self.workspace, slug or self.slug)
        return Scene(self.settings, self.hosts, self.cloud, self.workspace.password, since)

    def check(self) -> Report:
        """Check the step and return the report; raise CheckFailed when something falls short."""
        report = self.look()
        if not report.passed:
            from IPython.display import display

            display(report)  # type: ignore[no-untyped-call]
            failed = [r.sentence for r in report.results if r.state is checks.State.FAILS]
            raise CheckFailed(
                _("{summary}. Not yet: {failed}").format(
                    summary=report.summary, failed=" ".join(failed)
                ),
                _("The report above names the likely cause and the cure of each."),
            )
        return report

    def look(self) -> Report:
        """Check the step and return the report, whether it passes or not."""
        report = Report(self.title, checks.run(self.rules, self.scene()))
        self.workspace.record(self.slug, report.as_dict())
        return report

    # -- the header ----------------------------------------------------------

    @property
    def header(self) -> Header:
        """The head of the notebook, with how each step stands at this moment."""
        states = self._standing(self, HEADER_SECONDS)
        marks = [
            StepMark(one.slug, one.title, "here" if one.slug == self.slug else states[one.slug])
            for one in outline.steps()
        ]
        return Header(self.number, self.title, self.purpose, marks)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.header._repr_mimebundle_()  # one look for both faces

    def text(self) -> str:
        return self.header.text()

    def html(self) -> str:
        return self.header.html()
