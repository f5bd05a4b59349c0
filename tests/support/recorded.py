"""A host that answers from a list of recorded answers, for the tests of facts."""

from __future__ import annotations

import shlex
from functools import cached_property

from handson.errors import CommandFailed
from handson.hosts.facts import Facts


def as_root(command: str) -> str:
    """Return the command as which testinfra asks for a fact."""
    return f"sudo -n sh -c {shlex.quote(command)}"


# What testinfra asks first, to know with which commands to go on.
SYSTEM: dict[str, str | tuple[int, str]] = {
    as_root("uname -s"): "Linux\n",
    as_root("cat /etc/os-release"): 'ID=debian\nVERSION_ID="12"\n',
    as_root("uname -m"): "x86_64\n",
}


class Recorded:
    """Answers a command with its recorded output; `(status, output)` for a failed one.

    A command that was not recorded is an error: facts must ask what they are known to ask.
    """

    name = "recorded"

    def __init__(self, answers: dict[str, str | tuple[int, str]]) -> None:
        self.answers = {**SYSTEM, **answers}
        self.asked: list[str] = []

    @cached_property
    def facts(self) -> Facts:
        return Facts(self)

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        line = command.format(**{name: shlex.quote(str(text)) for name, text in values.items()})
        self.asked.append(line)
        answer = self.answers[line]
        return (0, answer) if isinstance(answer, str) else answer

    def read(self, command: str, **values: object) -> str:
        status, output = self.probe(command, **values)
        if status:
            raise CommandFailed("recorded", self.asked[-1], status, output)
        return output
