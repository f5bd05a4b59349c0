"""Where a run of the course happens: a lab of its own, or the learner's AWS account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from handson.cloud.cloud import Cloud
from handson.cloud.targets import of
from handson.errors import HandsonError, LabError
from handson.i18n import _
from handson.lab.lab import Lab
from handson.lab.state import RUN
from handson.ui.progress import progress
from handson.workspace import Workspace


class RunPlace(Protocol):
    """What a run needs of a place; `name` is that of the target."""

    name: str
    workspace: Workspace

    def prepare(self) -> None:
        """Make the place ready for the first notebook; raise HandsonError otherwise."""

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        """Remove what was made and return the sentence that says so.

        `complete` tells that every notebook passed, the teardown's too; `run_teardown`
        runs that notebook and tells whether it passed. Raises HandsonError when something is left.
        """

    def keep(self) -> None:
        """Have the hosts stay when the run has ended."""

    @property
    def kept(self) -> str:
        """What to know when everything stays as it is."""


class LabPlace:
    """A fresh lab, and a workspace that is used for one run."""

    name = "lab"

    def __init__(self, workspace: Workspace, base: str = "", take_over: bool = False) -> None:
        self.workspace, self.base, self.take_over = workspace, base, take_over
        self.lab = Lab(workspace.name)
        self._is_begun = False

    def prepare(self) -> None:
        made = self.lab.maker()
        if made and made.purpose != RUN and not self.take_over:
            raise LabError(
                _("The lab “{name}” was not made by a run, but from {workspace}.").format(
                    name=self.lab.name, workspace=made.workspace or _("a workspace")
                ),
                _(
                    "Run beside it with another --name; or give it up, and what was done on "
                    "its hosts, with --take-over."
                ),
            )
        with progress(_("Starting the lab")) as shown:
            # What an earlier run left may be half of a course; this one begins at the start.
            self.lab.down(shown.say)
            self._is_begun = True
            self.lab.up(
                self.workspace.public_key, shown.say, self.base, RUN, str(self.workspace.path)
            )

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        if not self._is_begun:
            return _("No lab was started: nothing is left.")
        with progress(_("Taking the lab down")) as shown:
            self.lab.down(shown.say)
            left = self.lab.left_over()
        self.workspace.forget_secrets()  # those of hosts that are no more
        if left:
            raise LabError(
                _("This is left of the lab: {names}.").format(names=", ".join(left)),
                _("Run `handson down --name {name}`.").format(name=self.lab.name),
            )
        return _("The lab is torn down: nothing is left.")

    def keep(self) -> None:
        self.lab.keep()

    @property
    def kept(self) -> str:
        return _(
            "The lab is kept. Look around with `HANDSON_WORKSPACE={path} handson ssh "
            "--name {name} server`; remove it with `handson down --name {name}`."
        ).format(path=self.workspace.path, name=self.lab.name)


class AwsPlace:
    """The account and the choices of the learner."""

    name = "aws"

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def prepare(self) -> None:
        settings = self.workspace.settings(target="aws")
        with progress(_("Looking who you are on AWS")) as shown:
            shown.say(settings.region)
            Cloud(settings, of(settings, self.workspace).connection).who_am_i()

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        if not complete and not run_teardown():
            raise HandsonError(
                _("Not everything on AWS could be deleted; what is left may cost money."),
                _("Run notebooks/10_teardown.ipynb: it lists what is left, and why."),
            )
        return _("Everything on AWS is deleted: nothing is left.")

    def keep(self) -> None:
        pass

    @property
    def kept(self) -> str:
        return _(
            "The instances on AWS are kept, and cost money. "
            "notebooks/10_teardown.ipynb deletes them."
        )
