"""The container engine for one lab: Podman >= 4.3 or Docker, both over the docker SDK."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import docker
import psutil
from docker.errors import APIError, DockerException
from docker.types import IPAMConfig, IPAMPool, LogConfig
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from handson.errors import EngineMissing, LabError
from handson.i18n import _
from handson.lab import engine_service, processes, rights
from handson.lab.state import lab_folder
from handson.lab.temporary import own_folder
from handson.lab.ulimits import low_limits
from handson.polling import patience

LABEL = "handson.lab"
OWNER = "handson.owner"
# How the docker SDK says that the engine's service does not answer, or no more.
BROKEN = (DockerException, RequestException, HTTPError, OSError)
PACKETS = 20_000  # that a capture reads at most, should nobody end it
# An engine that is itself in a container or a chroot may run a command in the wrong place:
# then nothing is done, rather than to the machine.
INSIDE = "[ -e /etc/handson-lab ] || { echo 'this is not inside a host of the lab'; exit 97; }"


@dataclass(frozen=True)
class File:
    """A file to be put into a host: its absolute path, content, mode and owner's uid."""

    path: str
    content: str | bytes
    mode: int = 0o644
    uid: int = 0


class Engine:
    """A container engine for one lab; everything it makes carries the lab's and the owner's label.

    `marks` are further labels for what is made. A host is two containers: its *interface*, a
    helper of the lab's own image that owns the network and holds the firewall, and the host
    itself, which has joined that network and cannot change it. So a host never runs without
    its firewall, not even for a moment at its start.

    Source of the host options: systemd's CONTAINER_INTERFACE document.
    """

    def __init__(
        self,
        name: str,
        client: docker.DockerClient,
        owner: int | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.client = client
        self.owner = os.getuid() if owner is None else owner
        self.label = {LABEL: name, OWNER: str(self.owner)}
        self.marks = dict(marks or {})

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def full(self, name: str) -> str:
        """Return the engine's name for something of this lab: no other owner has the same."""
        return f"handson-{self.owner}-{self.name}-{name}"

    def ping(self) -> None:
        """Raise one of BROKEN unless the engine's service answers, and soon."""
        api = self.client.api
        api.get(f"{api.base_url}/_ping", timeout=engine_service.SOON).raise_for_status()

    # -- hosts ---------------------------------------------------------------

    def create_host(
        self,
        name: str,
        image: str,
        networks: list[tuple[str, str]],
        rules: str,
        files: list[File] | None = None,
        command: list[str] | None = None,
        publish: int | None = None,
        labels: dict[str, str] | None = None,
        hostname: str | None = None,
    ) -> Any:
        """Create and start a host behind its firewall; `rules` are nftables text.

        `networks` are pairs of a network's name and an address; an address of '' leaves the
        choice to the engine. `publish` is a TCP port that becomes reachable at a random port
        on 127.0.0.1. Returns the SDK's container; raises LabError, and leaves nothing then.
        """
        options: dict[str, Any] = {
            "environment": {"container": "docker"},
            "tmpfs": {"/run": "", "/run/lock": "", "/tmp": ""},
            "stop_signal": "SIGRTMIN+3" if command is None else "SIGTERM",
            **rights.of(rights.HOST),
            **self._control_groups,
        }
        if self.is_podman:
            # Docker takes it from the interface, and refuses to be told.
            options["hostname"] = hostname or name
        try:
            interface = self._create_interface(name, image, networks, publish, hostname or name)
            container = self.client.containers.create(
                image,
                command=command or ["/sbin/init"],
                name=self.full(name),
                labels={**self.label, **self.marks, "handson.host": name, **(labels or {})},
                network_mode=f"container:{interface.id}",
                ulimits=low_limits(),
                **options,
            )
            if files:
                self.put(container, files)
            self.start_host(container, rules)
        except BaseException as error:
            self.remove_host(name)
            if isinstance(error, APIError):
                raise self._not_started(name, error) from error
            raise
        return container

    def _create_interface(
        self,
        name: str,
        image: str,
        networks: list[tuple[str, str]],
        publish: int | None,
        hostname: str,
    ) -> Any:
        (first, address), *more = networks
        endpoint = self.client.api.create_endpoint_config(
            ipv4_address=address or None, mac_address=mac(address) or None
        )
        interface = self.client.containers.create(
            image,
            command=["sleep", "infinity"],
            name=self.full(f"{name}-if"),
            hostname=hostname,
            labels={**self.label, **self.marks, "handson.interface": name},
            network=first,
            networking_config={first: endpoint},
            ports={f"{publish}/tcp": ("127.0.0.1", 0)} if publish else None,
            ulimits=low_limits(),
            **rights.HELPER,
            **rights.of(rights.INTERFACE),
        )
        for network, other in more:
            self.join(self.client.networks.get(network), interface, other)
        return interface

    def start_host(self, container: Any, rules: str) -> None:
        """Start a host that is stopped, its firewall first; one that runs only gets the rules.

        A host whose network was taken from under it is restarted.
        """
        interface = self.interface(container)
        if interface.status != "running":
            self._stop(container)
            interface.start()
            interface.reload()
        elif is_running(container) and started(container) < started(interface):
            self._stop(container)
        self.load(container, rules)
        container.start()
        container.reload()

    def stop_host(self, container: Any | None, interface: Any | None) -> None:
        """Stop what runs of a host; its address answers nobody any more."""
        if container is not None and is_running(container):
            container.stop(timeout=10)
        if interface is not None and is_running(interface):
            interface.kill()  # it has nothing to end in order

    def load(self, container: Any, rules: str) -> None:
        """Load nftables text into a host's network; the host is stopped if that fails."""
        try:
            self.run(self.interface(container), f"nft -f - <<'RULES'\n{rules}RULES\n")
        except LabError:
            self._stop(container)  # better no host than one without its security group
            raise

    def _stop(self, container: Any) -> None:
        if is_running(container):
            container.stop(timeout=3)

    def interface(self, container: Any) -> Any:
        """Return the container that owns a host's network; raise LabError when it is gone."""
        found = self._containers(**{"handson.interface": container.labels["handson.host"]})
        if not found:
            raise LabError(
                _("The network interface of {host} was removed by hand.").format(
                    host=container.name
                ),
                _("Run `handson up`: it makes the host anew."),
            )
        return found[0]

    def remove_host(self, name: str) -> None:
        """Remove a host and its interface, whatever state they are in."""
        # An interface can go when nothing is joined to it any more.
        for role in ("handson.beside", "handson.host", "handson.interface"):
            for container in self._containers(**{role: name}):
                remove(container)

    # -- packets -------------------------------------------------------------

    def capture(self, container: Any, port: int) -> None:
        """Begin to read the packets of a TCP port of a host, so many at most."""
        self._end_capture(container)
        interface = self.interface(container)
        tcpdump = f"tcpdump -c {PACKETS} --immediate-mode -p -i any -A -l -n -s 0 tcp port"
        beside = self.client.containers.create(
            interface.attrs["Image"],
            command=[*tcpdump.split(), str(port)],
            name=self.full(f"{container.labels['handson.host']}-capture"),
            labels={
                **self.label,
                **self.marks,
                "handson.beside": container.labels["handson.host"],
            },
            network_mode=f"container:{interface.id}",
            log_config=LogConfig(type=LogConfig.types.JSON),
            ulimits=low_limits(),
            **rights.HELPER,
            **rights.of(rights.CAPTURE),
        )
        beside.start()
        for _gone in patience(15, first=0.05):
            if b"listening on" in beside.logs(stdout=False):
                return
        said = beside.logs().decode(errors="replace").strip().splitlines()[-3:]
        remove(beside)
        raise LabError(
            _("The packets could not be read: {reason}").format(reason=" / ".join(said)),
            _("Run the cell again."),
        )

    def captured(self, container: Any) -> str:
        """End what `capture` began and return what tcpdump has printed."""
        time.sleep(0.3)  # what has just been sent is on its way
        return self._end_capture(container)

    def _end_capture(self, container: Any) -> str:
        text = ""
        for beside in self._containers(**{"handson.beside": container.labels["handson.host"]}):
            with contextlib.suppress(APIError):  # it has ended by itself
                beside.kill("SIGTERM")
                beside.wait(timeout=10)
            text = beside.logs(stderr=False).decode(errors="replace")
            remove(beside)
        return text

    # -- files and scripts ---------------------------------------------------

    @cached_property
    def is_podman(self) -> bool:
        return engine_service.is_podman(self.client)

    @cached_property
    def _control_groups(self) -> dict[str, Any]:
        if self.is_podman:  # which needs no telling, and is slow to tell
            return rights.control_groups(True, "")
        version = str(self.client.info().get("CgroupVersion") or "1")
        return rights.control_groups(False, version)

    def _not_started(self, name: str, error: APIError) -> LabError:
        reason = str(error.explanation or error)
        if "writable-cgroups" in reason or "security-opt" in reason or "security opt" in reason:
            return LabError(
                _("This Docker cannot give a host control groups of its own: {reason}").format(
                    reason=reason
                ),
                _(
                    "With the machine's, one host could end another. Use Docker 28 or newer, "
                    "or Podman."
                ),
            )
        return LabError(
            _("The engine could not start the host {host}: {reason}").format(
                host=name, reason=reason
            ),
            _("Run `handson down`, then `handson up`."),
        )

    def put(self, container: Any, files: list[File]) -> None:
        """Put files into a host, whether it runs or not; their folders are made."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for file in files:
                content = file.content.encode() if isinstance(file.content, str) else file.content
                info = tarfile.TarInfo(file.path.lstrip("/"))
                info.size, info.mode, info.mtime = len(content), file.mode, int(time.time())
                info.uid = info.gid = file.uid
                tar.addfile(info, io.BytesIO(content))
            end = tar.offset + 2 * tarfile.BLOCKSIZE
        # Nothing after the two blocks that end an archive: Podman's reader stops there, and
        # what it leaves unread may come back as "broken pipe".
        container.put_archive("/", archive.getvalue()[:end])

    def run(self, container: Any, script: str, timeout: int = 30) -> str:
        """Run a shell script in a container, with its rights, and return what it printed.

        Raises LabError with the last lines when it fails or takes longer than `timeout`
        seconds.
        """
        # The limit is kept inside the host: the SDK's own would leave the script running.
        result = container.exec_run(["timeout", str(timeout), "sh", "-euc", f"{INSIDE}\n{script}"])
        output: str = result.output.decode(errors="replace")
        if result.exit_code != 0:
            tail = "\n".join(output.strip().splitlines()[-5:])
            raise LabError(
                _(
                    "The lab could not set up its host {host} (exit status {status}):\n{tail}"
                ).format(host=container.name, status=result.exit_code, tail=tail),
                _("Run `handson down`, then `handson up`."),
            )
        return output

    def interfaces(self) -> dict[str, Any]:
        """Return the containers that own the hosts' networks, by the host's name."""
        found = self._containers("handson.interface")
        return {one.labels["handson.interface"]: one for one in found}

    def hosts(self, **labels: str) -> list[Any]:
        """Return the lab's hosts, stopped ones too, that carry all the labels."""
        return self._containers("handson.host", **labels)

    def host(self, name: str) -> Any | None:
        found = self.hosts(**{"handson.host": name})
        return found[0] if found else None

    def labels_of_owner(self) -> list[dict[str, str]]:
        """Return the labels of every container and network of this owner's labs."""
        wanted: dict[str, Any] = {"label": f"{OWNER}={self.owner}"}
        found = self.client.api.containers(all=True, filters=wanted)
        found += self.client.api.networks(filters=wanted)
        return [dict(one.get("Labels") or {}) for one in found]

    def containers(self) -> list[Any]:
        """Return every container of the lab: hosts, their interfaces, helpers."""
        return self._containers()

    def _containers(self, *keys: str, **labels: str) -> list[Any]:
        wanted = [*keys, *(f"{key}={value}" for key, value in {**self.label, **labels}.items())]
        found = self.client.api.containers(all=True, filters={"label": wanted})
        return [one for one in (self._get(each["Id"]) for each in found) if one]

    def _get(self, container_id: str) -> Any | None:
        """Return a container, or None when it was removed since it was listed."""
        try:
            return self.client.containers.get(container_id)
        except APIError as error:
            # Podman does not always call it by its number, 404.
            if error.status_code == 404 or "no such container" in str(error):
                return None
            raise

    def addresses(self, container: Any) -> list[str]:
        """Return the IPv4 addresses that the engine gave a host."""
        networks = self.interface(container).attrs["NetworkSettings"]["Networks"].values()
        return sorted(network["IPAddress"] for network in networks if network.get("IPAddress"))

    def memory(self, container: Any) -> int:
        """Return how many bytes of memory a running host takes, what it caches included."""
        stats = container.stats(stream=False, one_shot=True)
        return int(stats["memory_stats"].get("usage", 0))

    # -- networks ------------------------------------------------------------

    def create_network(
        self,
        name: str,
        cidr: str = "",
        internal: bool = True,
        labels: dict[str, str] | None = None,
    ) -> Any:
        """Create a network; an internal one has no way out of the machine.

        The engine gives no block out twice, whoever asks: APIError says that it is taken.
        """
        pools = IPAMConfig(pool_configs=[IPAMPool(subnet=cidr)]) if cidr else None
        return self.client.networks.create(
            self.full(name),
            driver="bridge",
            internal=internal,
            ipam=pools,
            labels={**self.label, **self.marks, "handson.network": name, **(labels or {})},
        )

    def join(self, network: Any, interface: Any, address: str) -> None:
        """Connect a host's interface to one more network; an address of '' leaves it open."""
        network.connect(interface, ipv4_address=address or None, mac_address=mac(address) or None)

    def networks(self) -> list[Any]:
        wanted = [f"{key}={value}" for key, value in self.label.items()]
        return list(self.client.networks.list(filters={"label": wanted}))

    def subnets(self) -> list[str]:
        """Return every IPv4 subnet that any network of the engine has, whoever's it is."""
        found = []
        for network in self.client.networks.list():
            try:
                network.reload()
            except APIError:  # another lab has gone meanwhile
                continue
            for pool in (network.attrs.get("IPAM") or {}).get("Config") or []:
                if "." in pool.get("Subnet", ""):
                    found.append(pool["Subnet"])
        return found

    # -- the end -------------------------------------------------------------

    def remove_all(self) -> int:
        """Remove every container, network and volume of the lab; return how many."""
        containers, networks = self.containers(), self.networks()
        # An interface can go when no host is joined to it any more.
        for container in sorted(containers, key=lambda one: "handson.interface" in one.labels):
            remove(container)
        # Podman's watchers of commands that ran in a host outlive it for some seconds.
        names = {container.id for container in containers}
        watchers = []
        for process in processes.find("conmon") if names else []:
            with contextlib.suppress(psutil.Error):
                if names & set(process.cmdline()):
                    watchers.append(process)
        processes.end(watchers)
        for network in networks:
            with contextlib.suppress(docker.errors.NotFound):
                network.remove()
        volumes = self.volumes()
        for volume in volumes:
            volume.remove(force=True)
        return len(containers) + len(networks) + len(volumes)

    def volumes(self) -> list[Any]:
        wanted = [f"{key}={value}" for key, value in self.label.items()]
        return list(self.client.volumes.list(filters={"label": wanted}))

    def left(self) -> list[str]:
        """Return the names of all that the engine still has of the lab."""
        return [one.name for one in [*self.containers(), *self.networks(), *self.volumes()]]


def remove(container: Any) -> None:
    with contextlib.suppress(docker.errors.NotFound):
        container.remove(force=True, v=True)


def is_running(container: Any) -> bool:
    return bool(container.status == "running")


def is_whole(container: Any | None, interface: Any | None) -> bool:
    """Tell whether a host runs, in the network that its interface holds."""
    if container is None or interface is None:
        return False
    both_run = is_running(container) and is_running(interface)
    return both_run and started(interface) <= started(container)


def started(container: Any) -> datetime:
    """Return when a container started last."""
    return datetime.fromisoformat(container.attrs["State"]["StartedAt"])


def explanation(error: Exception) -> str:
    """Return the engine's own words of an error, where it has any."""
    return str(getattr(error, "explanation", "") or error).strip()


def mac(address: str) -> str:
    """Return the hardware address of the host with that IPv4 address, as Docker derives it.

    Podman would draw another one at each start, and for half a minute the neighbours would
    go on sending to the old one.

    >>> mac("10.87.2.44")
    '02:42:0a:57:02:2c'
    """
    parts = [f"{int(part):02x}" for part in address.split(".") if part]
    return ":".join(["02", "42", *parts]) if parts else ""


def connect(name: str, owner: int | None = None, marks: Mapping[str, str] | None = None) -> Engine:
    """Return the engine for the lab `name`; raise EngineMissing with the cures otherwise."""
    folder = lab_folder(name, owner, create=True)
    try:
        client = engine_service.find(folder, name)
    except EngineMissing:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only when nothing of the lab is in it
        raise
    return Engine(name, client, owner, marks)


@contextlib.contextmanager
def without_a_lab() -> Iterator[Engine]:
    """Give an engine for what no lab needs to be there for; nothing else stays of it."""
    with own_folder("engine") as folder:
        try:
            with Engine("none", engine_service.find(folder)) as engine:
                yield engine
        finally:
            processes.end(engine_service.service_processes(folder), seconds=0.5)
