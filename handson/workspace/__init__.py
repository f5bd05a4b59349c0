"""The folder that remembers: choices, password, key, pinned hosts, progress, command log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from handson.errors import HandsonError, InvalidInput
from handson.i18n import _
from handson.secret import Secret
from handson.settings import (
    CHECKS,
    Settings,
    check_host_key,
    check_name,
    check_password,
    from_environment,
    password_from_environment,
    variable,
)
from handson.workspace import private_file

LIBRARY_LOG = "library.log"
LAB = "lab"  # the file that holds the name of the lab to which a workspace belongs
FILES = (
    LAB,
    "choices.json",
    "password",
    "key",
    "key.pub",  # of earlier versions
    "pins.json",
    "progress.json",
    "notes.json",
    "commands.log",
    LIBRARY_LOG,
    "ssh_config",
    "known_hosts",
)


def default_name() -> str:
    """Return the name of the lab and of the workspace.

    That is `HANDSON_NAME`, or the name of the folder that `HANDSON_WORKSPACE` names, or 'lab'.
    """
    if name := variable("HANDSON_NAME"):
        return name
    return (_lab_of(default_path("lab")) if variable("HANDSON_WORKSPACE") else "") or "lab"


def _lab_of(folder: Path) -> str:
    with contextlib.suppress(OSError, UnicodeError):
        return (folder / LAB).read_text().strip()
    return ""


def default_path(name: str) -> Path:
    """Return the folder of a workspace: `HANDSON_WORKSPACE`, or one in the home folder."""
    named = variable("HANDSON_WORKSPACE")
    try:
        return Path(named).expanduser() if named else Path.home() / ".handson" / name
    except RuntimeError:
        raise InvalidInput(
            _("There is no such home folder: {path}").format(path=named or "~"),
            _("Name a folder of your own in HANDSON_WORKSPACE."),
        ) from None


class Workspace:
    """One learner's folder, mode 0700. It survives kernels, browsers and reboots.

    It belongs to one lab: InvalidInput when it is opened for another, and where others may
    write it. Files, all of mode 0600: `choices.json`, `password`, `key`, `pins.json` (SSH host
    keys by instance), `progress.json`, `commands.log`, `library.log` (what libraries warn of).
    Whatever finds one of them damaged raises HandsonError and leaves it as it is.
    """

    # Where the warnings of libraries go. Not where root acts for a user: what is logged later,
    # root would write with its own rights, wherever a link of that user leads.
    last_opened: ClassVar[Path | None] = None

    def __init__(self, name: str = "", path: Path | None = None) -> None:
        self.name = check_name(name or default_name())
        self.path = path or default_path(self.name)
        try:
            private_file.make_folder(self.path)
            # One that is there may be somebody else's, or a link to such a folder.
            if not os.access(self.path, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            mode = self.path.stat().st_mode
        except OSError as error:
            raise InvalidInput(
                _("The workspace {path} cannot be made: {reason}.").format(
                    path=self.path, reason=error.strerror
                ),
                _("Name a folder of your own in HANDSON_WORKSPACE."),
            ) from None
        if mode & 0o022:
            raise InvalidInput(
                _("Other users may write in the workspace {path}, which holds your key.").format(
                    path=self.path
                ),
                _(
                    "If the folder is yours alone: chmod go-w {path}. Otherwise name another in "
                    "HANDSON_WORKSPACE."
                ).format(path=self.path),
            )
        belongs = _lab_of(self.path)
        if belongs and belongs != self.name:
            raise InvalidInput(
                _("The workspace {path} belongs to the lab “{lab}”, not to “{name}”.").format(
                    path=self.path, lab=belongs, name=self.name
                ),
                _(
                    "Name that lab (--name {lab}, or HANDSON_NAME), or another folder in "
                    "HANDSON_WORKSPACE."
                ).format(lab=belongs),
            )
        if not belongs:
            private_file.write(self.path / LAB, self.name)
        if os.geteuid() == os.getuid():
            Workspace.last_opened = self.path

    # -- choices -------------------------------------------------------------

    def settings(self, **arguments: str) -> Settings:
        """Return the choices: argument before environment before saved before default."""
        saved = self._read("choices.json", _is_text)
        for name, value in saved.items():
            if name not in CHECKS:
                raise self.damaged(
                    "choices.json", _("it holds “{name}”, which is not a choice").format(name=name)
                )
            try:
                CHECKS[name](value)
            except InvalidInput as problem:
                raise self.damaged("choices.json", problem.what.removesuffix(".")) from None
        return Settings(**{**saved, **from_environment(), **arguments})

    def save(self, settings: Settings) -> None:
        self._write("choices.json", settings.as_dict())

    @property
    def password(self) -> Secret | None:
        """The password of the SASL user: from the environment, or as saved, or None."""
        if given := password_from_environment():
            return given
        saved = private_file.read(self.path / "password")
        if saved is None:
            return None
        try:
            return Secret(check_password(saved.removesuffix("\n")))
        except InvalidInput:
            raise self.damaged("password", _("it holds no password of the course")) from None

    def save_password(self, password: Secret | None = None) -> Secret:
        """Save the password (a new one when none is given) with mode 0600, and return it."""
        chosen = password or Secret.generate()
        private_file.write(self.path / "password", chosen.reveal())
        return chosen

    # -- ssh -----------------------------------------------------------------

    @property
    def key_file(self) -> Path:
        """The private key with which the learner logs in; made at first use."""
        file = self.path / "key"
        if not file.exists():
            private = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
            private_file.write(file, private.decode())
        return file

    @property
    def public_key(self) -> str:
        """The public key as a line of OpenSSH's; derived, for a file of it could be another's."""
        private = private_file.read(self.key_file) or ""
        try:
            key = serialization.load_ssh_private_key(private.encode(), None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise self.damaged("key", _("it holds no private key without a passphrase")) from None
        public = key.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        return f"{public.decode()} smtp-handson"

    def pinned(self, host: str) -> list[str]:
        """Return the SSH host keys that were pinned for a host, as 'TYPE BASE64' lines."""
        keys: list[str] = self._read("pins.json", _are_keys).get(host, [])
        return keys

    def pin(self, host: str, keys: list[str]) -> None:
        self._write("pins.json", {**self._read("pins.json", _are_keys), host: keys})

    def unpin(self) -> None:
        """Forget all pinned host keys: those hosts are no more."""
        private_file.remove(self.path / "pins.json")

    # -- what happened -------------------------------------------------------

    def progress(self) -> dict[str, dict[str, Any]]:
        """Return the last report of each step: `{slug: {"passed": …, "checks": […]}}`."""
        reports: dict[str, dict[str, Any]] = self._read("progress.json", _is_report)
        return reports

    def record(self, slug: str, report: dict[str, Any]) -> None:
        """Remember a step's report; `done` in it says when the step passed first."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        done = self.progress().get(slug, {}).get("done") or (now if report["passed"] else "")
        stamped = {**report, "at": now, "done": done}
        self._write("progress.json", {**self.progress(), slug: stamped})

    def forget(self, *slugs: str) -> None:
        """Forget the reports of these steps, or of all."""
        kept = {slug: r for slug, r in self.progress().items() if slugs and slug not in slugs}
        self._write("progress.json", kept)

    def note(self, name: str, value: str) -> None:
        """Remember a small fact under a name, for a later notebook."""
        self._write("notes.json", {**self._read("notes.json", _is_text), name: value})

    def noted(self, name: str) -> str:
        """Return what was remembered under a name, or ''."""
        value: str = self._read("notes.json", _is_text).get(name, "")
        return value

    def log(self, host: str, command: str, status: int) -> None:
        """Append a command to the log: output can get lost with a page, this does not."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = f"{now} [{host}] status {status}: {command}\n"
        private_file.append(self.path / "commands.log", line)

    # -- the end -------------------------------------------------------------

    def forget_secrets(self) -> None:
        """Remove the saved password and the private key; new ones are made when needed."""
        for name in ("password", "key", "key.pub"):
            private_file.remove(self.path / name)

    def remove(self) -> None:
        """Remove the folder, or at least what a workspace keeps in it."""
        # Named one by one: the variable may have named a folder that holds more.
        for name in FILES:
            private_file.remove(self.path / name)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    # -- files ---------------------------------------------------------------

    def damaged(self, name: str, reason: str) -> HandsonError:
        """Return the error for a file of the workspace that cannot be used as it is."""
        path = self.path / name
        return HandsonError(
            _("{path} cannot be used: {reason}.").format(path=path, reason=reason),
            _("Correct it, or move it away and go on without it: mv {path} {path}.bad").format(
                path=path
            ),
        )

    def _read(self, name: str, is_right: Callable[[Any], bool]) -> dict[str, Any]:
        """Return a file's JSON object, empty where there is none; each value has to be right."""
        text = private_file.read(self.path / name)
        if text is None:
            return {}
        try:
            found = json.loads(text)
            json.dumps(found, ensure_ascii=False).encode()  # half of a character cannot be shown
        except (ValueError, RecursionError):
            raise self.damaged(name, _("it is not JSON")) from None
        if not isinstance(found, dict) or not all(map(is_right, found.values())):
            raise self.damaged(name, _("this version does not know what it holds"))
        return found

    def _write(self, name: str, value: Any) -> None:
        private_file.write(self.path / name, json.dumps(value, indent=1, ensure_ascii=False))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_keys(value: Any) -> bool:
    with contextlib.suppress(InvalidInput):
        return isinstance(value, list) and all(_is_text(k) and check_host_key(k) for k in value)
    return False


def _is_report(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("passed"), bool)
        and _is_text(value.get("done", ""))
        and _is_text(value.get("at", ""))
        and isinstance(value.get("checks"), list)
        and all(map(_is_check, value["checks"]))
    )


def _is_check(value: Any) -> bool:
    is_right = isinstance(value, dict) and isinstance(value.get("ok"), bool)
    return (
        is_right
        and _is_text(value.get("sentence"))
        and isinstance(value.get("applies", True), bool)
    )
