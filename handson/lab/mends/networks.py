"""Networks: VPCs, subnets, addresses, endpoints."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import DependencyViolationError, EC2ClientError
from moto.ec2.models import (
    EC2Backend,
    ec2_backends,
    elastic_ip_addresses,
    elastic_network_interfaces,
)
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPCEndPoint

from handson.lab.mends.patch import Patch
from handson.lab.mends.templates import Json

_moto_create_subnet = EC2Backend.create_subnet
_moto_request_ip = Subnet.request_ip
_moto_delete_subnet = EC2Backend.delete_subnet
_moto_delete_vpc = EC2Backend.delete_vpc


def addresses(give: Callable[[], str]) -> tuple[Patch, ...]:
    # moto draws addresses of 54.214.0.0/16 and, for Elastic IPs, of 127.0.0.0/8. AWS gives
    # ones at which the instance answers: so does the lab.
    return (
        Patch(elastic_network_interfaces, "random_public_ip", give),
        Patch(elastic_ip_addresses, "random_ip", give),
    )


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


# moto deletes subnets and VPCs from under whatever still uses them. AWS refuses.


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
    Patch(VPCEndPoint, "create_from_cloudformation_json", classmethod(create_endpoint)),
    Patch(EC2Backend, "create_subnet", create_subnet),
    Patch(Subnet, "request_ip", request_ip),
    Patch(EC2Backend, "delete_subnet", delete_subnet),
    Patch(EC2Backend, "delete_vpc", delete_vpc),
)
