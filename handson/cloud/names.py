"""The names of everything that the course makes in the cloud."""

from __future__ import annotations

from dataclasses import dataclass

PROJECT = "smtp-handson"


@dataclass(frozen=True)
class Names:
    """All names of one day (YYYYMMDD): the tutorial's, and in its manner those it lacks.

    >>> Names("20250101").server_group
    'sg_20250101-smtp-handson-smtp-server'
    """

    date: str

    @property
    def network_stack(self) -> str:
        return f"{PROJECT}-network-{self.date}"

    @property
    def server_stack(self) -> str:
        return f"{PROJECT}-server-{self.date}"

    @property
    def pri_sub_stack(self) -> str:
        return f"{PROJECT}-pri-sub-{self.date}"

    @property
    def client_stack(self) -> str:
        return f"{PROJECT}-client-{self.date}"

    @property
    def stranger_stack(self) -> str:
        return f"{PROJECT}-stranger-{self.date}"

    @property
    def server(self) -> str:
        return f"{self.date}-{PROJECT}-server"

    @property
    def client(self) -> str:
        return f"{self.date}-{PROJECT}-client"

    @property
    def stranger(self) -> str:
        return f"{self.date}-{PROJECT}-stranger"

    @property
    def server_group(self) -> str:
        return f"sg_{self.date}-{PROJECT}-smtp-server"

    @property
    def client_group(self) -> str:
        return f"sg_{self.date}-{PROJECT}-smtp-client"

    @property
    def stranger_group(self) -> str:
        return f"sg_{self.date}-{PROJECT}-smtp-stranger"

    @property
    def key(self) -> str:
        return f"{PROJECT}-{self.date}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which everything is found again, by a later run too."""
        return {"Project": PROJECT, "Date": self.date}
