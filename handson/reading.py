"""How facts are read: the one seam between a host and what we know about it."""

from __future__ import annotations

from typing import Any, Protocol


class Runner(Protocol):
    """A host as the facts see it: something that runs a command and gives back its output.

    Braces in `command` are filled with `values`, each quoted for the shell. Facts only
    read; they leave the host as it was.
    """

    def read(self, command: str, **values: Any) -> str:
        """Return what the command printed; raise CommandFailed on another status than 0."""

    def probe(self, command: str, **values: Any) -> tuple[int, str]:
        """Return the command's exit status and what it printed, whatever they are."""


def exists(runner: Runner, path: str) -> bool:
    """Tell whether there is a file or folder at `path`, also where only root may look."""
    status, output = runner.probe("sudo -n test -e {path}", path=path)
    if status == 1 and not output.strip():
        return False
    if status != 0:
        # sudo itself ends with 1 as well when it refuses, but not without a word: let
        # the same command fail aloud.
        runner.read("sudo -n test -e {path}", path=path)
    return True
