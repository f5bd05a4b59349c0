"""What has to be known of a place where the course runs, to reach its hosts and to run there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from handson.cloud.cloud import Cloud
from handson.settings import Settings
from handson.ui.view import View
from handson.workspace import Workspace


@dataclass(frozen=True)
class Endpoint:
    """Where a host can be reached over ssh.

    `host_keys` are its public keys, 'TYPE BASE64' each. `name` and `cure` say which host it
    is, and what to do where it does not answer. `key` is the file of the private key to log
    in with (empty: the workspace's), `behind` the host that the way leads through.
    """

    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    name: str = ""
    cure: str = ""
    key: str = ""
    behind: str = ""


class Tap(Protocol):
    """Reads the packets of an instance (given its id) from outside."""

    def capture(self, instance: str, port: int) -> None:
        """Begin to read those of a TCP port."""

    def captured(self, instance: str) -> str:
        """End it, and return what tcpdump has printed."""


class Target(Protocol):
    """Where the course runs: how its hosts are reached, and what a whole run does there.

    `name` is one of `settings.TARGETS`, `title` says it to people. `asks` are the choices
    that only this target has. `needs_lab` tells whether a lab has to be up, `makes_hosts`
    whether the course makes the hosts, and deletes them. `environment` are variables that a
    notebook's kernel gets.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    asks: ClassVar[tuple[str, ...]] = ()
    needs_lab: ClassVar[bool] = False
    makes_hosts: ClassVar[bool] = True
    environment: ClassVar[Mapping[str, str]] = {}

    workspace: Workspace
    settings: Settings

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self.workspace, self.settings = workspace, settings

    # -- what is there -------------------------------------------------------

    @property
    def connection(self) -> Mapping[str, Any] | None:
        """What boto3's clients are made with; None where there is no AWS API."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that there are, or will be."""
        return ("server", "client", "stranger")

    @property
    def jump(self) -> Endpoint | None:
        """The learner's own place, where it is another than this machine."""
        return None

    @property
    def is_outside(self) -> bool:
        """Whether the learner's own place is outside the hosts' network, on the Internet."""
        return True

    @property
    def mailbox(self) -> Endpoint | None:
        """The recipient's mail host, where the course may look into it."""
        return None

    @property
    def tap(self) -> Tap | None:
        """What reads the packets of an instance; None where root on the host itself can."""
        return None

    @property
    def how_to_start(self) -> str:
        """How a host that is stopped is started, in a sentence."""

    def away(self) -> list[str]:
        """Return the hosts that do not run, where the target can tell at once."""
        return []

    def place(self, name: str, cloud: Cloud) -> Endpoint:
        """Return where a host of the course is; raise HostUnreachable when it is not there."""

    def overview(self) -> View | None:
        """Return what `handson status` shows of the hosts, where it does not know it already."""
        return None

    # -- choices -------------------------------------------------------------

    def check_choices(self) -> None:
        """Raise InvalidInput where a choice is lacking that this target cannot do without."""

    @property
    def fixed(self) -> Mapping[str, str]:
        """The choices that the target makes by itself."""
        return {}

    def find_own_ip(self) -> str:
        """Return the learner's own address as the hosts see it; '' where it does not matter."""
        return ""

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with the target's own choices, and the learner's address found."""
        known = settings.with_(**self.fixed) if self.fixed else settings
        return known if known.own_ip else known.with_(own_ip=self.find_own_ip())

    # -- a run of the whole course -------------------------------------------

    @classmethod
    def for_run(cls, name: str, folder: Path, base: str = "", take_over: bool = False) -> Self:
        """Return the target for a run, with the workspace that it goes by.

        `folder` is what the run makes. `base` and `take_over` are for a lab: the image to
        build on, and whether to give up one of that name that no run made.
        """
        workspace = Workspace(name)
        return cls(workspace, workspace.settings(target=cls.name))

    def start(self) -> None:
        """Bring up what the hosts need, where it is down."""

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
