"""The AWS API of the lab: moto, with real hosts behind its instances.

moto keeps the books. After each request that may change something, and before it is
answered, hosts, networks and firewalls are brought in line with the books: a stack that
is complete has booted its hosts, and `AuthorizeSecurityGroupIngress` returns with the
port open.
"""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from docker.errors import APIError
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from handson.errors import HandsonError, LabError
from handson.i18n import _
from handson.lab import internet, network
from handson.lab.engine import Engine, File
from handson.lab.firewall import Policy, Rule, render

KEYS_BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
KEYS_END = "-----END SSH HOST KEY KEYS-----"


class NotMade(LabError):
    """What the books name cannot be made; `resource_id` is the instance or the VPC."""

    def __init__(self, resource_id: str, error: Exception) -> None:
        what = error.what if isinstance(error, HandsonError) else _explanation(error)
        super().__init__(
            _("{id} could not be made: {reason}").format(id=resource_id, reason=what),
            _("Choose another address or network, or look at the lab's server.log."),
        )
        self.resource_id = resource_id


class Hardware:
    """What the AWS API stands upon here: a container for each instance, a network for each VPC."""

    def __init__(self, engine: Engine, image: str, internet_cidr: str) -> None:
        self.engine = engine
        self.image = image
        self.internet_cidr = internet_cidr
        self.loaded: dict[str, str] = {}  # the rules that each host has, by host
        self.console: dict[str, str] = {}  # host keys, by instance
        self.lock = threading.RLock()

    # -- bringing in line ----------------------------------------------------

    def follow(self) -> None:
        """Bring hosts, networks and firewalls in line with moto's books.

        Raises NotMade when a host or a network cannot be made, LabError when a host
        that is there cannot be brought in line.
        """
        with self.lock, ThreadPoolExecutor(max_workers=8) as pool:
            vpcs = {vpc.id: vpc for region in _regions() for vpc in region.vpcs.values()}
            wanted = {
                instance.id: instance
                for region in _regions()
                for instance in region.all_instances()
                if instance.state != "terminated" and instance.vpc_id in vpcs
            }
            hosts = {host.labels["handson.instance"]: host for host in self._instance_hosts()}
            for gone in hosts.keys() - wanted.keys():
                hosts.pop(gone).remove(force=True, v=True)
                self.loaded.pop(gone, None)
                self.console.pop(gone, None)
            self._follow_networks({id_: v for id_, v in vpcs.items() if not v.is_default})
            rules = {id_: self._rules(instance, wanted) for id_, instance in wanted.items()}
            jobs = [
                pool.submit(self._follow_instance, instance, hosts.get(id_), rules[id_])
                for id_, instance in wanted.items()
            ]
            for job in jobs:
                job.result()

    def withdraw(self, resource_id: str) -> None:
        """Take an instance or a VPC that cannot be made out of moto's books."""
        for region in _regions():
            if resource_id in region.vpcs:
                region.delete_vpc(resource_id)
            for instance in region.all_instances():
                if instance.id == resource_id:
                    instance.terminate()

    def reboot(self, instance_ids: list[str]) -> None:
        """Restart the hosts of these instances, as RebootInstances does."""
        with self.lock:
            for host in self._instance_hosts():
                if host.labels["handson.instance"] in instance_ids:
                    host.stop(timeout=10)
                    self.loaded.pop(host.labels["handson.instance"], None)
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

    # -- networks ------------------------------------------------------------

    def _follow_networks(self, vpcs: dict[str, Any]) -> None:
        present = {
            net.attrs["Labels"]["handson.vpc"]: net
            for net in self.engine.networks()
            if "handson.vpc" in (net.attrs.get("Labels") or {})
        }
        resolver = self.engine.host("resolver")
        for gone in present.keys() - vpcs.keys():
            net = present.pop(gone)
            if resolver:
                net.disconnect(resolver, force=True)
            net.remove()
        for new in vpcs.keys() - present.keys():
            cidr = vpcs[new].cidr_block
            try:
                net = self.engine.create_network(new, cidr, labels={"handson.vpc": new})
            except APIError as error:
                raise NotMade(new, error) from error
            if resolver:
                self.engine.join(net, resolver, network.address(cidr, network.VPC_RESOLVER))

    # -- hosts ---------------------------------------------------------------

    def _instance_hosts(self) -> list[Any]:
        return self.engine.hosts(**{"handson.role": "instance"})

    def _follow_instance(self, instance: Any, host: Any | None, rules: str) -> None:
        running = instance.state == "running"
        if host is None and running:
            self._boot(instance, rules)
        elif host is not None and running and host.status != "running":
            self._connect_public(instance, host)
            host.start()
            self._wire(instance, host, rules)
        elif host is not None and running and self.loaded.get(instance.id) != rules:
            internet.load(self.engine, host, rules)
            self.loaded[instance.id] = rules
        elif host is not None and not running and host.status == "running":
            host.stop(timeout=10)
            self.loaded.pop(instance.id, None)

    def _boot(self, instance: Any, rules: str) -> None:
        try:
            self._make(instance, rules)
        except (APIError, LabError) as error:
            for host in self.engine.hosts(**{"handson.instance": instance.id}):
                host.remove(force=True, v=True)
            self.loaded.pop(instance.id, None)
            raise NotMade(instance.id, error) from error

    def _make(self, instance: Any, rules: str) -> None:
        vpc = _vpc(instance)
        places = [(f"{self.engine.name}-{vpc.id}", instance.private_ip)]
        if instance.public_ip:
            places.append((f"{self.engine.name}-{internet.NETWORK}", instance.public_ip))
        hostname = f"ip-{instance.private_ip.replace('.', '-')}"
        files = [File("/var/lib/cloud/instance/user-data.txt", _user_data(instance), 0o700)]
        if key := _public_key(instance):
            files.append(File(internet.AUTHORIZED_KEYS, key, 0o600, internet.LOGIN_UID))
        host = self.engine.create_host(
            instance.id,
            self.image,
            places,
            files=files,
            hostname=hostname,
            labels={
                "handson.role": "instance",
                "handson.instance": instance.id,
                "handson.hostname": hostname,
                "handson.name": _name(instance),
                "handson.public": instance.public_ip or "",
            },
        )
        self._wire(instance, host, rules)

    def _wire(self, instance: Any, host: Any, rules: str) -> None:
        """Do for a host that has just started what EC2 does: firewall, resolver, user data."""
        internet.load(self.engine, host, rules)
        self.loaded[instance.id] = rules
        resolver = network.address(_vpc(instance).cidr_block, network.VPC_RESOLVER)
        internet.use_resolver(self.engine, host, resolver)
        self.engine.run(
            host,
            "until systemctl start --no-block user-data 2>/dev/null; do sleep 0.05; done",
        )
        internet.wait_for_ssh(self.engine, host)

    def _connect_public(self, instance: Any, host: Any) -> None:
        """Give a stopped host its new public address: as on EC2 it changes with each start."""
        net = self.engine.client.networks.get(f"{self.engine.name}-{internet.NETWORK}")
        host.reload()
        if net.name in host.attrs["NetworkSettings"]["Networks"]:
            net.disconnect(host)
        if instance.public_ip:
            self.engine.join(net, host, instance.public_ip)

    # -- security groups -----------------------------------------------------

    def _rules(self, instance: Any, instances: dict[str, Any]) -> str:
        vpc = _vpc(instance)
        groups = _groups(instance)
        members: dict[str, list[str]] = {}
        for other in instances.values():
            for group in _groups(other):
                members.setdefault(group.id, []).append(other.private_ip)
        policy = Policy(
            tuple(_rule(rule, members) for group in groups for rule in group.ingress_rules),
            tuple(_rule(rule, members) for group in groups for rule in group.egress_rules),
        )
        inside = [vpc.cidr_block]
        if instance.public_ip:
            inside.append(self.internet_cidr)
        resolver = network.address(vpc.cidr_block, network.VPC_RESOLVER)
        return render(policy, inside, always_out=[resolver])


