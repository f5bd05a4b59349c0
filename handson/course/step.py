"""What all steps share: the checks, the undo, and the head of the notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from handson.course import checks, live_topology, log_window, outline
from handson.course.check_report import Report
from handson.course.sending import Sending
from handson.errors import CheckFailed
from handson.hosts.connections import Connections
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.header import Header, StepMark
from handson.ui.view import View
from handson.workspace import Workspace

# How long a header waits to know what is true now, in seconds.
HEADER_SECONDS = 1.4

Standing = Callable[["Step", float], dict[str, str]]
Other = TypeVar("Other", bound="Step")


class Step(Sending, View):
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

    def picture(self, focus: str = "") -> View:
        """Return the picture of where the learner is, drawn from what is there now."""
        return live_topology.draw(self.observe(), self.target, focus)

    # -- the checks ----------------------------------------------------------

    def observe(self, slug: str = "") -> Observation:
        """Return what the checks of a step (this one, when none is named) look at, fresh."""
        since = log_window.counts_since(self.workspace, slug or self.slug)
        return Observation(self.settings, self.hosts, self.cloud, self.workspace.password, since)

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
        report = Report(self.title, checks.run(self.rules, self.observe()))
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
