"""The hands: commands and files on one host, over fabric.

A command is written with words in braces, which are filled in and quoted for the shell:

    server.run("sudo {install} {sasl_packages}")
    server.run("id {user}")
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import shlex
import string
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import paramiko
from fabric import Connection
from fabric.runners import Remote
from invoke.exceptions import CommandTimedOut, ThreadException

from handson.errors import CommandFailed, HandsonError, HostUnreachable, InvalidInput, NotRefused
from handson.hosts.facts import Facts
from handson.hosts.systems import System, identify
from handson.i18n import _
from handson.secret import Output, Secret, masked, remember
from handson.ui.view import Diff, Session, Terminal

Words = Mapping[str, "str | int | tuple[str, ...]"]

# A user's PATH over ssh lacks the folder where Debian keeps postconf.
PREAMBLE = "export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8; "
SECONDS = 120
ANSWER = 10  # seconds that a host has to say that it is there
# paramiko's word for a command whose exit status never came: the connection was cut.
NO_STATUS = -1
# What paramiko raises where a connection is no more, even when it is to be closed.
BROKEN = (OSError, EOFError, paramiko.SSHException)


class BulkRemote(Remote):  # type: ignore[misc]
    """fabric's runner, which sends and takes by many kilobytes at once.

    invoke joins all that it was given so far at each piece that comes.
    """

    read_chunk_size = 1 << 15

    def read_our_stdin(self, input_: Any) -> str | None:
        text: str = input_.read(4096)
        return text


class _Words(string.Formatter):
    """Fills in words between braces; each value is quoted for the shell."""

    def __init__(self, quote: bool) -> None:
        self.quote = quote

    def get_field(self, field_name: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        # A word is a name: no attribute of a value, and no part of it.
        return self.get_value(field_name, args, kwargs), field_name

    def get_value(self, key: int | str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs:
            raise HandsonError(
                _("The command uses {{{word}}}, which nothing gives a value.").format(word=key),
                _("Words that can be used: {words}.").format(words=", ".join(sorted(kwargs))),
            )
        return kwargs[str(key)]

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Secret):
            if self.quote:
                raise HandsonError(
                    _("A password never stands on a command line: every user can list those."),
                    _("Send it on standard input: stdin=password."),
                )
            return value.reveal()
        if isinstance(value, tuple):
            return shlex.join(value) if self.quote else " ".join(value)
        # What a host printed is passed on as it is.
        text = value if isinstance(value, str) else str(value)
        return shlex.quote(text) if self.quote else text

    def filled(self, template: str, words: Mapping[str, Any]) -> str:
        try:
            return self.vformat(template, (), words)
        except ValueError:
            raise InvalidInput(
                _("Its braces do not go together: {text}").format(text=template.strip()[:200]),
                _("Write {{ and }} where a brace is meant as it is, and one for a word: {user}."),
            ) from None


def fill(command: str, words: Mapping[str, Any]) -> str:
    """Return the command with its words filled in, each quoted for the shell.

    >>> fill("id {user}", {"user": "joe; rm -rf /"})
    "id 'joe; rm -rf /'"
    """
    return _Words(quote=True).filled(command, words)


class Host:
    """A host of the course, known by its name in it ('server', 'client', 'mailbox').

    `connect` opens the connection when the first command needs it; `hidden` are the
    password and the names it may be coded with: masked in whatever is shown, not in what is read.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        words: Words | None = None,
        hidden: Callable[[], tuple[Secret | None, tuple[str, ...]]] = lambda: (None, ()),
        log: Callable[[str, str, int], None] = lambda host, command, status: None,
    ) -> None:
        self.name = name
        self._connect = connect
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        self._is_closed = False
        self._system: System | None = None
        self._words = dict(words or {})
        self._hidden = hidden
        self._log = log

    # -- what it is ----------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The fabric connection, open."""
        with self._connecting:  # those who look side by side share one
            if self._is_closed:
                raise closed(self.name)
            connection = self._connection
            if connection is None or not connection.is_connected:
                connection = self._connection = self._connect()
                if self._is_closed:  # meanwhile
                    self.close()
                    raise closed(self.name)
            return connection

    @property
    def system(self) -> System:
        """What this host's own /etc/os-release says it is."""
        if self._system is None:
            self._system = identify(self._execute("cat /etc/os-release")[1])
        return self._system

    @property
    def words(self) -> dict[str, Any]:
        """The words that may stand in braces in a command for this host."""
        return {**self.system.names(), **self._words}

    @cached_property
    def facts(self) -> Facts:
        """Files, packages and services of this host, asked with testinfra."""
        return Facts(self)

    def close(self) -> None:
        """Close the connection for good, whoever works on it or opens it just now."""
        # Waits for no lock: who holds it may wait for a host that does not answer.
        self._is_closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*BROKEN):
                connection.close()

    # -- commands ------------------------------------------------------------

    def run(
        self, *commands: str, stdin: str | Secret = "", status: int | None = 0, **values: Any
    ) -> Session:
        """Run commands, one after the other, and return what a terminal shows.

        `stdin` is sent on standard input to each, `status` is the exit status that is
        right; None takes any. Raises CommandFailed at the first that ends with another.
        """
        shown = []
        for command in commands:
            line = self.fill(command, **values)
            got, output = self._execute(line, stdin)
            if status is not None and got != status:
                raise CommandFailed(self.name, line, got, output)
            shown.append(Terminal(self.name, line, masked(output), got))
        return Session(shown)

    def refused(
        self, command: str, answer: str, stdin: str | Secret = "", **values: Any
    ) -> Terminal:
        """Run a command that has to be refused with an answer that holds `answer` (a pattern).

        Raises NotRefused when the command succeeds, or fails for another reason.
        """
        line = self.fill(command, **values)
        status, output = self._execute(line, stdin)
        if status == 0 or not re.search(answer, output):
            shown = Terminal(self.name, line, masked(output), status)
            raise NotRefused(
                _("This had to be refused with “{answer}”, and was not:").format(answer=answer)
                + f"\n{shown}\n"
                + _("(exit status {status})").format(status=status),
                _("Look at what the server's settings let through: run the checks of this step."),
            )
        return Terminal(self.name, line, masked(output), status, note=_("refused, as it has to be"))

    def read(self, command: str, **values: Any) -> str:
        """Return what a command prints; raise CommandFailed when it fails. Changes nothing."""
        line = self.fill(command, **values)
        status, output = self._execute(line, logged=False)
        if status != 0:
            raise CommandFailed(self.name, line, status, output)
        return output

    def probe(self, command: str, stdin: str | Secret = "", **values: Any) -> tuple[int, str]:
        """Return a command's exit status and what it printed, whatever they are."""
        return self._execute(self.fill(command, **values), stdin, logged=False)

    def bulk(self, command: str, **values: Any) -> tuple[int, str]:
        """Return what `probe` does, for output of megabytes: it travels packed.

        Raises CommandFailed where the host cannot pack it.
        """
        line = self.fill(command, **values)
        # A pipe's exit status is that of its last command: the one that counts goes along.
        packed = f"{{ ({line}\n) 2>&1; printf '\\n%s' $?; }} | gzip -1 | base64"
        status, output = self._send(packed)
        try:
            text = gzip.decompress(base64.b64decode(output)).decode("utf-8", "replace")
            text, _newline, status_text = text.rpartition("\n")
            return int(status_text), self._noticed(text)
        except (ValueError, EOFError, OSError, zlib.error):
            raise CommandFailed(self.name, line, status, output) from None

    def fill(self, command: str, **values: Any) -> str:
        """Return the command with its words filled in, as it will run."""
        return fill(command, {**self.words, **values})

    # -- files ---------------------------------------------------------------

    def backups(self, path: str) -> list[str]:
        """Return the dated backups of a file, oldest first."""
        path = self.text(path)
        status, output = self.probe("sudo ls {folder}", folder=str(Path(path).parent))
        name = re.escape(Path(path).name)
        dated = [one for one in output.split() if re.fullmatch(rf"{name}\.\d{{8}}", one)]
        return [f"{Path(path).parent}/{one}" for one in sorted(dated)] if status == 0 else []

    def backup(self, path: str) -> Session:
        """Copy a file to FILE.YYYYMMDD before its first change; a backup there is kept.

        An empty backup stands for a file that was not there.
        """
        full = self.text(path)
        if not self.backups(full):
            command = "cp -a {path}" if self.facts.file(full).exists else "touch"
            return self.run(
                f'sudo {command} {{path}}.$(date +"%Y%m%d")',
                'sudo ls {path}.$(date +"%Y%m%d")',
                path=full,
            )
        return self.run("sudo ls {backup}", backup=self.backups(full)[0])

    def diff(self, path: str) -> Diff:
        """Return how a file differs from its oldest backup."""
        full = self.text(path)
        backups = self.backups(path)
        if not backups:
            return Diff(full, "", _("there is no backup to compare it with"))
        status, output = self.probe("sudo diff -u {old} {new}", old=backups[0], new=full)
        if status > 1:
            raise CommandFailed(self.name, f"sudo diff -u {backups[0]} {full}", status, output)
        return Diff(full, masked(output))

    def write(self, path: str, content: str, mode: str = "0644", owner: str = "") -> Terminal:
        """Write a file; words in braces are filled in, a password too, which stays masked.

        What a host printed is written as it is: it has no words to fill in. The content
        travels on standard input. A file that is so already is left alone.
        """
        full = self.text(path)
        wanted = content if isinstance(content, Output) else self.text(content)
        sudo = "" if full.startswith("~/") else "sudo "
        target = _home(full)
        script = (
            f"umask 077; new=$(cat; printf x); new=${{new%x}}; "
            f"old=$({sudo}cat {target} 2>/dev/null; printf x); old=${{old%x}}; "
            f'if [ "$new" = "$old" ]; then echo "(already so)"; else '
            f'printf %s "$new" | {sudo}tee {target} >/dev/null || exit 1; fi; '
            f"{sudo}chmod {mode} {target}" + (f" && {sudo}chown {owner} {target}" if owner else "")
        )
        status, output = self._execute(script, wanted, shown=f"{sudo}vi {full}")
        if status != 0:
            raise CommandFailed(self.name, f"{sudo}vi {full}", status, output)
        shown = masked(f"{wanted}\n{output}").strip("\n")
        return Terminal(self.name, f"{sudo}vi {full}", shown, 0)

    def text(self, template: str) -> str:
        """Return a text with its words filled in as they are (for a file, not for a shell)."""
        secret = self._hidden()[0]
        words = self.words
        if secret:
            in_url = Secret(quote(secret.reveal(), safe=""))
            words = {**words, "password": secret, "password_in_url": in_url}
        return _Words(quote=False).filled(template, words)

    # -- underneath ----------------------------------------------------------

    def _execute(
        self, line: str, stdin: str | Secret = "", logged: bool = True, shown: str = ""
    ) -> tuple[int, str]:
        status, output = self._send(line, stdin)
        if logged:
            self._log(self.name, shown or line, status)
        return status, self._noticed(_as_seen(output))

    def _noticed(self, output: str) -> Output:
        """Return what the host printed, having seen to it that no view shows the password."""
        remember(*self._hidden())
        return Output(output)

    def _send(self, line: str, stdin: str | Secret = "") -> tuple[int, str]:
        """Run a line and return its exit status and its output as it is, secrets included."""
        data = stdin.reveal() if isinstance(stdin, Secret) else stdin
        source = "" if data else " </dev/null"
        script = f"{PREAMBLE}{{ {line}\n}}{source} 2>&1"
        started = time.monotonic()
        try:
            result = self.connection.run(
                script,
                hide=True,
                warn=True,
                pty=False,
                in_stream=io.StringIO(data) if data else False,
                timeout=SECONDS,
            )
        except CommandTimedOut:
            raise self._endless(line) from None
        except ThreadException:
            # One of the threads that carry input and output: its words are not for a reader.
            self._connection = None
            raise self._broken(_("it ended in the middle of a command")) from None
        except BROKEN as error:
            connection, self._connection = self._connection, None
            if connection is not None and connection.is_connected:
                close_silent(connection)  # what carries it may look connected, and not be
            raise self._broken(str(error) or type(error).__name__) from None
        if result.exited == NO_STATUS:
            if time.monotonic() - started >= SECONDS:
                # invoke has cut the command off, and has not noticed yet that it did.
                raise self._endless(line)
            self._connection = None
            raise self._broken(_("it ended in the middle of a command"))
        return result.exited, result.stdout

    def _endless(self, line: str) -> HandsonError:
        """Return the error for a command without an end: the host's own, or the network's."""
        connection, self._connection = self._connection, None
        if connection is not None and close_silent(connection):
            return HostUnreachable(
                _(
                    "{host} does not answer any more: a command had no end after {seconds} s, and "
                    "nothing came back within another {more} s."
                ).format(host=self.name, seconds=SECONDS, more=ANSWER),
                _("Check the network on the way there. Then run the cell again; it connects anew."),
            )
        self._connection = connection
        return CommandFailed(
            self.name,
            line,
            124,
            _("no end after {seconds} s; the host itself still answers").format(seconds=SECONDS),
        )

    def _broken(self, reason: str) -> HostUnreachable:
        return HostUnreachable(
            _("The connection to {host} broke ({reason}).").format(host=self.name, reason=reason),
            _("Run the cell again; it connects anew."),
        )


