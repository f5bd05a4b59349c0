"""The names of everything that the course makes in the cloud."""

from __future__ import annotations

import re
from dataclasses import dataclass

PROJECT = "smtp-handson"


@dataclass(frozen=True)
class Names:
    """All names of one day (YYYYMMDD): the tutorial's, and in its manner those it lacks.

    Where several learners share an account, each has a name of their own behind the day.

    >>> Names("20250101").server_group
    'sg_20250101-smtp-handson-smtp-server'
    """

    date: str
    learner: str = ""

    @property
    def tail(self) -> str:
        """What follows the day: the templates' parameter Learner."""
        return f"-{self.learner}" if self.learner else ""

    @property
    def day(self) -> str:
        return f"{self.date}{self.tail}"

    def own(self, name: str) -> bool:
        """Return whether a stack or a key pair of that name is this learner's, of whatever day.

        >>> Names("20250101").own("smtp-handson-server-20250101-ayumi")
        False
        """
        return bool(re.fullmatch(rf"{PROJECT}(-[a-z-]+)?-[0-9]{{8}}{self.tail}", name))

    @property
    def network_stack(self) -> str:
        return f"{PROJECT}-network-{self.day}"

    @property
    def server_stack(self) -> str:
        return f"{PROJECT}-server-{self.day}"

    @property
    def pri_sub_stack(self) -> str:
        return f"{PROJECT}-pri-sub-{self.day}"

    @property
    def client_stack(self) -> str:
        return f"{PROJECT}-client-{self.day}"

    @property
    def stranger_stack(self) -> str:
        return f"{PROJECT}-stranger-{self.day}"

    @property
    def server(self) -> str:
        return f"{self.day}-{PROJECT}-server"

    @property
    def client(self) -> str:
        return f"{self.day}-{PROJECT}-client"

    @property
    def stranger(self) -> str:
        return f"{self.day}-{PROJECT}-stranger"

    @property
    def server_group(self) -> str:
        return f"sg_{self.day}-{PROJECT}-smtp-server"

    @property
    def client_group(self) -> str:
        return f"sg_{self.day}-{PROJECT}-smtp-client"

    @property
    def stranger_group(self) -> str:
        return f"sg_{self.day}-{PROJECT}-smtp-stranger"

    @property
    def key(self) -> str:
        return f"{PROJECT}-{self.day}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which everything is found again, by a later run too."""
        return {"Project": PROJECT, "Date": self.date}
