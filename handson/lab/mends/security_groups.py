"""Security groups: their rules, who is in them, what holds them."""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.security_groups import SecurityGroup

from handson.lab.mends.patch import Patch
from handson.lab.mends.templates import Json

_moto_modify_security_groups = EC2Backend.modify_instance_security_groups
_moto_delete_security_group = EC2Backend.delete_security_group


def modify_security_groups(self: Any, instance_id: str, new_group_id_list: list[str]) -> Any:
    # moto leaves the old groups on the network interface beside the new ones.
    instance = _moto_modify_security_groups(self, instance_id, new_group_id_list)
    instance.nics[0]._group_set = list(instance.security_groups)
    return instance


def create_security_group(
    cls: Any, name: str, definition: Json, account_id: str, region_name: str, /, **_: Any
) -> Any:
    # moto ignores SecurityGroupEgress and every Description, and wants ports with
    # protocol -1. On AWS given egress rules take the place of "everything".
    properties = definition["Properties"]
    backend = ec2_backends[account_id][region_name]
    group = backend.create_security_group(
        name, properties.get("GroupDescription"), vpc_id=properties.get("VpcId")
    )
    for rule in properties.get("SecurityGroupIngress", []):
        backend.authorize_security_group_ingress(group.id, **_rule(rule, "Source"))
    if "SecurityGroupEgress" in properties:
        group.egress_rules.clear()
    for rule in properties.get("SecurityGroupEgress", []):
        backend.authorize_security_group_egress(group.id, **_rule(rule, "Destination"))
    return group


def _rule(rule: Json, end: str) -> Json:
    described = {"Description": rule["Description"]} if "Description" in rule else {}
    ranges = {key: rule[key] for key in ("CidrIp", "CidrIpv6") if key in rule}
    group = rule.get(f"{end}SecurityGroupId")
    return {
        "ip_protocol": str(rule["IpProtocol"]),
        "from_port": rule.get("FromPort"),
        "to_port": rule.get("ToPort"),
        "ip_ranges": [{**ranges, **described}] if ranges else [],
        "source_groups": [{"GroupId": group, **described}] if group else [],
    }


def delete_security_group(self: Any, name: str | None = None, group_id: str | None = None) -> None:
    used = {group.id for interface in self.enis.values() for group in interface.group_set}
    for groups in self.groups.values():
        for group in groups.values():
            if group.id != group_id:
                rules = [*group.ingress_rules, *group.egress_rules]
                used |= {rule.source_group.get("GroupId") for rule in rules}
    if group_id in used:
        raise DependencyViolationError(f"resource {group_id} has a dependent object")
    _moto_delete_security_group(self, name, group_id)


PATCHES = (
    Patch(EC2Backend, "modify_instance_security_groups", modify_security_groups),
    Patch(SecurityGroup, "create_from_cloudformation_json", classmethod(create_security_group)),
    Patch(EC2Backend, "delete_security_group", delete_security_group),
)
