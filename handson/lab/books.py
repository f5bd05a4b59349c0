"""What moto's books say of instances and networks, in the lab's own words."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any, Literal

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from handson.lab.firewall import FirewallRule, Policy
from handson.lab.state import BOOKS, write_private

KEPT: tuple[Literal["ec2", "cloudformation"], ...] = ("ec2", "cloudformation")


def regions() -> list[Any]:
    return list(get_backend("ec2")[DEFAULT_ACCOUNT_ID].values())


def keep(folder: Path, hardware: dict[str, Any]) -> None:
    """Write the books into the lab's folder, with what `hardware` knows of its hosts.

    A stack and its resources refer to each other: all is written as one.
    """
    backends = {service: dict(get_backend(service)[DEFAULT_ACCOUNT_ID]) for service in KEPT}
    write_private(folder / BOOKS, pickle.dumps((backends, hardware)))


def take_up(folder: Path) -> dict[str, Any]:
    """Go on with the books that an earlier server kept; return what its hardware knew.

    The file is the owner's own, as the folder is: nobody else can have written it.
    """
    if not (folder / BOOKS).exists():
        return {}
    backends, hardware = pickle.loads((folder / BOOKS).read_bytes())
    for service, regions in backends.items():
        get_backend(service)[DEFAULT_ACCOUNT_ID].update(regions)
    return dict(hardware)


def vpcs() -> dict[str, Any]:
    """Return the VPCs that somebody made; the default one has no network here."""
    every = (vpc for region in regions() for vpc in region.vpcs.values())
    return {vpc.id: vpc for vpc in every if not vpc.is_default}


def instances() -> dict[str, Any]:
    """Return the instances that are to have a host, running or stopped."""
    every = (instance for region in regions() for instance in region.all_instances())
    return {one.id: one for one in every if one.state != "terminated"}


def withdraw(resource_id: str) -> None:
    """Take an instance or a VPC that cannot be made out of the books."""
    for region in regions():
        if resource_id in region.vpcs:
            region.delete_vpc(resource_id)
        for instance in region.all_instances():
            if instance.id == resource_id:
                instance.terminate()


def vpc_of(instance: Any) -> Any:
    return instance.ec2_backend.vpcs[instance.vpc_id]


def policy(instance: Any, every: dict[str, Any]) -> Policy:
    """Return what the security groups of an instance let in and out, taken together.

    `every` are all instances, since a group as a source stands for its members.
    """
    groups = _groups(instance)
    members: dict[str, list[str]] = {}
    for other in every.values():
        for group in _groups(other):
            members.setdefault(group.id, []).append(other.private_ip)
    return Policy(
        tuple(_rule(rule, members) for group in groups for rule in group.ingress_rules),
        tuple(_rule(rule, members) for group in groups for rule in group.egress_rules),
    )


def _groups(instance: Any) -> list[Any]:
    found = {group.id: group for nic in instance.nics.values() for group in nic.group_set}
    return [found[key] for key in sorted(found)]


def _rule(rule: Any, members: dict[str, list[str]]) -> FirewallRule:
    if rule.cidr_ipv4:
        peers = [rule.cidr_ipv4]
    else:
        peers = members.get((rule.source_group or {}).get("GroupId", ""), [])
    return FirewallRule(rule.ip_protocol, rule.from_port, rule.to_port, tuple(sorted(peers)))


def name(instance: Any) -> str:
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    return str(tags.get("Name", ""))


def user_data(instance: Any) -> bytes:
    data = instance.user_data
    return base64.b64decode(data.as_bytes()) if data else b""


def public_key(instance: Any) -> str:
    pair = instance.ec2_backend.key_pairs.get(instance.key_name or "")
    return pair.public_key.strip() + "\n" if pair else ""
