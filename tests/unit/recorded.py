"""A host that answers from a list of recorded answers, for the tests of facts."""

from __future__ import annotations

import shlex

from handson.errors import CommandFailed


class Recorded:
    """Answers a command with its recorded output; `(status, output)` for a failed one.

    A command that was not recorded is an error: facts must ask what they are known to ask.
    """

    def __init__(self, answers: dict[str, str | tuple[int, str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

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
