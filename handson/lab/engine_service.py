"""Where the container engine is found, and the Podman service that a lab starts for itself.

In this order: what `DOCKER_HOST` or the Docker context names, and no other then; the sockets of
Docker and of Podman; and a `podman` program, for which the lab starts a service. A lab stays on
the engine that it was started on. `python -m handson.lab.engine_service` says which it would be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.constants
import psutil
from docker.context.config import get_current_context_name
from docker.errors import DockerException
from docker.utils import parse_host

from handson.errors import EngineMissing
from handson.i18n import _
from handson.lab import processes
from handson.lab.processes import as_root
from handson.lab.state import write_private
from handson.lab.ulimits import low_limits
from handson.lab.users import name_of
from handson.polling import patience

DEFAULT = "unix:///var/run/docker.sock"
SOCKET, MEMORY = "podman.sock", "engine"
OWN = "podman"  # in place of an address: the lab's own Podman service
# How long an engine may take, in seconds: to say that it is there, and for what it is asked.
SOON, LONG = 10, 75
# How long a Podman service may take until it answers, in seconds, and how often it is started.
START, STARTS = 120, 3


@dataclass(frozen=True)
class Found:
    """An engine that answers, and its address: OWN for a Podman service of the lab's own."""

    client: docker.DockerClient
    address: str


def find(folder: Path, name: str = "lab") -> Found:
    """Return the engine of a lab, or one for a new lab; raise EngineMissing with the cure.

    `folder` is this user's own, mode 0700: a Podman service that has to be started for this
    has its socket there, and the address of the engine that the lab is on is written there.
    `name` is that of the lab for which it is found.
    """
    if known := recall(folder):
        client = _start_podman(folder, name) if known == OWN else _client(known)
        if client is None:
            _check_rights(known)
            raise EngineMissing(
                _("The lab “{name}” is on the container engine at {address}, {reason}.").format(
                    name=name, address=known, reason=_silence(known)
                ),
                _(
                    "Start that engine, then run this again. Where it is gone for good, and the "
                    "lab with it: rm -r {folder}"
                ).format(folder=folder),
            )
        return Found(client, known)
    return _answering() or Found(_start_podman(folder, name), OWN)


def look() -> str:
    """Return 'docker' or 'podman': what a new lab would be on. Nothing is started for this.

    Raises EngineMissing with the cure where there is neither.
    """
    if found := _answering():
        with contextlib.closing(found.client):
            return "podman" if is_podman(found.client) else "docker"
    check_podman("lab")
    return "podman"


def remember(folder: Path, address: str) -> None:
    """Write down on which engine a lab is: each later command on it uses that one."""
    write_private(folder / MEMORY, address)


def forget(folder: Path) -> None:
    """Take that back: the lab was not made after all."""
    (folder / MEMORY).unlink(missing_ok=True)


def recall(folder: Path) -> str:
    """Return the address of the engine that a lab is on; '' for one that is on none yet."""
    with contextlib.suppress(OSError):
        return (folder / MEMORY).read_text()
    return ""


def _answering() -> Found | None:
    """Return the engine that answers; raise EngineMissing where the one that is named does not."""
    where, address = _named()
    if where:
        _check_here(where, address)
        if client := _client(address):
            return Found(client, address)
        _check_rights(address)
        raise EngineMissing(
            _("{where} names the container engine at {address}, {reason}.").format(
                where=where, address=address, reason=_silence(address)
            ),
            _("Start that engine, or name another one (unset DOCKER_HOST; docker context use)."),
        )
    for address in _usual():
        if client := _client(address):
            return Found(client, address)
    return None


def _named() -> tuple[str, str]:
    """Return what names an engine here, with its address; two empty strings where nothing does."""
    if host := os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST", host
    context = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if context == "default":
        return "", ""
    where = _("The Docker context “{name}”").format(name=context)
    try:
        address = docker.ContextAPI.kwargs_from_context(context).get("base_url", "")
    except (DockerException, OSError, ValueError, KeyError):  # its file may hold anything
        address = ""
    if not address:
        raise EngineMissing(
            _("{where} is chosen, and names no engine.").format(where=where),
            _("Choose another one: docker context use default"),
        )
    return where, address


def _check_here(where: str, address: str) -> None:
    """Raise EngineMissing unless the address is on this machine, where a lab's ways in are."""
    try:
        url = urlsplit(str(parse_host(address)))
        is_here = url.scheme == "http+unix" or (
            url.scheme in ("http", "https")
            and ((url.hostname or "").startswith("127.") or url.hostname in ("localhost", "::1"))
        )
    except (DockerException, ValueError):
        raise EngineMissing(
            _("{where} holds no address of a container engine: {address}").format(
                where=where, address=address
            ),
            _("Write it as in unix:///var/run/docker.sock."),
        ) from None
    if not is_here:
        raise EngineMissing(
            _(
                "{where} names a container engine on another machine, {address}; the lab needs "
                "one on this machine."
            ).format(where=where, address=address),
            _("Name one here: unset DOCKER_HOST, or docker context use default."),
        )


def _usual() -> Iterator[str]:
    yield DEFAULT
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield f"unix://{runtime}/podman/podman.sock"
    yield "unix:///run/podman/podman.sock"


def _client(address: str) -> docker.DockerClient | None:
    if _refusal(address):
        return None
    with contextlib.suppress(DockerException, OSError, KeyError):
        # Not the SDK's own "auto": it asks for the engine's whole version, for which Podman
        # looks up each of its programs in the machine's packages. That takes a second.
        with contextlib.closing(_sdk(address, docker.constants.MINIMUM_DOCKER_API_VERSION)) as one:
            version = _ping(one)["API-Version"]
        client = _sdk(address, version)
        client.api.timeout = LONG
        return client
    return None


