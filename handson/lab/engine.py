"""The container engine for one lab: Podman >= 4.3 or Docker, both over the docker SDK."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import docker
import psutil
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from handson.errors import EngineMissing, LabError
from handson.i18n import _
from handson.lab import engine_service, processes, rights
from handson.lab.container import File, is_running, mac, put, remove, started, stop
from handson.lab.engine_errors import not_started
from handson.lab.execution import Unending, execute
from handson.lab.state import lab_folder
from handson.lab.temporary import own_folder
from handson.lab.ulimits import low_limits

LABEL = "handson.lab"
OWNER = "handson.owner"
LIBPOD = "v4.0.0/libpod"  # Podman's own API
GRACE = 10  # seconds for a command that the host itself should have ended
NO_WAY_OUT = "while ip route del default 2>/dev/null; do :; done"
# An engine that is itself in a container or a chroot may run a command in the wrong place:
# then nothing is done, rather than to the machine.
INSIDE = "[ -e /etc/handson-lab ] || { echo 'this is not inside a host of the lab'; exit 97; }"


class Engine:
    """A container engine for one lab; everything it makes carries the lab's and the owner's label.

    `marks` are further labels for what is made, `address` is the engine's.

    A host is two containers: its *interface*, a helper of the lab's own image that owns the
    network and holds the firewall, and the host itself, which has joined that network and cannot
    change it. So a host never runs without its firewall, not even for a moment at its start.

    Source of the host options: systemd's CONTAINER_INTERFACE document.
    """

    def __init__(
        self,
        name: str,
        client: docker.DockerClient,
        owner: int | None = None,
        marks: Mapping[str, str] | None = None,
        address: str = "",
    ) -> None:
        self.name = name
        self.client = client
        self.owner = os.getuid() if owner is None else owner
        self.label = {LABEL: name, OWNER: str(self.owner)}
        self.marks = dict(marks or {})
        self.address = address
        # Containers as they were seen last, and what was listed of each then.
        self._known: dict[str, tuple[object, Any]] = {}

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
                put(container, files)
            self.start_host(container, rules)
        except BaseException as error:
            self.remove_host(name)
            if isinstance(error, APIError):
                raise not_started(name, [cidr for _net, cidr in networks if cidr], error) from error
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
            self.join(self.network(network), interface, other)
        return interface

    def start_host(self, container: Any, rules: str) -> None:
        """Start a host that is stopped, its firewall first; one that runs only gets the rules.

        A host whose network was taken from under it is restarted.
        """
        interface = self.interface(container)
        if interface.status != "running":
            stop(container, 3)
            interface.start()
            interface.reload()
        elif is_running(container) and started(container) < started(interface):
            stop(container, 3)
        self.load(container, rules)
        container.start()
        container.reload()

    def stop_host(self, container: Any | None, interface: Any | None) -> None:
        """Stop what runs of a host; its address answers nobody any more."""
        if container is not None:
            stop(container, 10)
        if interface is not None and is_running(interface):
            interface.kill()  # it has nothing to end in order

    def load(self, container: Any, rules: str) -> None:
        """Load nftables text into a host's network; the host is stopped if that fails."""
        # Docker gives a host of an internal network a default route too, to this machine:
        # nothing may be looked up or reached by way of it.
        script = f"{NO_WAY_OUT}\nnft -f - <<'RULES'\n{rules}RULES\n"
        try:
            self.run(self.interface(container), script)
        except LabError:
            stop(container, 3)  # better no host than one without its security group
            raise

    def interface(self, container: Any) -> Any:
        """Return the container that owns a host's network; raise LabError when it is gone."""
        found = self.containers(**{"handson.interface": container.labels["handson.host"]})
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
            for container in self.containers(**{role: name}):
                remove(container)

    # -- what is done with them ----------------------------------------------

    @cached_property
    def is_podman(self) -> bool:
        return engine_service.is_podman(self.client)

    @cached_property
    def _control_groups(self) -> dict[str, Any]:
        if self.is_podman:  # which needs no telling, and is slow to tell
            return rights.control_groups(True, "")
        version = str(self.client.info().get("CgroupVersion") or "1")
        return rights.control_groups(False, version)

    def run(self, container: Any, script: str, timeout: int = 30) -> str:
        """Run a shell script in a container, with its rights, and return what it printed.

        Raises LabError with the last lines when it fails or takes longer than `timeout`
        seconds.
        """
        command = ["timeout", str(timeout), "sh", "-euc", f"{INSIDE}\n{script}"]
        try:
            # Ended by `timeout` in the host; that may be gone, or be another program by now.
            status, printed = execute(self.client.api, container.id, command, timeout + GRACE)
        except Unending:
            raise LabError(
                _(
                    "A command of the lab on its host {host} did not end within {seconds} s, "
                    "or printed without end."
                ).format(host=container.name, seconds=timeout + GRACE),
                _("Run `handson down`, then `handson up`."),
            ) from None
        output = printed.decode(errors="replace")
        if status != 0:
            tail = "\n".join(output.strip().splitlines()[-5:])
            raise LabError(
                _(
                    "The lab could not set up its host {host} (exit status {status}):\n{tail}"
                ).format(host=container.name, status=status, tail=tail),
                _("Run `handson down`, then `handson up`."),
            )
        return output

    def interfaces(self) -> dict[str, Any]:
        """Return the containers that own the hosts' networks, by the host's name."""
        found = self.containers("handson.interface")
        return {one.labels["handson.interface"]: one for one in found}

    def hosts(self, **labels: str) -> list[Any]:
        """Return the lab's hosts, stopped ones too, that carry all the labels."""
        return self.containers("handson.host", **labels)

    def host(self, name: str) -> Any | None:
        found = self.hosts(**{"handson.host": name})
        return found[0] if found else None

    def labels_of_owner(self) -> list[dict[str, str]]:
        """Return the labels of every container and network of this owner's labs."""
        wanted: dict[str, Any] = {"label": f"{OWNER}={self.owner}"}
        found = self.client.api.containers(all=True, filters=wanted)
        labels = [dict(one.get("Labels") or {}) for one in [*found, *self._every_network()]]
        return [one for one in labels if one.get(OWNER) == str(self.owner)]

    def containers(self, *keys: str, **labels: str) -> list[Any]:
        """Return every container of the lab with those labels: hosts, interfaces, helpers."""
        wanted = [*keys, *(f"{key}={value}" for key, value in {**self.label, **labels}.items())]
        found = self._listed({"label": wanted})
        return [one for one in (self._get(id_, state) for id_, state in found) if one]

    def _listed(self, filters: dict[str, list[str]]) -> list[tuple[str, object]]:
        """Return the ids of containers, and with each what changes whenever it changes.

        Docker does not tell that much in a list: None.
        """
        if not self.is_podman:
            found = self.client.api.containers(all=True, filters=filters)
            return [(one["Id"], None) for one in found]
        # Podman looks what has ended only where it is asked to.
        query = {"all": "true", "sync": "true", "filters": json.dumps(filters)}
        found = self._ask_podman("containers/json", **query)
        return [
            (c["Id"], (c["State"], c["Pid"], c["StartedAt"], sorted(c["Networks"] or [])))
            for c in found
        ]

    def _get(self, container_id: str, state: object) -> Any | None:
        """Return a container, or None when it was removed since it was listed.

        One that is as it was is not asked for again: the lab looks at its hosts at each request.
        """
        before, known = self._known.get(container_id, (None, None))
        if known and state and state == before:
            return known
        try:
            found = self.client.containers.get(container_id)
        except APIError as error:
            # Podman does not always call it by its number, 404.
            if error.status_code == 404 or "no such container" in str(error):
                self._known.pop(container_id, None)
                return None
            raise
        self._known[container_id] = (state, found)
        return found

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
        self.client.api.create_network(
            self.full(name),
            driver="bridge",
            internal=internal,
            ipam=pools,
            labels={**self.label, **self.marks, "handson.network": name, **(labels or {})},
        )
        return self.network(self.full(name))

    def join(self, network: Any, interface: Any, address: str) -> None:
        """Connect a host's interface to one more network; an address of '' leaves it open."""
        network.connect(interface, ipv4_address=address or None, mac_address=mac(address) or None)
        if is_running(interface):
            self.run(interface, NO_WAY_OUT)

    def networks(self) -> list[Any]:
        """Return the lab's networks, as the SDK's objects."""
        return [
            self.client.networks.prepare_model(one)
            for one in self._every_network()
            if self.label.items() <= (one.get("Labels") or {}).items()
        ]

    def network(self, name: str) -> Any:
        """Return a network by its full name, without asking for what is in it."""
        return self.client.networks.prepare_model({"Id": name, "Name": name})

    def subnets(self) -> list[str]:
        """Return every IPv4 subnet that any network of the engine has, whoever's it is."""
        pools = [
            pool
            for one in self._every_network()
            for pool in (one.get("IPAM") or {}).get("Config") or []
        ]
        return [pool["Subnet"] for pool in pools if "." in pool.get("Subnet", "")]

    def _every_network(self) -> list[dict[str, Any]]:
        """Return the networks of the engine, whoever's they are, as Docker's API tells of them.

        Podman's copy of that API looks at each container for each network, which took seconds
        with a few labs; it is asked in its own API.
        """
        if not self.is_podman:
            return list(self.client.api.networks())
        return [
            {
                "Id": one["name"],
                "Name": one["name"],
                "Labels": one.get("labels") or {},
                "IPAM": {"Config": [{"Subnet": p["subnet"]} for p in one.get("subnets") or []]},
            }
            for one in self._ask_podman("networks/json")
        ]

    def _ask_podman(self, what: str, **query: str) -> Any:
        """Ask Podman in its own API; raises one of BROKEN where it does not answer."""
        api = self.client.api
        address = f"{api.base_url}/{LIBPOD}/{what}"
        answer = api.get(address, params=query, timeout=api.timeout)
        answer.raise_for_status()
        return answer.json()

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


def connect(name: str, owner: int | None = None, marks: Mapping[str, str] | None = None) -> Engine:
    """Return the engine for the lab `name`; raise EngineMissing with the cures otherwise."""
    folder = lab_folder(name, owner, create=True)
    try:
        found = engine_service.find(folder, name)
    except EngineMissing:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only when nothing of the lab is in it
        raise
    return Engine(name, found.client, owner, marks, found.address)


@contextlib.contextmanager
def without_a_lab() -> Iterator[Engine]:
    """Give an engine for what no lab needs to be there for; nothing else stays of it."""
    with own_folder("engine") as folder:
        try:
            with Engine("none", engine_service.find(folder).client) as engine:
                yield engine
        finally:
            processes.end(engine_service.service_processes(folder), seconds=0.5)
