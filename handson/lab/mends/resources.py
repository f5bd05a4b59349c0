"""Resources: what a template says of them and moto does not read, and what AWS refuses."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import (
    EC2Backend,
    amis,
    ec2_backends,
    elastic_ip_addresses,
    elastic_network_interfaces,
)
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroup
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses.general import General
from moto.utilities.utils import load_resource

from handson.lab.mends.patch import Patch
from handson.lab.mends.templates import Json

# What a root disk of Amazon Linux measures when nobody says a size, in GiB.
ROOT_SIZE = 8

_moto_terminate = Instance.terminate
_moto_modify_security_groups = EC2Backend.modify_instance_security_groups
_moto_create_subnet = EC2Backend.create_subnet
_moto_request_ip = Subnet.request_ip
_moto_delete_security_group = EC2Backend.delete_security_group
_moto_delete_subnet = EC2Backend.delete_subnet
_moto_delete_vpc = EC2Backend.delete_vpc


def addresses(give: Callable[[], str]) -> tuple[Patch, ...]:
    # moto draws addresses of 54.214.0.0/16 and, for Elastic IPs, of 127.0.0.0/8. AWS gives
    # ones at which the instance answers: so does the lab.
    return (
        Patch(elastic_network_interfaces, "random_public_ip", give),
        Patch(elastic_ip_addresses, "random_ip", give),
    )


def console(text_of: Callable[[str], str]) -> Patch:
    # moto answers with the boot messages of 2006, the same for every instance.
    def get_console_output(self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = Base64EncodedString.from_raw_string(text_of(instance.id))
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": text})

    return Patch(General, "get_console_output", get_console_output)


def load_amis(self: Any) -> None:
    # moto loads 1347 images into each region, which takes a second. The images that the
    # public parameters of Amazon Linux name are among the thirty of this file.
    try:
        images = load_resource(f"ec2/resources/latest_amis/{self.region_name}.json")
    except FileNotFoundError:
        images = []
    for image in images:
        if image["architecture"] == "x86_64":
            image = {**image, "creation_date": None, "owner_alias": "amazon"}
            self.amis[image["ami_id"]] = amis.Ami(self, **image)


def create_instance(
    cls: Any, name: str, definition: Json, account_id: str, region_name: str, /, **_: Any
) -> Any:
    # moto reads SecurityGroups only (and takes ids for it): SecurityGroupIds,
    # NetworkInterfaces, MetadataOptions and PropagateTagsToVolumeOnCreation are lost, and
    # so is the subnet's MapPublicIpOnLaunch.
    properties = definition["Properties"]
    tags = {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}
    on_volumes = _is_true(properties.get("PropagateTagsToVolumeOnCreation"))
    interfaces = [_interface(given) for given in properties.get("NetworkInterfaces", [])]
    groups = list(properties.get("SecurityGroupIds", []))
    for interface in interfaces:
        if int(interface["DeviceIndex"]) == 0:
            groups += interface.pop("Groups")  # moto shows an instance's groups from here
    user_data = properties.get("UserData")
    arguments: Json = {
        "user_data": Base64EncodedString(user_data) if user_data else None,
        "security_group_names": properties.get("SecurityGroups", []),
        "security_group_ids": groups,
        "instance_type": properties.get("InstanceType", "m1.small"),
        "is_instance_type_default": "InstanceType" not in properties,
        "region_name": region_name,
        "subnet_id": properties.get("SubnetId"),
        "private_ip": properties.get("PrivateIpAddress"),
        "associate_public_ip": None,  # neither yes nor no: the subnet decides
        "nics": interfaces,
        "key_name": properties.get("KeyName"),
        "metadata_options": properties.get("MetadataOptions", {}),
        "tags": {"instance": tags, "volume": tags if on_volumes else {}},
    }
    disks = [disk for disk in properties.get("BlockDeviceMappings", []) if "Ebs" in disk]
    if disks:
        # AWS fills both gaps from the image.
        gaps = {"VolumeSize": ROOT_SIZE, "DeleteOnTermination": True}
        arguments["block_device_mappings"] = [
            {**disk, "Ebs": {**gaps, **disk["Ebs"]}} for disk in disks
        ]
    backend = ec2_backends[account_id][region_name]
    reservation = backend.run_instances(image_id=properties["ImageId"], count=1, **arguments)
    return reservation.instances[0]


def _interface(given: Json) -> Json:
    # CloudFormation's names and strings to those of the API that moto's instance reads.
    interface = {"DeleteOnTermination": True, **given, "Groups": list(given.get("GroupSet", []))}
    if "AssociatePublicIpAddress" in given:
        interface["AssociatePublicIpAddress"] = _is_true(given["AssociatePublicIpAddress"])
    return interface


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def terminate(self: Any) -> Any:
    # moto keeps the first interface and its private address until the object is collected:
    # the same address cannot be had again. On AWS both go with the instance.
    for interface in self.nics.values():
        goes = interface.delete_on_termination or interface.device_index == 0
        interface.delete_on_termination = goes and interface.id in self.ec2_backend.enis
    state = _moto_terminate(self)
    while self._private_ips:
        self.nics[0].subnet.del_subnet_ip(self._private_ips.pop())
    return state


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


def create_endpoint(
    cls: Any, name: str, definition: Json, account_id: str, region_name: str, /, **_: Any
) -> Any:
    # moto dies without RouteTableIds or VpcEndpointType and keeps the policy as an object
    # where the API has JSON text.
    properties = definition["Properties"]
    policy = properties.get("PolicyDocument")
    return ec2_backends[account_id][region_name].create_vpc_endpoint(
        vpc_id=properties["VpcId"],
        service_name=properties["ServiceName"],
        endpoint_type=properties.get("VpcEndpointType", "Gateway"),
        policy_document=json.dumps(policy) if isinstance(policy, dict) else policy,
        route_table_ids=properties.get("RouteTableIds", []),
        subnet_ids=properties.get("SubnetIds"),
        private_dns_enabled=properties.get("PrivateDnsEnabled"),
        security_group_ids=properties.get("SecurityGroupIds"),
    )


def create_subnet(
    self: Any,
    vpc_id: str,
    cidr_block: str,
    ipv6_cidr_block: str | None = None,
    availability_zone: str | None = None,
    availability_zone_id: str | None = None,
    **rest: Any,
) -> Any:
    # moto puts a subnet without a zone into us-east-1a, whatever the region, and has the
    # first one of a zone hand out public addresses. AWS takes a zone of the region; only
    # the default VPC's subnets hand out addresses unasked.
    if not availability_zone and not availability_zone_id:
        availability_zone = self.describe_availability_zones()[0].name
    subnet = _moto_create_subnet(
        self, vpc_id, cidr_block, ipv6_cidr_block, availability_zone, availability_zone_id, **rest
    )
    if not self.get_vpc(vpc_id).is_default:
        subnet.default_for_az = subnet.map_public_ip_on_launch = False
    return subnet


def request_ip(self: Any, ip: str, instance: Any) -> None:
    # moto raises a bare Exception, an HTTP 500 page, and gives out what AWS keeps: the
    # first four addresses of a subnet and its last.
    address = ipaddress.IPv4Address(ip)
    if address not in self.cidr:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Address {ip} does not fall within the subnet's address range",
        )
    if int(address) - int(self.cidr[0]) < 4 or address == self.cidr[-1]:
        raise EC2ClientError(
            "InvalidParameterValue", f"Address {ip} is in subnet's reserved address range"
        )
    if ip in self._subnet_ips:
        raise EC2ClientError("InvalidIPAddress.InUse", f"Address {ip} is in use.")
    _moto_request_ip(self, ip, instance)


# moto deletes groups, subnets and VPCs from under whatever still uses them. AWS refuses.


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


def delete_subnet(self: Any, subnet_id: str) -> Any:
    if any(interface.subnet.id == subnet_id for interface in self.enis.values()):
        raise _in_use("subnet", subnet_id)
    return _moto_delete_subnet(self, subnet_id)


def delete_vpc(self: Any, vpc_id: str) -> Any:
    groups = [group for group in self.groups[vpc_id].values() if group.name != "default"]
    endpoints = [end for end in self.vpc_end_points.values() if end.state != "deleted"]
    if groups or any(endpoint.vpc_id == vpc_id for endpoint in endpoints):
        raise _in_use("vpc", vpc_id)
    return _moto_delete_vpc(self, vpc_id)


def _in_use(kind: str, resource_id: str) -> Exception:
    return DependencyViolationError(
        f"The {kind} '{resource_id}' has dependencies and cannot be deleted."
    )


PATCHES = (
    Patch(amis.AmiBackend, "_load_amis", load_amis),
    Patch(Instance, "create_from_cloudformation_json", classmethod(create_instance)),
    Patch(Instance, "terminate", terminate),
    Patch(EC2Backend, "modify_instance_security_groups", modify_security_groups),
    Patch(SecurityGroup, "create_from_cloudformation_json", classmethod(create_security_group)),
    Patch(VPCEndPoint, "create_from_cloudformation_json", classmethod(create_endpoint)),
    Patch(EC2Backend, "create_subnet", create_subnet),
    Patch(Subnet, "request_ip", request_ip),
    Patch(EC2Backend, "delete_security_group", delete_security_group),
    Patch(EC2Backend, "delete_subnet", delete_subnet),
    Patch(EC2Backend, "delete_vpc", delete_vpc),
)
