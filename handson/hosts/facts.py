"""What is so on a host, asked with testinfra's host API over the connection that is open."""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from handson.errors import CommandFailed
from handson.hosts.runner import Runner


# testinfra has no types: for mypy its classes are Any.
class Facts(Host):  # type: ignore[misc]
    """testinfra's `Host` for a host of the course: its files, packages, services, users.

    Root looks, for only root may look everywhere. Nothing is changed, and nothing about
    files and services is remembered. Raises CommandFailed where a fact cannot be read.

    https://testinfra.readthedocs.io/en/latest/modules.html

    >>> server.facts.file("/etc/sasldb2").mode    # doctest: +SKIP
    416
    """

    def __init__(self, runner: Runner) -> None:
        super().__init__(_Backend(runner))

    def run_expect(
        self, expected: list[int], command: str, *args: str, **kwargs: Any
    ) -> CommandResult:
        """Run a command and return its result; raise CommandFailed on another exit status."""
        result = self.run(command, *args, **kwargs)
        if result.rc not in expected:
            line = self.backend.quote(command, *args)
            raise CommandFailed(self.backend.hostname, line, result.rc, result.stdout)
        return result

    def check_output(self, command: str, *args: str, **kwargs: Any) -> str:
        """Return what a command printed; raise CommandFailed when it fails."""
        printed: str = self.run_expect([0], command, *args, **kwargs).stdout
        return printed.rstrip("\r\n")

    def text(self, path: str) -> str:
        """Return what a file holds; raise CommandFailed where it cannot be read, or is a folder."""
        held: str = self.run_expect([0], "cat -- %s", path).stdout
        return held


class _Backend(BaseBackend):  # type: ignore[misc]
    """Runs testinfra's commands with the hands that the course has already."""

    NAME = "handson"

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.name, sudo=True)
        self._runner = runner

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        return str(self.quote("sudo -n sh -c %s", command))

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        line = self.get_command(command, *args)
        # A brace of the command's own is not one that a word goes into.
        status, output = self._runner.probe(line.replace("{", "{{").replace("}", "}}"))
        if status and output.startswith("sudo: "):
            # sudo refuses with a status that would be taken for an answer, such as "no file".
            raise CommandFailed(self.hostname, line, status, output)
        return self.result(status, line.encode(), output, "")
