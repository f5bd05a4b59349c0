"""How facts are read: the one seam between a host and what we know about it."""

from __future__ import annotations

from typing import Any, Protocol

from handson.facts import Facts


class Runner(Protocol):
    """A host as the facts see it: something that runs a command and gives back its output.

    Braces in `command` are filled with `values`, each quoted for the shell. Facts only
    read; they leave the host as it was.
    """

    @property
    def facts(self) -> Facts:
        """Files, packages and services of the host, asked with testinfra."""

    def read(self, command: str, **values: Any) -> str:
        """Return what the command printed; raise CommandFailed on another status than 0."""

    def probe(self, command: str, **values: Any) -> tuple[int, str]:
        """Return the command's exit status and what it printed, whatever they are."""