def close_silent(connection: Connection) -> bool:
    """Close a connection, and those that carry it, from the first one on that does not answer.

    Returns whether there was one. What still answers stays open: others may be using it.
    """
    way = [connection]
    while way[0].gateway is not None:
        way.insert(0, way[0].gateway)
    is_silent = False
    for one in way:
        is_silent = is_silent or not _answers(one)
        if is_silent:
            with suppress(*BROKEN):
                one.transport.close()
    return is_silent


def _answers(connection: Connection) -> bool:
    try:
        connection.transport.open_session(timeout=ANSWER).close()
    except paramiko.ChannelException:
        return True  # a refusal is an answer
    except BROKEN:
        return False
    return True


def closed(name: str) -> HostUnreachable:
    """Return the error for a connection that was closed while somebody needed it."""
    return HostUnreachable(
        _("The connection to {host} was closed.").format(host=name),
        _("Run the cell again; it connects anew."),
    )


def _as_seen(output: str) -> str:
    """Return what stays to be seen of lines that a program wrote over (a percentage)."""
    # The pattern looks at a line from each of its places: too slow for megabytes.
    output = output.replace("\r\n", "\n")
    return re.sub(r"[^\n]*\r(?=[^\n])", "", output) if "\r" in output else output


def _home(path: str) -> str:
    """Return a path quoted for the shell, with its ~/ left for the shell to expand."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)