def _explanation(error: Exception) -> str:
    explanation = getattr(error, "explanation", "") or error
    return str(explanation).strip()


def _regions() -> list[Any]:
    return list(get_backend("ec2")[DEFAULT_ACCOUNT_ID].values())


def _vpc(instance: Any) -> Any:
    return instance.ec2_backend.vpcs[instance.vpc_id]


def _groups(instance: Any) -> list[Any]:
    found = {group.id: group for nic in instance.nics.values() for group in nic.group_set}
    return [found[key] for key in sorted(found)]


def _rule(rule: Any, members: dict[str, list[str]]) -> Rule:
    if rule.cidr_ipv4:
        peers = [rule.cidr_ipv4]
    else:
        peers = members.get((rule.source_group or {}).get("GroupId", ""), [])
    return Rule(rule.ip_protocol, rule.from_port, rule.to_port, tuple(sorted(peers)))


def _name(instance: Any) -> str:
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    return str(tags.get("Name", ""))


def _user_data(instance: Any) -> bytes:
    data = instance.user_data
    return base64.b64decode(data.as_bytes()) if data else b""


def _public_key(instance: Any) -> str:
    pair = instance.ec2_backend.key_pairs.get(instance.key_name or "")
    return pair.public_key.strip() + "\n" if pair else ""