def _sdk(address: str, version: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=address, timeout=SOON, version=version)


def _ping(client: docker.DockerClient) -> Any:
    """Return the headers of an engine's answer: it need not be spoken to in its own version."""
    answer = client.api.get(f"{client.api.base_url}/_ping", timeout=client.api.timeout)
    answer.raise_for_status()
    return answer.headers


def is_podman(client: docker.DockerClient) -> bool:
    """Return whether it is Podman that speaks Docker's API."""
    return "Libpod-API-Version" in _ping(client)


def _refusal(address: str) -> str:
    """Return why nobody can be spoken to at an address on this machine, or ''.

    The SDK forgets its socket when nobody listens, and Python warns of it some time later.
    """
    url = urlsplit(str(parse_host(address)))
    try:
        if url.scheme == "http+unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(url.path)
        else:
            socket.create_connection((url.hostname, url.port), SOON).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _silence(address: str) -> str:
    return _("which does not answer ({reason})").format(
        reason=_refusal(address) or _("something listens there, but not as an engine does")
    )


def _check_rights(address: str) -> None:
    """Raise EngineMissing where an engine listens that this user may not use."""
    if _refusal(address) == os.strerror(errno.EACCES):
        raise EngineMissing(
            _("You may not use the container engine at {address}: {reason}.").format(
                address=address, reason=os.strerror(errno.EACCES)
            ),
            _(
                "Run `sudo usermod -aG docker {user}` where it is Docker's, and log in again."
            ).format(user=name_of(os.getuid())),
        )


def check_podman(name: str) -> None:
    """Raise EngineMissing unless a Podman service could be started here, for the lab `name`."""
    user = name_of(os.getuid())
    if not shutil.which("podman"):
        _check_rights(DEFAULT)
        raise EngineMissing(
            _("No container engine was found: neither Docker nor Podman answers."),
            _(
                "Install one (on Debian or Ubuntu: sudo apt-get install podman), "
                "or start Docker, or name its socket in DOCKER_HOST."
            ),
        )
    if sys.platform != "linux":
        raise EngineMissing(
            _("Podman runs in a virtual machine on this system, and its socket is not named."),
            _(
                "Run `podman machine start`, then: export DOCKER_HOST=unix://$(podman machine "
                "inspect --format '{{.ConnectionInfo.PodmanSocket.Path}}')"
            ),
        )
    if not processes.may_be_root():
        raise EngineMissing(
            _("Podman is installed, but you may not use it: the lab needs root's, by sudo."),
            _("Have somebody who may do this run: {command} up --for {user} --name {name}").format(
                command=processes.with_sudo(), user=user, name=name
            ),
        )


def service_processes(folder: Path) -> list[psutil.Process]:
    """Return the Podman services that were started in a folder."""
    return processes.find("podman", "system", "service", f"unix://{folder / SOCKET}")


def _start_podman(folder: Path, name: str) -> docker.DockerClient:
    """Start a Podman service in this folder (or find it running) and connect to it."""
    place = folder / SOCKET
    address = f"unix://{place}"
    if client := _client(address):
        return client
    check_podman(name)
    write_private(folder / "containers.conf", _containers_conf())
    log = folder / "podman.log"
    said_before = log.stat().st_size if log.exists() else 0
    starts = 0
    process = None
    for _gone in patience(START, 0.05, 0.2):
        if process is None or not processes.runs(process):
            # One that was just ended may take the socket of the next one with it.
            if starts == STARTS:
                break
            starts += 1
            process = _serve_podman(folder, address, log)
        if as_root() and place.exists():
            # Who may use sudo may use root's Podman; its socket is root's at first.
            owner = f"{os.getuid()}:{os.getgid()}"
            subprocess.run([*as_root(), "chown", owner, str(place)], check=False)
        if client := _client(address):
            return client
    words = log.read_bytes()[said_before:].decode(errors="replace").strip().splitlines()[-3:]
    if process is not None and processes.runs(process):
        processes.end([process])
        seen = _("its service has not answered for {seconds} s").format(seconds=START)
    else:
        seen = _("its service ended {count} times").format(count=starts)
    raise EngineMissing(
        _("Podman is installed, but {seen}. It said: {words}").format(
            seen=seen, words=" / ".join(words) or _("nothing")
        ),
        _("Try `podman info` in a terminal; it says what Podman lacks."),
    )


def _serve_podman(folder: Path, address: str, log: Path) -> psutil.Process:
    settings = f"CONTAINERS_CONF={folder / 'containers.conf'}"
    service = ["podman", "--log-level=error", "system", "service", "-t", "0", address]
    return processes.start([*as_root(), "env", settings, *service], log)


def _containers_conf() -> str:
    """Return settings for a Podman service, also on a machine with fewer rights than most."""
    # Podman watches over each command it ran in a host for another five minutes, which
    # is a hundred processes by the end of the course.
    lines = ["[engine]", "exit_command_delay = 5"]
    # crun refuses a tree of control groups that mixes versions 1 and 2.
    if Path("/sys/fs/cgroup/unified").exists() and shutil.which("runc"):
        lines += ['runtime = "runc"']
    if limits := low_limits():
        values = ", ".join(f'"{limit["Name"]}={limit["Soft"]}:{limit["Hard"]}"' for limit in limits)
        lines += ["[containers]", f"default_ulimits = [{values}]"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Say which engine a new lab would be on; in one line what is missing where there is none.

    Returns the exit status: 2 where the engine that is named cannot be used, 1 for any other lack.
    """
    status = 2
    try:
        if not _named()[0]:
            status = 1
        print(look())
    except EngineMissing as error:
        print(error.what, error.cure, file=sys.stderr)
        return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
