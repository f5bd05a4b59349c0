"""The container engine: Podman >= 4.3 or Docker, both over the docker SDK."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import APIError, DockerException
from docker.types import IPAMConfig, IPAMPool

from handson.errors import LabError
from handson.i18n import _
from handson.lab import engine_service, processes
from handson.lab.limits import low_limits

LABEL = "handson.lab"
# An engine that is itself in a container or a chroot may run a command in the wrong place:
# then nothing is done, rather than to the machine.
INSIDE = "[ -e /etc/handson-lab ] || { echo 'this is not inside a host of the lab'; exit 97; }"
PROMISED = "handson.promised"  # of a lab's Internet: the network of the VPC that is to come


@dataclass(frozen=True)
class File:
    """A file to be put into a host: its absolute path, content, mode and owner's uid."""

    path: str
    content: str | bytes
    mode: int = 0o644
    uid: int = 0


class Engine:
    """A container engine for one lab; everything it makes carries the lab's label.

    Source of the host options: systemd's CONTAINER_INTERFACE document.
    """

    def __init__(self, name: str, client: docker.DockerClient) -> None:
        self.name = name
        self.client = client
        components = client.version().get("Components", [])
        self.is_podman = any("Podman" in component["Name"] for component in components)
        self.label = {LABEL: name}

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    # -- hosts ---------------------------------------------------------------

    def create_host(
        self,
        name: str,
        image: str,
        networks: list[tuple[str, str]],
        files: list[File] | None = None,
        command: list[str] | None = None,
        publish: int | None = None,
        labels: dict[str, str] | None = None,
        hostname: str | None = None,
    ) -> Any:
        """Create and start a host; `networks` are pairs of a network's name and an address.

        An address of '' leaves the choice to the engine. `publish` is a TCP port that
        becomes reachable at a random port on 127.0.0.1. Returns the SDK's container.
        """
        (first, address), *more = networks
        endpoint = self.client.api.create_endpoint_config(
            ipv4_address=address or None, mac_address=mac(address) or None
        )
        container = self.client.containers.create(
            image,
            command=command or ["/sbin/init"],
            name=f"{self.name}-{name}",
            hostname=hostname or name,
            labels={**self.label, "handson.host": name, **(labels or {})},
            environment={"container": "docker"},
            tmpfs={"/run": "", "/run/lock": "", "/tmp": ""},
            stop_signal="SIGRTMIN+3" if command is None else "SIGTERM",
            network=first,
            networking_config={first: endpoint},
            ports={f"{publish}/tcp": ("127.0.0.1", 0)} if publish else None,
            ulimits=low_limits(),
            # With packets of its own making, root on a host could go around its firewall.
            cap_drop=["NET_RAW"],
            **self._for_systemd(),
        )
        try:
            for network, other in more:
                self.join(self.client.networks.get(network), container, other)
            if files:
                self.put(container, files)
            container.start()
        except BaseException as error:
            container.remove(force=True, v=True)
            if isinstance(error, APIError):
                raise LabError(
                    _("The engine could not start the host {host}: {reason}").format(
                        host=container.name, reason=error.explanation or error
                    ),
                    _("Run `handson down`, then `handson up`."),
                ) from error
            raise
        return container

    def _for_systemd(self) -> dict[str, Any]:
        """Return the options without which systemd finds no control groups of its own."""
        if self.client.info().get("CgroupVersion") != "2":
            options: dict[str, Any] = {"volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:ro"]}
            return options if self.is_podman else {**options, "cgroupns": "host"}
        if self.is_podman:
            return {}  # it sees that systemd is to run, and does what that needs
        if int(self.client.version()["Version"].split(".")[0]) >= 28:
            return {"cgroupns": "private", "security_opt": ["writable-cgroups=true"]}
        return {"cgroupns": "host", "volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"]}

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

    def run(self, container: Any, script: str, privileged: bool = False, timeout: int = 30) -> str:
        """Run a shell script as root in a host and return what it printed.

        Raises LabError with the last lines when it fails or takes longer than `timeout`
        seconds.
        """
        # The limit is kept inside the host: the SDK's own would leave the script running.
        result = container.exec_run(
            ["timeout", str(timeout), "sh", "-euc", f"{INSIDE}\n{script}"], privileged=privileged
        )
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

    def hosts(self, **labels: str) -> list[Any]:
        """Return the lab's containers, stopped ones too, that carry all the labels."""
        wanted = [f"{key}={value}" for key, value in {**self.label, **labels}.items()]
        return list(self.client.containers.list(all=True, filters={"label": wanted}))

    def host(self, name: str) -> Any | None:
        found = self.hosts(**{"handson.host": name})
        return found[0] if found else None

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
        """Create a network; an internal one has no way out of the machine."""
        pools = IPAMConfig(pool_configs=[IPAMPool(subnet=cidr)]) if cidr else None
        return self.client.networks.create(
            f"{self.name}-{name}",
            driver="bridge",
            internal=internal,
            ipam=pools,
            labels={**self.label, "handson.network": name, **(labels or {})},
        )

    def join(self, network: Any, container: Any, address: str) -> None:
        """Connect a host to one more network; an address of '' leaves it to the engine."""
        network.connect(container, ipv4_address=address or None, mac_address=mac(address) or None)

    def networks(self) -> list[Any]:
        return list(self.client.networks.list(filters={"label": f"{LABEL}={self.name}"}))

    def subnets(self) -> list[str]:
        """Return every IPv4 subnet that any network of the engine has, this lab's or not.

        Among them are those that labs have promised to VPCs which are not made yet.
        """
        found = []
        for network in self.client.networks.list():
            try:
                network.reload()
            except docker.errors.NotFound:  # another lab has gone meanwhile
                continue
            if promised := (network.attrs.get("Labels") or {}).get(PROMISED):
                found.append(promised)
            for pool in (network.attrs.get("IPAM") or {}).get("Config") or []:
                if "." in pool.get("Subnet", ""):
                    found.append(pool["Subnet"])
        return found

    # -- images --------------------------------------------------------------

    def fetch_base(self, image: str) -> None:
        """Fetch an image that a build cannot fetch by itself; raise LabError if that fails.

        A registry on loopback speaks plain HTTP. Docker knows that; Podman has to be told,
        which only its own API can do (podman-system-service(1), libpod's ImagePullLibpod).
        """
        if not (self.is_podman and is_on_loopback(image)):
            return
        answer = self.client.api.post(
            f"{self.client.api.base_url}/v4.0.0/libpod/images/pull",
            params={"reference": image, "tlsVerify": "false"},
        )
        told = [json.loads(line) for line in answer.text.splitlines() if line.startswith("{")]
        errors = [part["error"] for part in told if part.get("error")]
        errors += [part["message"] for part in told if part.get("message")]
        if errors or not answer.ok:
            raise LabError(
                _("The image {image} could not be fetched: {reason}").format(
                    image=image, reason=errors[-1] if errors else answer.reason
                ),
                _("Is the registry within reach? `--base IMAGE` chooses another Debian 12 image."),
            )

    def load(self, archive: Path, image: str) -> None:
        """Make an image of that name from a root file system's tar archive; LabError else."""
        try:
            if not self.is_podman:
                repository, _colon, tag = image.rpartition(":")
                self.client.api.import_image_from_file(str(archive), repository, tag)
                return
            # Podman 4.3, asked as Docker is, forgets the name and leaves its copy of the
            # archive in /var/tmp for ever; asked in its own way it does neither.
            with archive.open("rb") as file:
                self.client.api.post(
                    f"{self.client.api.base_url}/v4.0.0/libpod/images/import",
                    params={"reference": image},
                    data=file,
                    headers={"Content-Type": "application/x-tar"},
                ).raise_for_status()
        except (DockerException, OSError) as error:
            raise LabError(
                _("The engine refused the host image: {answer}").format(answer=error),
                _("Look for a full disk (df -h), then run `handson up` again."),
            ) from None

    # -- the end -------------------------------------------------------------

    def remove_all(self) -> int:
        """Remove every container, network and volume with the lab's label; return how many."""
        hosts, networks = self.hosts(), self.networks()
        for container in hosts:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        # Podman's watchers of commands that ran in a host outlive it for some seconds.
        names = {container.id for container in hosts}
        watchers = []
        for process in processes.find("conmon"):
            with contextlib.suppress(psutil.Error):
                if names & set(process.cmdline()):
                    watchers.append(process)
        processes.end(watchers)
        for network in networks:
            with contextlib.suppress(docker.errors.NotFound):
                network.remove()
        volumes = self.client.volumes.list(filters={"label": f"{LABEL}={self.name}"})
        for volume in volumes:
            volume.remove(force=True)
        return len(hosts) + len(networks) + len(volumes)


def mac(address: str) -> str:
    """Return the hardware address of the host with that IPv4 address, as Docker derives it.

    Podman would draw another one at each start, and for half a minute the neighbours would
    go on sending to the old one.

    >>> mac("10.87.2.44")
    '02:42:0a:57:02:2c'
    """
    parts = [f"{int(part):02x}" for part in address.split(".") if part]
    return ":".join(["02", "42", *parts]) if parts else ""


def is_on_loopback(image: str) -> bool:
    """Tell whether an image's name says that its registry is on this machine.

    >>> is_on_loopback("127.0.0.1:5000/debian:12"), is_on_loopback("debian:12")
    (True, False)
    """
    host = image.partition("/")[0].rpartition(":")[0].strip("[]")
    return "/" in image and (host.startswith("127.") or host in ("localhost", "::1"))


def connect(name: str) -> Engine:
    """Return the engine for the lab `name`; raise EngineMissing with the cures otherwise."""
    return Engine(name, engine_service.find(name))
