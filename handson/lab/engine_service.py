"""Where the container engine is found, and the Podman service that a lab starts for itself.

In this order: `DOCKER_HOST`, the current Docker context, the sockets of a running Podman,
and a `podman` program, for which the lab starts a service.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.constants
import psutil
from docker.errors import DockerException

from handson.errors import EngineMissing
from handson.i18n import _
from handson.lab import processes
from handson.lab.processes import as_root
from handson.lab.state import write_private
from handson.lab.ulimits import low_limits
from handson.lab.users import name_of
from handson.polling import patience

DEFAULT = "unix:///var/run/docker.sock"
SOCKET = "podman.sock"
# How long an engine may take, in seconds: to say that it is there, and for what it is asked.
SOON, LONG = 10, 75
# How long a Podman service may take until it answers, in seconds, and how often it is started.
START, STARTS = 120, 3


def find(folder: Path, name: str = "lab") -> docker.DockerClient:
    """Return the engine's API; raise EngineMissing with the cures otherwise.

    `folder` is this user's own, mode 0700: a Podman service that has to be started for this
    has its socket there. `name` is that of the lab for which it is found.
    """
    for address in _addresses():
        client = _client(address)
        if client:
            return client
    if shutil.which("podman"):
        return _start_podman(folder, name)
    raise EngineMissing(
        _("No container engine was found: neither Docker nor Podman answers."),
        _(
            "Install one (on Debian or Ubuntu: sudo apt-get install podman), "
            "or start Docker, or name its socket in DOCKER_HOST."
        ),
    )


def service_processes(folder: Path) -> list[psutil.Process]:
    """Return the Podman services that were started in a folder."""
    return processes.find("podman", "system", "service", f"unix://{folder / SOCKET}")


def _addresses() -> Iterator[str | None]:
    if host := os.environ.get("DOCKER_HOST"):
        yield host
        return
    yield None  # the Docker context, which is the default socket where none is chosen
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield f"unix://{runtime}/podman/podman.sock"
    yield "unix:///run/podman/podman.sock"


def _client(address: str | None) -> docker.DockerClient | None:
    if not _listens(address):
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


def _sdk(address: str | None, version: str) -> docker.DockerClient:
    if address is None:
        return docker.from_env(timeout=SOON, use_context=True, version=version)
    return docker.DockerClient(base_url=address, timeout=SOON, version=version)


def _ping(client: docker.DockerClient) -> Any:
    """Return the headers of an engine's answer: it need not be spoken to in its own version."""
    answer = client.api.get(f"{client.api.base_url}/_ping", timeout=client.api.timeout)
    answer.raise_for_status()
    return answer.headers


def is_podman(client: docker.DockerClient) -> bool:
    """Tell whether it is Podman that speaks Docker's API."""
    return "Libpod-API-Version" in _ping(client)


def _listens(address: str | None) -> bool:
    """Tell whether somebody listens at a Unix socket; what other addresses do, the SDK sees.

    The SDK forgets its socket when nobody does, and Python warns of it some time later.
    """
    if address is None:
        address = docker.ContextAPI.kwargs_from_context().get("base_url") or DEFAULT
    if not address.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(address.removeprefix("unix://")) == 0


def _start_podman(folder: Path, name: str) -> docker.DockerClient:
    """Start a Podman service in this folder (or find it running) and connect to it."""
    place = folder / SOCKET
    address = f"unix://{place}"
    if client := _client(address):
        return client
    if not _may_be_root():
        raise EngineMissing(
            _("Podman is installed, but you may not use it: the lab needs root's, by sudo."),
            _(
                "Ask who administers this machine for a lab: "
                "sudo handson up --for {user} --name {name}"
            ).format(user=name_of(os.getuid()), name=name),
        )
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


def _may_be_root() -> bool:
    try:
        asked = subprocess.run([*as_root(), "true"], capture_output=True, check=False)
    except OSError:  # there is no sudo
        return False
    return asked.returncode == 0


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
