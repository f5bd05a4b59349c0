"""The AWS API of the lab: moto, with real hosts behind its instances.

moto keeps the books. After each request that may change something, and before it is
answered, hosts, networks and firewalls are brought in line with the books: a stack that
is complete has booted its hosts, and `AuthorizeSecurityGroupIngress` returns with the
port open. Where that fails, whoever asks next waits until it has been done.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from docker.errors import APIError, NotFound

from handson.errors import HandsonError, LabError
from handson.i18n import _
from handson.lab import books, internet, network
from handson.lab.container import File, is_whole, started
from handson.lab.engine import Engine
from handson.lab.engine_errors import BROKEN, explanation
from handson.lab.firewall import render

Found = TypeVar("Found")
PATIENCE = 100  # seconds; boto3's clients wait for 180 here
# A unit of the learner's that fails, or never ends, is no reason to give up a host.
BOOTED = "timeout 45 sh -c 'systemctl start user-data; systemctl is-system-running --wait' || :"
KEYS_BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
KEYS_END = "-----END SSH HOST KEY KEYS-----"


class NotMade(LabError):
    """What the books name cannot be made; `resource_id` is the instance or the VPC."""

    def __init__(self, resource_id: str, error: Exception) -> None:
        what = error.what if isinstance(error, HandsonError) else explanation(error)
        super().__init__(
            _("{id} could not be made: {reason}").format(id=resource_id, reason=what),
            _("Choose another address or network, or look at the lab's server.log."),
        )
        self.resource_id = resource_id


class Hardware:
    """What the AWS API stands on here: a host for each instance, a network for each VPC.

    `connect` connects to the container engine: anew when its service has ended meanwhile.
    The books are kept in `folder`; those of a server that was killed are gone on with, and so
    are its hosts.
    """

    def __init__(
        self, connect: Callable[[], Engine], around: internet.Internet, folder: Path
    ) -> None:
        self.connect = connect
        self.engine = connect()
        self.internet = around
        self.folder = folder
        self.loaded: dict[str, tuple[str, datetime]] = {}  # rules, and into which network
        known = books.take_up(folder)
        self.made: set[str] = known.get("made", set())  # instances that have been booted
        # Of those, whose last start is complete.
        self.settled: set[str] = known.get("settled", set())
        self.console: dict[str, str] = known.get("console", {})  # host keys, by instance
        self.lock = threading.RLock()
        # The books hold a change that has not reached all hosts.
        self.is_behind = bool(known)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Do one thing at a time; raise LabError when it takes too long to be one's turn."""
        if not self.lock.acquire(timeout=PATIENCE):
            raise LabError(
                _("The lab is still busy with an earlier request."),
                _("Wait a minute; the lab's server.log tells what it waits for."),
            )
        try:
            yield
        finally:
            self.lock.release()

    # -- bringing in line ----------------------------------------------------

    def follow(self) -> None:
        """Bring hosts, networks and firewalls in line with moto's books.

        Raises NotMade when a host or a network cannot be made, LabError or the engine's
        error when a host that is there cannot be brought in line: then `is_behind` stays.
        """
        with self.lock:
            self.is_behind = True
            self._keep()
            try:
                self._well_connected(self._follow)
                self.is_behind = False
            finally:
                self._keep()

    def notice(self) -> None:
        """Write down as stopped what should run and does not, as EC2 does.

        A host that ended by itself, was removed by hand or has lost its network is such a one.
        """
        with self.lock:
            running = self._well_connected(self._whole)
            for instance in books.instances().values():
                # One whose start is not complete is not lost: `follow` goes on with it.
                is_started = instance.state == "running" and instance.id in self.settled
                if is_started and instance.id not in running:
                    instance.stop()
                    self.settled.discard(instance.id)
                    self.is_behind = True  # something of the host may be there yet
                    self._keep()

    def _keep(self) -> None:
        """Keep the books, and what is known of the hosts, over the death of this process."""
        known = ("made", "settled", "console")
        books.keep(self.folder, {name: getattr(self, name) for name in known})

    def _whole(self) -> set[str]:
        """Return the instances whose host runs, in the network that its interface holds."""
        # One list for both: this is looked at before each answer.
        every = self.engine.containers()
        interfaces = {one.labels.get("handson.interface"): one for one in every}
        hosts = {one.labels.get("handson.instance"): one for one in every}
        return {id_ for id_, host in hosts.items() if id_ and is_whole(host, interfaces.get(id_))}

    def restore(self) -> list[str]:
        """Have every host run, whatever stopped it; return the names of hosts that are new ones.

        A host that was removed is made anew, from its image and its user data. All firewalls
        are loaded anew: whoever is root on this machine may have changed them.
        """
        with self.turn():
            self.notice()
            self.loaded.clear()
            there = self._well_connected(self._complete)
            self._well_connected(lambda: self.internet.restore(self.engine))
            instances = books.instances()
            stopped = {id_ for id_, one in instances.items() if one.state == "stopped"}
            for instance_id in stopped:
                instances[instance_id].start()
            self.follow()
            self._well_connected(lambda: self._see_booted(stopped))
            names = {id_: books.name(one) or id_ for id_, one in instances.items()}
            names |= {name: name for name in internet.HOSTS}
            return sorted(names[one] for one in names.keys() - there)

    def _see_booted(self, instance_ids: set[str]) -> None:
        """Wait until hosts have started what they serve, and a new one its user data."""
        hosts = [h for h in self._instance_hosts() if h.labels["handson.instance"] in instance_ids]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: self.engine.run(host, BOOTED, timeout=60), hosts))

    def _complete(self) -> set[str]:
        """Return the hosts that have their interface: any other has to be made anew."""
        hosts = {host.labels["handson.host"] for host in self._all_hosts()}
        return hosts & self.engine.interfaces().keys()

    def _well_connected(self, act: Callable[[], Found]) -> Found:
        """Act, and once more on a new connection where the engine's service has gone."""
        try:
            self.engine.ping()
            return act()
        except BROKEN as error:
            if isinstance(error, APIError) and not isinstance(error, NotFound):
                raise
            self.engine.client.close()
            self.engine = self.connect()
            return act()

    def _follow(self) -> None:
        with ThreadPoolExecutor(max_workers=8) as pool:
            wanted = books.instances()
            hosts = {host.labels["handson.instance"]: host for host in self._instance_hosts()}
            interfaces = self.engine.interfaces()
            for gone in hosts.keys() - wanted.keys():
                self._forget(gone)
                hosts.pop(gone)
            self._follow_networks(books.vpcs())
            rules = {id_: self._rules(one, wanted) for id_, one in wanted.items()}
            jobs = [
                pool.submit(
                    self._follow_instance, instance, hosts.get(id_), interfaces.get(id_), rules[id_]
                )
                for id_, instance in wanted.items()
            ]
            for job in jobs:
                job.result()

    def _forget(self, instance_id: str) -> None:
        self.engine.remove_host(instance_id)
        self.loaded.pop(instance_id, None)
        self.console.pop(instance_id, None)
        self.made.discard(instance_id)
        self.settled.discard(instance_id)

    def reboot(self, instance_ids: list[str]) -> None:
        """Restart the hosts of these instances, as RebootInstances does."""
        with self.lock:
            for host in self._instance_hosts():
                if host.labels["handson.instance"] in instance_ids:
                    host.stop(timeout=10)
                    self.settled.discard(host.labels["handson.instance"])
            self.follow()

    def console_output(self, instance_id: str) -> str:
        """Return what GetConsoleOutput tells of an instance: its SSH host keys, as cloud-init."""
        with self.lock:
            if instance_id not in self.console:
                for host in self._instance_hosts():
                    if host.labels["handson.instance"] == instance_id:
                        keys = internet.host_keys(self.engine, host)
                        lines = [f"{key} root@{host.labels['handson.hostname']}" for key in keys]
                        self.console[instance_id] = "\n".join([KEYS_BEGIN, *lines, KEYS_END, ""])
            return self.console.get(instance_id, "")

    # -- what the lab itself is asked ----------------------------------------

    def hosts(self) -> list[dict[str, Any]]:
        """Return each host of the lab: name, state, addresses, memory in bytes (0 if stopped).

        `state` is the engine's word for it, 'missing' for a host that was removed by hand, or
        'cut off' for one that runs without the network that its interface held.
        """

        def tell(host: Any) -> dict[str, Any]:
            running = is_whole(host, interfaces.get(host.labels["handson.host"]))
            is_cut_off = host.status == "running" and not running
            return {
                "name": host.labels.get("handson.name") or host.labels["handson.host"],
                "state": "cut off" if is_cut_off else host.status,
                "addresses": self.engine.addresses(host) if running else [],
                "memory": self.engine.memory(host) if running else 0,
            }

        # An engine takes its time to measure; it does so for all hosts at once.
        with ThreadPoolExecutor() as pool:
            hosts = self._well_connected(self._all_hosts)
            interfaces = self._well_connected(self.engine.interfaces)
            told = list(pool.map(tell, hosts))
        there = {host.labels["handson.host"] for host in hosts}
        wanted = {id_: books.name(one) or id_ for id_, one in books.instances().items()}
        wanted |= {name: name for name in internet.HOSTS}
        missing = {"state": "missing", "addresses": [], "memory": 0}
        told += [{"name": wanted[name], **missing} for name in wanted.keys() - there]
        return sorted(told, key=lambda one: str(one["name"]))

    def host_of(self, instance_id: str) -> Any:
        """Return the host of an instance; raise LabError when there is none."""
        for host in self._well_connected(self._instance_hosts):
            if host.labels["handson.instance"] == instance_id:
                return host
        raise LabError(
            _("There is no host of the instance {id}.").format(id=instance_id),
            _("Make the stacks first: run the notebook 00_start."),
        )

    # -- networks ------------------------------------------------------------

    def _network_of(self, vpc: Any) -> str:
        # The lab has kept a network free for the course's VPC since it came up.
        return internet.VPC if vpc.cidr_block == self.internet.vpc_cidr else str(vpc.id)

    def _follow_networks(self, vpcs: dict[str, Any]) -> None:
        wanted = {self._network_of(vpc): vpc for vpc in vpcs.values()}
        present = {
            net.attrs["Labels"]["handson.network"]: net
            for net in self.engine.networks()
            if (net.attrs.get("Labels") or {}).get("handson.kind") == "vpc"
        }
        resolver = self.engine.interfaces().get("resolver")
        for gone in present.keys() - wanted.keys():
            net = present.pop(gone)
            if resolver:
                net.disconnect(resolver, force=True)
            net.remove()
        for new in wanted.keys() - present.keys() - {internet.VPC}:
            cidr = wanted[new].cidr_block
            if reason := network.why_not(cidr):
                raise NotMade(wanted[new].id, LabError(reason))
            try:
                net = self.engine.create_network(new, cidr, labels={"handson.kind": "vpc"})
            except APIError as error:
                raise NotMade(wanted[new].id, error) from error
            if resolver:
                self.engine.join(net, resolver, network.address(cidr, network.VPC_RESOLVER))

    # -- hosts ---------------------------------------------------------------

    def _all_hosts(self) -> list[Any]:
        return self.engine.hosts()

    def _instance_hosts(self) -> list[Any]:
        return self.engine.hosts(**{"handson.role": "instance"})

    def _follow_instance(
        self, instance: Any, host: Any | None, interface: Any | None, rules: str
    ) -> None:
        id_ = instance.id
        if instance.state != "running":
            self.engine.stop_host(host, interface)
            self.settled.discard(id_)
        elif host is None or interface is None or id_ not in self.made:
            # What is there of one that was never booted to the end is of no use.
            self._forget(id_)
            self._boot(instance, rules)
        elif id_ not in self.settled or not is_whole(host, interface):
            self.settled.discard(id_)
            if not is_whole(host, interface):
                self._connect_public(instance, interface)
            self.engine.start_host(host, rules)
            self._settle(instance, host, rules)
        elif self.loaded.get(id_) != (rules, started(interface)):
            self.engine.load(host, rules)
            self.loaded[id_] = (rules, started(interface))

    def _boot(self, instance: Any, rules: str) -> None:
        try:
            self._make(instance, rules)
        except (APIError, LabError) as error:
            self._forget(instance.id)
            raise NotMade(instance.id, error) from error

    def _make(self, instance: Any, rules: str) -> None:
        places = [(self.engine.full(self._network_of(books.vpc_of(instance))), instance.private_ip)]
        if instance.public_ip:
            places.append((self.engine.full(internet.NETWORK), instance.public_ip))
        hostname = f"ip-{instance.private_ip.replace('.', '-')}"
        files = [File("/var/lib/cloud/instance/user-data.txt", books.user_data(instance), 0o700)]
        if key := books.public_key(instance):
            files.append(File(internet.AUTHORIZED_KEYS, key, 0o600, internet.LOGIN_UID))
        host = self.engine.create_host(
            instance.id,
            self.internet.image,
            places,
            rules,
            files=files,
            hostname=hostname,
            labels={
                "handson.role": "instance",
                "handson.instance": instance.id,
                "handson.hostname": hostname,
                "handson.name": books.name(instance),
            },
        )
        self._settle(instance, host, rules)
        self.made.add(instance.id)

    def _settle(self, instance: Any, host: Any, rules: str) -> None:
        """Do for a host that has just started what EC2 does: resolver, user data."""
        self.loaded[instance.id] = (rules, started(self.engine.interface(host)))
        resolver = network.address(books.vpc_of(instance).cidr_block, network.VPC_RESOLVER)
        internet.use_resolver(self.engine, host, resolver)
        self.engine.run(
            host,
            "until systemctl start --no-block user-data 2>/dev/null; do sleep 0.05; done",
            timeout=60,
        )
        internet.wait_for_ssh(self.engine, host)
        self.settled.add(instance.id)

    def _rules(self, instance: Any, every: dict[str, Any]) -> str:
        cidr = books.vpc_of(instance).cidr_block
        inside = [cidr]
        if instance.public_ip:
            inside.append(self.internet.cidr)
        resolver = network.address(cidr, network.VPC_RESOLVER)
        return render(books.policy(instance, every), inside, always_out=[resolver])

    def _connect_public(self, instance: Any, interface: Any) -> None:
        """Give a stopped host its new public address: as on EC2 it changes with each start."""
        net = self.engine.network(self.engine.full(internet.NETWORK))
        interface.reload()
        if net.name in interface.attrs["NetworkSettings"]["Networks"]:
            net.disconnect(interface)
        if instance.public_ip:
            self.engine.join(net, interface, instance.public_ip)
        interface.reload()
