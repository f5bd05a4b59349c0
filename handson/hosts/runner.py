"""What runs a command, wherever it is: a host of the course, or this machine."""

from __future__ import annotations

from typing import Protocol


class Runner(Protocol):
    """Something that runs a command, with something on its standard input.

    Braces in `command` are filled with `values`, each quoted for the shell.
    """

    @property
    def name(self) -> str:
        """What errors call it."""

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        """Return the command's exit status and what it printed, whatever they are."""
