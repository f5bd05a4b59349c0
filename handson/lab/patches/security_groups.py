"""Security groups: their names and ids, who is in them, what holds them.

"EC2" is the EC2 API reference: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import EmptyResult
from moto.ec2.exceptions import (
    DependencyViolationError,
    EC2ClientError,
    InvalidParameterValue,
    InvalidSecurityGroupNotFoundError,
    MissingParameterError,
    VPCIdNotSpecifiedError,
)
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.responses.security_groups import SecurityGroups

from handson.lab.patches.patch import Patch
from handson.lab.patches.templates import Json

_moto_create_security_group = EC2Backend.create_security_group
_moto_delete_security_group = EC2Backend.delete_security_group
_moto_describe_security_groups = EC2Backend.describe_security_groups
_moto_modify_security_groups = EC2Backend.modify_instance_security_groups


# What names and descriptions are made of: API_CreateSecurityGroup.html, API_IpRange.html.
TEXT = re.compile(r"[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]{0,255}")
TEXT_IN_WORDS = "strings less than 256 characters from the following set:  "
TEXT_IN_WORDS += "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"


def other_network() -> Exception:
    return EC2ClientError(
        "InvalidGroup.NotFound",
        "You have specified two resources that belong to different networks.",
    )


# --- which group is meant ---


def group_with_id(backend: Any, group_id: str) -> Any:
    """Return the group with that id."""
    # moto takes a name for an id. EC2: errors-overview.html, InvalidGroupId.Malformed.
    if not group_id.startswith("sg-"):
        raise EC2ClientError(
            "InvalidGroupId.Malformed", f'Invalid id: "{group_id}" (expecting "sg-...")'
        )
    group = backend.get_security_group_from_id(group_id)
    if group is None:
        raise InvalidSecurityGroupNotFoundError(group_id)
    return group


def group_named(backend: Any, name: str) -> Any:
    """Return the group of the default VPC with that name."""
    # moto looks for a name in every VPC, and takes an id for one. AWS knows the names of the
    # default VPC only: https://github.com/aws/aws-cli/issues/1207
    default = backend.get_default_vpc()
    if default is None:
        raise VPCIdNotSpecifiedError
    group = backend.get_security_group_from_name(name, default.id)
    if group is None:
        raise EC2ClientError(
            "InvalidGroup.NotFound",
            f"The security group '{name}' does not exist in default VPC '{default.id}'",
        )
    return group


def group_of_request(response: Any) -> Any:
    group_id, name = response._get_param("GroupId"), response._get_param("GroupName")
    if group_id:
        return group_with_id(response.ec2_backend, group_id)
    if name:
        return group_named(response.ec2_backend, name)
    raise MissingParameterError("groupName or groupId")


def describe_security_groups(
    self: Any,
    group_ids: list[str] | None = None,
    groupnames: list[str] | None = None,
    filters: Any = None,
) -> Any:
    # EC2: API_DescribeSecurityGroups.html, GroupName.N: names (or ids) of the default VPC.
    groups = [group_with_id(self, group_id) for group_id in group_ids or []]
    for name in groupnames or []:
        find = group_with_id if name.startswith("sg-") else group_named
        groups.append(find(self, name))
    return _moto_describe_security_groups(self, [group.id for group in groups], None, filters)


# --- making and deleting ---


def create_security_group(
    self: Any,
    name: str,
    description: str,
    vpc_id: str | None = None,
    tags: Any = None,
    force: bool = False,
    is_default: bool | None = None,
) -> Any:
    # moto takes any name, any description and a VPC that is not there.
    # EC2: API_CreateSecurityGroup.html, also for names being "case-insensitive".
    vpc = self.get_vpc(vpc_id) if vpc_id else self.default_vpc
    _check_name(name)
    if not TEXT.fullmatch(description or ""):
        raise _not_ascii("GroupDescription", description) or InvalidParameterValue(
            f"Invalid security group description. Valid descriptions are {TEXT_IN_WORDS}"
        )
    names = {group.name.lower() for group in self.groups[vpc.id].values()}
    if name.lower() in names and not force:
        raise EC2ClientError(
            "InvalidGroup.Duplicate",
            f"The security group '{name}' already exists for VPC '{vpc.id}'",
        )
    return _moto_create_security_group(self, name, description, vpc.id, tags, force, is_default)


def _check_name(name: str) -> None:
    # The sentence is that of https://github.com/pulumi/pulumi-awsx/issues/328
    if name.startswith("sg-"):
        raise InvalidParameterValue(
            f"Value ({name}) for parameter GroupName is invalid. "
            "Group names may not be in the format sg-*."
        )
    if not TEXT.fullmatch(name):
        raise _not_ascii("GroupName", name) or InvalidParameterValue(
            f"Value ({name}) for parameter GroupName is invalid."
        )


def _not_ascii(parameter: str, value: str) -> Exception | None:
    if value.isascii():
        return None
    return InvalidParameterValue(
        f"Value ({value}) for parameter {parameter} is invalid. "
        "Character sets beyond ASCII are not supported."
    )


def create_from_template(
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


def answer_delete(self: Any) -> Any:
    # moto deletes the default group too, and none at all without a word when none is named.
    # EC2: errors-overview.html, CannotDelete.
    self.error_on_dryrun()
    group = group_of_request(self)
    if group.is_default:
        raise EC2ClientError(
            "CannotDelete",
            f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user',
        )
    self.ec2_backend.delete_security_group(group_id=group.id)
    return EmptyResult()


def delete_security_group(self: Any, name: str | None = None, group_id: str | None = None) -> None:
    # moto deletes a group that is in use. EC2: API_DeleteSecurityGroup.html.
    used = {group.id for interface in self.enis.values() for group in interface.group_set}
    for groups in self.groups.values():
        for group in groups.values():
            if group.id != group_id:
                rules = [*group.ingress_rules, *group.egress_rules]
                used |= {rule.source_group.get("GroupId") for rule in rules}
    if group_id in used:
        raise DependencyViolationError(f"resource {group_id} has a dependent object")
    _moto_delete_security_group(self, name, group_id)


# --- who is in a group ---


def modify_security_groups(self: Any, instance_id: str, new_group_id_list: list[str]) -> Any:
    # moto takes groups that are not there or of another VPC, and leaves the old groups on
    # the network interface beside the new ones. EC2: errors-overview.html, InvalidGroup.NotFound.
    vpc_id = self.get_instance(instance_id).vpc_id
    for group_id in new_group_id_list:
        if group_with_id(self, group_id).vpc_id != vpc_id:
            raise other_network()
    instance = _moto_modify_security_groups(self, instance_id, new_group_id_list)
    instance.nics[0]._group_set = list(instance.security_groups)
    return instance


PATCHES = (
    Patch(EC2Backend, "describe_security_groups", describe_security_groups),
    Patch(EC2Backend, "create_security_group", create_security_group),
    Patch(SecurityGroup, "create_from_cloudformation_json", classmethod(create_from_template)),
    Patch(SecurityGroups, "delete_security_group", answer_delete),
    Patch(EC2Backend, "delete_security_group", delete_security_group),
    Patch(EC2Backend, "modify_instance_security_groups", modify_security_groups),
)
