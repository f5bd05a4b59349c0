"""What all steps share: the dialogues, the checks, and the head of the notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email.utils import formatdate
from secrets import token_hex
from typing import Any, ClassVar, TypeVar

from handson.course import checks, live_topology, log_window, outline
from handson.course.check_report import Report
from handson.course.workplace import Workplace
from handson.errors import CheckFailed
from handson.hosts.connections import Connections
from handson.i18n import _
from handson.mail import smtp
from handson.mail.observation import Scene
from handson.mail.received import received
from handson.mail.relay_matrix import probe
from handson.mail.relay_matrix.probe import Matrix
from handson.secret import Secret
from handson.ui.header import Header, StepMark
from handson.ui.view import View
from handson.workspace import Workspace

# How long a header waits to know what is true now, in seconds.
HEADER_SECONDS = 1.4

Standing = Callable[["Step", float], dict[str, str]]
Other = TypeVar("Other", bound="Step")


class Step(Workplace, View):
    """One step, with its hosts and its cloud; shown in a notebook it is the header.

    A step's module has a class of its own, with its notebook's name (`slug`), what is said of
    it, its rules, what is recorded before it, and what only its notebook does.
    """

    number: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str]
    rules: ClassVar[checks.Rules]

    def __init__(self, workspace: Workspace, standing: Standing) -> None:
        super().__init__(workspace)
        self._standing = standing

    def __init_subclass__(cls) -> None:
        """Derive what the notebook's name begins with: '5' of '05_master_cf'."""
        cls.number = cls.slug.partition("_")[0].removeprefix("0")

    def undo(self) -> list[View]:
        """Take back what this step alone changes, whoever did it; return what was done."""
        return []

    # -- the same hosts for another ------------------------------------------

    def as_step(self, other: type[Other]) -> Other:
        """Return another step, on the same hosts and over the same connections."""
        return self.share_with(other(self.workspace, self._standing))

    def twin(self) -> Step:
        """Return the same step with connections of its own, which can be closed by themselves."""
        twin = self.as_step(type(self))
        twin.__dict__.pop("hosts", None)
        twin.connections = Connections(self.workspace)
        return twin

    # -- looking -------------------------------------------------------------

    def talk(
        self,
        port: int,
        login: bool | str = False,
        send: str = "",
        sender: str = "",
        password: Secret | None = None,
    ) -> smtp.Dialogue:
        """Hold an SMTP dialogue from the client with the server.

        `login` is True for the learner's own login, or the name of another one with its
        `password`; then TLS is used where it is offered. `send` is the subject of a message to
        be sent; without it the dialogue ends with the answer to RCPT. `sender` is the envelope
        sender; the header From: always has the learner's.
        """
        job = smtp.Job(
            self.settings.server_ip,
            port,
            sender or self.settings.sender,
            self.settings.recipient,
            login=self.settings.login if login is True else login or "",
            password=(password or self.password) if login else None,
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
            # As s-nail writes it: the day and the time, something random, the sender.
            "Message-ID": f"<{datetime.now():%Y%m%d%H%M%S}.{token_hex(4)}%{self.settings.sender}>",
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\n".join([*lines, "", "smtp-handson", ""])

    def received(self, subject: str, seconds: float = 15) -> View:
        """Return the newest message of that subject in the recipient's mailbox."""
        return received(self.hosts.mailbox, self.settings.recipient, subject, seconds)

    def relay_matrix(self, stage: str) -> Matrix:
        """Try who may relay, and compare with what is right at a stage of the course.

        `stage` is 'start', 'after_login' or 'hardened'; no message is sent by it.
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
