"""The embedded lab as a target; what of it is imported is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from handson.cloud.targets.ec2 import Ec2Target
from handson.cloud.targets.target import Endpoint, Tap
from handson.errors import LabError
from handson.i18n import _
from handson.ui.progress import progress
from handson.workspace import Workspace

if TYPE_CHECKING:
    from handson.lab.lab import Lab
    from handson.lab.state import LabState

REGION = "ap-northeast-1"


class LabTarget(Ec2Target):
    """A small EC2 on this machine; a run makes one of its own, with a workspace for once.

    What needs the lab to be up raises LabDown when it is down, LabError when it is another
    workspace's.
    """

    name = "lab"
    title = _("the embedded lab")
    login_user = "admin"
    needs_lab = True
    # Nothing of boto3 may look for an EC2 outside the lab.
    environment = {"AWS_EC2_METADATA_DISABLED": "true"}  # noqa: RUF012

    base = ""
    take_over = False
    _is_begun = False

    @cached_property
    def _state(self) -> LabState:
        from handson.lab.lab import check_key
        from handson.lab.state import LabState

        state = LabState.load(self.workspace.name)
        check_key(state, self.workspace.public_key)
        return state

    @cached_property
    def _lab(self) -> Lab:
        from handson.lab.lab import Lab

        return Lab(self.workspace.name)

    # -- what is there -------------------------------------------------------

    @property
    def connection(self) -> Mapping[str, Any]:
        return {
            "endpoint_url": self._state.endpoint,
            # The lab is one region, whichever is chosen for AWS; moto does not know all of them.
            "region_name": REGION,
            "aws_access_key_id": self._state.key_id,
            "aws_secret_access_key": self._state.key_secret,
        }

    @property
    def jump(self) -> Endpoint | None:
        keys = tuple(self._state.pc_host_keys)
        return Endpoint("127.0.0.1", self._state.pc_port, self.login_user, keys, "pc", self._cure)

    @property
    def mailbox(self) -> Endpoint | None:
        keys = tuple(self._state.mailbox_host_keys)
        ip = self._state.mailbox_ip
        return Endpoint(ip, 22, self.login_user, keys, "mailbox", self._cure)

    @property
    def _cure(self) -> str:
        return _(
            "`handson status` tells whether it runs; `handson up --name {name}` brings it back."
        ).format(name=self.workspace.name)

    @property
    def fixed(self) -> Mapping[str, str]:
        own = {"own_ip": self._state.pc_ip, "vpc_cidr": self._state.vpc_cidr}
        return {**super().fixed, **own}

    @property
    def tap(self) -> Tap | None:
        from handson.lab.api import LabApi

        return LabApi(self._state)

    @property
    def how_to_start(self) -> str:
        return _("`handson up --name {name}` brings it back.").format(name=self.workspace.name)

    def away(self) -> list[str]:
        from handson.lab.api import LabApi

        return LabApi(self._state).away()

    # -- a run of the whole course -------------------------------------------

    @classmethod
    def for_run(cls, name: str, folder: Path, base: str = "", take_over: bool = False) -> Self:
        workspace = Workspace(name, folder / "workspace")
        made = cls(workspace, workspace.settings(target=cls.name))
        made.base, made.take_over = base, take_over
        return made

    def start(self) -> None:
        if not self._lab.is_up:
            with progress(_("Starting the lab")) as shown:
                workspace = self.workspace
                self._lab.up(workspace.public_key, shown.say, workspace=str(workspace.path))

    def prepare(self) -> None:
        from handson.lab.state import RUN

        made = self._lab.maker()
        if made and made.purpose != RUN and not self.take_over:
            raise LabError(
                _("The lab “{name}” was not made by a run, but from {workspace}.").format(
                    name=self._lab.name, workspace=made.workspace or _("a workspace")
                ),
                _(
                    "Run beside it with another --name; or give it up, and what was done on "
                    "its hosts, with --take-over."
                ),
            )
        with progress(_("Starting the lab")) as shown:
            # What an earlier run left may be half of a course; this one begins at the start.
            self._lab.down(shown.say)
            self._is_begun = True
            self._lab.up(
                self.workspace.public_key, shown.say, self.base, RUN, str(self.workspace.path)
            )

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        if not self._is_begun:
            return _("No lab was started: nothing is left.")
        with progress(_("Taking the lab down")) as shown:
            self._lab.down(shown.say)
            left = self._lab.left_over()
        self.workspace.forget_secrets()  # those of hosts that are no more
        if left:
            raise LabError(
                _("This is left of the lab: {names}.").format(names=", ".join(left)),
                _("Run `handson down --name {name}`.").format(name=self._lab.name),
            )
        return _("The lab is torn down: nothing is left.")

    def keep(self) -> None:
        self._lab.keep()

    @property
    def kept(self) -> str:
        return _(
            "The lab is kept. Look around with `HANDSON_WORKSPACE={path} handson ssh "
            "--name {name} server`; remove it with `handson down --name {name}`."
        ).format(path=self.workspace.path, name=self._lab.name)
