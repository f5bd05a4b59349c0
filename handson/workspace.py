"""The folder that remembers: choices, password, key, pinned hosts, progress, command log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from handson.errors import InvalidInput
from handson.i18n import _
from handson.secret import Secret
from handson.settings import Settings, from_environment, password_from_environment

LIBRARY_LOG = "library.log"
LAB = "lab"  # the file that holds the name of the lab to which a workspace belongs
FILES = (
    LAB,
    "choices.json",
    "password",
    "key",
    "key.pub",
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
    if name := os.environ.get("HANDSON_NAME"):
        return name
    named = os.environ.get("HANDSON_WORKSPACE")
    return (_lab_of(Path(named).expanduser()) if named else "") or "lab"


def _lab_of(folder: Path) -> str:
    with contextlib.suppress(OSError, UnicodeError):
        return (folder / LAB).read_text().strip()
    return ""


def default_path(name: str) -> Path:
    """Return the folder of a workspace: `HANDSON_WORKSPACE`, or one in the home folder."""
    if path := os.environ.get("HANDSON_WORKSPACE"):
        return Path(path).expanduser()
    return Path.home() / ".handson" / name


class Workspace:
    """One learner's folder, mode 0700. It survives kernels, browsers and reboots.

    It belongs to one lab: InvalidInput when it is opened for another. Files: `choices.json`,
    `password` and `key` (mode 0600), `key.pub`, `pins.json` (SSH host keys by instance),
    `progress.json`, `commands.log`, `library.log` (what libraries warn of).
    """

    # Where the warnings of libraries go. Not where root acts for a user: what is logged later,
    # root would write with its own rights, wherever a link of that user leads.
    last_opened: ClassVar[Path | None] = None

    def __init__(self, name: str = "", path: Path | None = None) -> None:
        self.name = name or default_name()
        self.path = path or default_path(self.name)
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # One that is there may be somebody else's, or a link to such a folder.
            if not os.access(self.path, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise InvalidInput(
                _("The workspace {path} cannot be made: {reason}.").format(
                    path=self.path, reason=error.strerror
                ),
                _("Name a folder of your own in HANDSON_WORKSPACE."),
            ) from None
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
            self._write_private(LAB, self.name)
        if os.geteuid() == os.getuid():
            Workspace.last_opened = self.path

    # -- choices -------------------------------------------------------------

    def settings(self, **arguments: str) -> Settings:
        """Return the choices: argument before environment before saved before default."""
        return Settings(**{**self._read("choices.json", {}), **from_environment(), **arguments})

    def save(self, settings: Settings) -> None:
        self._write("choices.json", settings.as_dict())

    @property
    def password(self) -> Secret | None:
        """The password of the SASL user: from the environment, or as saved, or None."""
        if given := password_from_environment():
            return given
        try:
            return Secret((self.path / "password").read_text())
        except FileNotFoundError:
            return None

    def save_password(self, password: Secret | None = None) -> Secret:
        """Save the password (a new one when none is given) with mode 0600, and return it."""
        chosen = password or Secret.generate()
        self._write_private("password", chosen.reveal())
        return chosen

    # -- ssh -----------------------------------------------------------------

    @property
    def key_file(self) -> Path:
        """The private key with which the learner logs in; made at first use."""
        file = self.path / "key"
        if not file.exists():
            key = Ed25519PrivateKey.generate()
            private = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
            public = key.public_key().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
            (self.path / "key.pub").write_text(f"{public.decode()} smtp-handson\n")
            self._write_private("key", private.decode())
        return file

    @property
    def public_key(self) -> str:
        return (self.key_file.parent / "key.pub").read_text().strip()

    def pinned(self, host: str) -> list[str]:
        """Return the SSH host keys that were pinned for a host, as 'TYPE BASE64' lines."""
        keys: list[str] = self._read("pins.json", {}).get(host, [])
        return keys

    def pin(self, host: str, keys: list[str]) -> None:
        self._write("pins.json", {**self._read("pins.json", {}), host: keys})

    def unpin(self) -> None:
        """Forget all pinned host keys: those hosts are no more."""
        (self.path / "pins.json").unlink(missing_ok=True)

    # -- what happened -------------------------------------------------------

    def progress(self) -> dict[str, dict[str, Any]]:
        """Return the last report of each step: `{slug: {"passed": …, "checks": […]}}`."""
        reports: dict[str, dict[str, Any]] = self._read("progress.json", {})
        return reports

    def record(self, slug: str, report: dict[str, Any]) -> None:
        """Remember a step's report; `done` in it tells when the step passed first."""
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
        self._write("notes.json", {**self._read("notes.json", {}), name: value})

    def noted(self, name: str) -> str:
        """Return what was remembered under a name, or ''."""
        value: str = self._read("notes.json", {}).get(name, "")
        return value

    def log(self, host: str, command: str, status: int) -> None:
        """Append a command to the log: output can get lost with a page, this does not."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with (self.path / "commands.log").open("a") as file:
            file.write(f"{now} [{host}] status {status}: {command}\n")

    # -- the end -------------------------------------------------------------

    def forget_secrets(self) -> None:
        """Remove the saved password and the private key; new ones are made when needed."""
        for name in ("password", "key", "key.pub"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder, or at least what a workspace keeps in it."""
        # Named one by one: the variable may have named a folder that holds more.
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    # -- files ---------------------------------------------------------------

    def _read(self, name: str, default: Any) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (FileNotFoundError, ValueError):
            return default

    def _write(self, name: str, value: Any) -> None:
        self._write_private(name, json.dumps(value, indent=1, ensure_ascii=False))

    def _write_private(self, name: str, text: str) -> None:
        draft = self.path / f".{name}.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        # In one go: a kernel that is killed here leaves the old file or the new one.
        draft.replace(self.path / name)
