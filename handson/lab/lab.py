"""One lab from `up` to `down`."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
from docker.errors import APIError

from handson.errors import EngineMissing, LabDown, LabError
from handson.i18n import _
from handson.lab import engine as engines
from handson.lab import engine_service, internet, network, processes
from handson.lab import image as images
from handson.lab.engine import Engine
from handson.lab.state import LabState, alone, check_name, runtime_folder

Say = Callable[[str], None]

SERVER = "handson.lab.server"


def _nothing(sentence: str) -> None:
    pass


class Lab:
    """An embedded lab, known by its name; several run side by side.

    >>> Lab("no lab")
    Traceback (most recent call last):
    ...
    handson.errors.InvalidInput: “no lab” cannot name a lab.
    → Use a small letter first, then up to 29 small letters, digits or hyphens.
    """

    def __init__(self, name: str = "lab") -> None:
        self.name = check_name(name)

    @property
    def is_up(self) -> bool:
        """Tell whether the lab answers."""
        try:
            return self._answers(LabState.load(self.name).endpoint)
        except LabDown:
            return False

    def up(self, public_key: str, say: Say = _nothing, base: str = "") -> LabState:
        """Start the lab, or adopt it where it runs, and return its state.

        `public_key` is an OpenSSH public key: its holder may log in to the learner's
        place. What an earlier lab of this name left behind is replaced. Raises
        EngineMissing or LabError.
        """
        runtime_folder(self.name, create=True)
        with engines.connect(self.name) as engine:
            if state := self._running(engine):
                internet.authorize(engine, public_key)
                return state
            self._clear(engine)
            image = images.ensure(engine, say, base)
            try:
                return self._start(engine, image, public_key, say)
            except BaseException:
                self._clear(engine)
                raise

    def build(self, say: Say = _nothing, base: str = "") -> str:
        """Build the host image where it is missing, and return its name; nothing else stays."""
        with self._tidy(), engines.connect(self.name) as engine:
            return images.ensure(engine, say, base)

    def down(self, say: Say = _nothing) -> bool:
        """Remove all that the lab made, whatever state it is in; tell whether there was any.

        Found by label, so that it works after a crash too. The host image stays.
        """
        found = int(runtime_folder(self.name).exists())
        try:
            engine = engines.connect(self.name)  # which may make that folder
        except EngineMissing:
            if not found:
                raise
        else:
            say(_("Removing the lab's hosts and networks"))
            with engine:
                found += self._clear(engine)
        self._close()
        return bool(found)

    def left_over(self) -> list[str]:
        """Return what exists of the lab on this machine: containers, networks, processes."""
        with self._tidy(), engines.connect(self.name) as engine:
            names = [host.name for host in engine.hosts()]
            names += [net.name for net in engine.networks()]
        names += [f"process {process.pid}" for process in processes.find(SERVER, self.name)]
        return names

    def memory(self) -> dict[str, int]:
        """Return the memory that each running host takes, in bytes, by the host's name.

        An instance goes by its tag Name, and by its id where it has none.
        """
        with engines.connect(self.name) as engine:
            return {
                host.labels.get("handson.name") or host.labels["handson.host"]: engine.memory(host)
                for host in engine.hosts()
                if host.status == "running"
            }

    def run_outside(self, instance_id: str, script: str) -> str:
        """Run a script in an instance's network with rights that its own root has not.

        This is where one stands who taps the wire. Raises LabError.
        """
        with engines.connect(self.name) as engine:
            (host,) = engine.hosts(**{"handson.instance": instance_id})
            return engine.run(host, script, privileged=True)

    # -- parts ---------------------------------------------------------------

    @contextlib.contextmanager
    def _tidy(self) -> Iterator[None]:
        """Leave no folder and no Podman service behind where there were none before."""
        was_there = runtime_folder(self.name).exists()
        try:
            yield
        finally:
            if not was_there:
                self._close()

    def _close(self) -> None:
        """End the lab's own Podman service and remove its folder."""
        # Asked to end, it waits for connections that nobody uses any more.
        processes.end(engine_service.service_processes(self.name), seconds=0.5)
        folder = runtime_folder(self.name)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # only when no other lab's folder is in it

    def _running(self, engine: Engine) -> LabState | None:
        if not self.is_up:
            return None
        state = LabState.load(self.name)
        for name in ("pc", "mailbox", "resolver"):
            host = engine.host(name)
            if host is None or host.status != "running":
                return None
        # The engine may have been restarted meanwhile and have published another port.
        port = internet.published_port(engine.host("pc"))
        return state if port == state.pc_port else None

    def _clear(self, engine: Engine) -> int:
        found = processes.end(processes.find(SERVER, self.name))
        found += engine.remove_all()
        folder = runtime_folder(self.name)
        for file in ("lab.json", "endpoint"):
            (folder / file).unlink(missing_ok=True)
        return found

    def _start(self, engine: Engine, image: str, public_key: str, say: Say) -> LabState:
        with alone(self.name):
            used = [*network.taken(), *engine.subnets()]
            vpc = network.first_free(network.VPCS, used)
            cidr = _create_internet(engine, used, vpc)
        say(_("Starting the AWS API and the lab's Internet ({cidr})").format(cidr=cidr))
        engine.create_network(internet.OUTSIDE, internal=False)
        server = self._start_server(image, cidr)
        internet.start(engine, image, cidr, vpc, public_key)
        pc, mailbox = engine.host("pc"), engine.host("mailbox")
        state = LabState(
            name=self.name,
            endpoint=self._wait_for_server(server),
            pc_port=internet.published_port(pc),
            pc_ip=network.address(cidr, network.PC),
            pc_host_keys=internet.host_keys(engine, pc),
            mailbox_ip=network.address(cidr, network.MAILBOX),
            mailbox_host_keys=internet.host_keys(engine, mailbox),
            internet_cidr=cidr,
            vpc_cidr=vpc,
            image=image,
            engine="podman" if engine.is_podman else "docker",
        )
        state.save()
        return state

    def _start_server(self, image: str, cidr: str) -> psutil.Process:
        command = [sys.executable, "-m", SERVER, self.name, "--image", image, "--internet", cidr]
        self._log().unlink(missing_ok=True)
        return processes.start(command, self._log())

    def _wait_for_server(self, server: psutil.Process) -> str:
        file = runtime_folder(self.name) / "endpoint"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and processes.runs(server):
            with contextlib.suppress(OSError):
                endpoint = file.read_text()
                if endpoint and self._answers(endpoint):
                    return endpoint
            time.sleep(0.05)
        tail = self._log().read_text(errors="replace").strip().splitlines()[-5:]
        raise LabError(
            _("The lab's AWS API did not start:\n{tail}").format(tail="\n".join(tail)),
            _("Run `handson down`, then `handson up`."),
        )

    def _answers(self, endpoint: str) -> bool:
        try:
            with urllib.request.urlopen(f"{endpoint}/handson-lab", timeout=5) as answer:
                return bool(answer.read(100) == self.name.encode())
        except (OSError, HTTPException):
            return False

    def _log(self) -> Path:
        return runtime_folder(self.name) / "server.log"


def _create_internet(engine: Engine, used: list[str], vpc: str) -> Any:
    """Create the Internet on the first network that is free, and return its CIDR."""
    for cidr in network.free(network.INTERNETS, used):
        try:
            engine.create_network(internet.NETWORK, cidr, labels={engines.PROMISED: vpc})
        except APIError as error:
            # Another lab, or a container that nobody asked, was quicker.
            if "already used" not in str(error) and "overlap" not in str(error):
                raise
        else:
            return cidr
    return network.first_free([], used)
