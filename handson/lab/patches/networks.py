"""Networks: VPCs, subnets, addresses, gateways, routes, endpoints.

"EC2" is the EC2 API reference: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from moto.core.responses import EmptyResult
from moto.ec2.exceptions import (
    DependencyViolationError,
    EC2ClientError,
    InvalidAvailabilityZoneError,
    InvalidParameterValue,
    InvalidSubnetRangeError,
)
from moto.ec2.models import (
    EC2Backend,
    ec2_backends,
    elastic_ip_addresses,
    elastic_network_interfaces,
)
from moto.ec2.models.subnets import Subnet, SubnetRouteTableAssociation
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.responses.route_tables import RouteTables

from handson.lab.patches.patch import Patch
from handson.lab.patches.templates import Json

_moto_associate_route_table = EC2Backend.associate_route_table
_moto_attach_internet_gateway = EC2Backend.attach_internet_gateway
_moto_create_route = EC2Backend.create_route
_moto_create_subnet = EC2Backend.create_subnet
_moto_create_vpc = EC2Backend.create_vpc
_moto_request_ip = Subnet.request_ip
_moto_delete_subnet = EC2Backend.delete_subnet
_moto_delete_vpc = EC2Backend.delete_vpc
_moto_detach_internet_gateway = EC2Backend.detach_internet_gateway


# What is smaller than AWS's smallest subnet.
TOO_SMALL = ("/29", "/30", "/31", "/32")


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


def create_vpc(self: Any, cidr_block: str, *args: Any, **rest: Any) -> Any:
    return _moto_create_vpc(self, _canonical(cidr_block), *args, **rest)


def _canonical(block: Any) -> Any:
    # moto keeps a block with bits set beyond its mask as it is. EC2: API_CreateVpc.html,
    # API_CreateSubnet.html, API_CreateRoute.html, "to its canonical form".
    try:
        return str(ipaddress.IPv4Network(block, strict=False))
    except ValueError:
        return block  # none at all: moto says so


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
    # the default VPC's subnets hand out addresses unasked. And moto takes the zone of another
    # region, and blocks that are too small. EC2: API_CreateSubnet.html.
    zones = [zone.name for zone in self.describe_availability_zones()]
    if not availability_zone and not availability_zone_id:
        availability_zone = zones[0]
    if availability_zone and availability_zone not in zones:
        raise InvalidAvailabilityZoneError(availability_zone, ", ".join(zones))
    cidr_block = _canonical(cidr_block)
    if cidr_block and cidr_block.endswith(TOO_SMALL):
        raise InvalidSubnetRangeError(cidr_block)
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


# --- gateways and routes ---


def attach_internet_gateway(self: Any, internet_gateway_id: str, vpc_id: str) -> Any:
    # moto attaches as many as one likes to a VPC.
    # AWS: https://github.com/cloudfoundry-incubator/kubo-deployment/issues/167
    gateway = self.get_internet_gateway(internet_gateway_id)
    others = [each.vpc.id for each in self.internet_gateways.values() if each.vpc]
    if not gateway.vpc and vpc_id in others:
        raise InvalidParameterValue(f"Network {vpc_id} already has an internet gateway attached")
    return _moto_attach_internet_gateway(self, internet_gateway_id, vpc_id)


def detach_internet_gateway(self: Any, internet_gateway_id: str, vpc_id: str) -> None:
    # moto cuts running instances off. EC2: API_DetachInternetGateway.html; the sentence is that
    # of https://github.com/hashicorp/terraform/issues/497
    gateway = self.get_internet_gateway(internet_gateway_id)
    running = [each for each in self.all_running_instances() if each.vpc_id == vpc_id]
    if gateway.vpc and gateway.vpc.id == vpc_id and any(each.public_ip for each in running):
        raise DependencyViolationError(
            f"Network {vpc_id} has some mapped public address(es). "
            "Please unmap those public address(es) before detaching the gateway."
        )
    _moto_detach_internet_gateway(self, internet_gateway_id, vpc_id)


def create_route(
    self: Any, route_table_id: str, destination_cidr_block: str | None, *args: Any, **rest: Any
) -> Any:
    # moto takes a gateway that is attached to another VPC or to none.
    # AWS: https://github.com/smoketurner/serverless-vpc-plugin/issues/147
    gateway_id = rest.get("gateway_id") or ""
    if gateway_id.startswith("igw-"):
        vpc = self.get_internet_gateway(gateway_id).vpc
        if not vpc or vpc.id != self.get_route_table(route_table_id).vpc_id:
            raise InvalidParameterValue(
                f"route table {route_table_id} and network gateway {gateway_id} "
                "belong to different networks"
            )
    block = _canonical(destination_cidr_block)
    return _moto_create_route(self, route_table_id, block, *args, **rest)


def associate_route_table(
    self: Any, route_table_id: str, gateway_id: str | None = None, subnet_id: str | None = None
) -> Any:
    # moto leaves a subnet with its old table and says that it is associated.
    # AWS: https://github.com/hashicorp/terraform-provider-aws/issues/38960
    for table in self.route_tables.values():
        if subnet_id in table._associations.values() and table.id != route_table_id:
            raise EC2ClientError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {route_table_id} "
                "conflicts with an existing association",
            )
    return _moto_associate_route_table(self, route_table_id, gateway_id, subnet_id)


def create_association(
    cls: Any, name: str, definition: Json, account_id: str, region_name: str, /, **_: Any
) -> Any:
    # moto makes an association that the route table knows nothing of.
    given = definition["Properties"]
    backend = ec2_backends[account_id][region_name]
    backend.associate_route_table(given["RouteTableId"], subnet_id=given["SubnetId"])
    return backend.create_subnet_association(given["RouteTableId"], given["SubnetId"])


# --- deleting ---

# moto deletes subnets and VPCs from under whatever still uses them. AWS refuses.


def delete_subnet(self: Any, subnet_id: str) -> Any:
    if any(interface.subnet.id == subnet_id for interface in self.enis.values()):
        raise _in_use("subnet", subnet_id)
    for table in self.route_tables.values():
        for association, subnet in list(table._associations.items()):
            if subnet == subnet_id:
                del table._associations[association]
    return _moto_delete_subnet(self, subnet_id)


def delete_vpc(self: Any, vpc_id: str) -> Any:
    groups = [group for group in self.groups[vpc_id].values() if group.name != "default"]
    endpoints = [end for end in self.vpc_end_points.values() if end.state != "deleted"]
    attached = [gateway.vpc.id for gateway in self.internet_gateways.values() if gateway.vpc]
    if groups or vpc_id in [*attached, *(endpoint.vpc_id for endpoint in endpoints)]:
        raise _in_use("vpc", vpc_id)
    return _moto_delete_vpc(self, vpc_id)


def answer_delete_route_table(self: Any) -> Any:
    # moto deletes a VPC's main route table, too. EC2: API_DeleteRouteTable.html.
    table = self.ec2_backend.get_route_table(self._get_param("RouteTableId"))
    if table.main_association_id:
        raise _in_use("routeTable", table.id)
    self.ec2_backend.delete_route_table(table.id)
    return EmptyResult()


def _in_use(kind: str, resource_id: str) -> Exception:
    return DependencyViolationError(
        f"The {kind} '{resource_id}' has dependencies and cannot be deleted."
    )


PATCHES = (
    Patch(VPCEndPoint, "create_from_cloudformation_json", classmethod(create_endpoint)),
    Patch(EC2Backend, "create_vpc", create_vpc),
    Patch(EC2Backend, "create_subnet", create_subnet),
    Patch(Subnet, "request_ip", request_ip),
    Patch(EC2Backend, "attach_internet_gateway", attach_internet_gateway),
    Patch(EC2Backend, "detach_internet_gateway", detach_internet_gateway),
    Patch(EC2Backend, "create_route", create_route),
    Patch(EC2Backend, "associate_route_table", associate_route_table),
    Patch(
        SubnetRouteTableAssociation,
        "create_from_cloudformation_json",
        classmethod(create_association),
    ),
    Patch(RouteTables, "delete_route_table", answer_delete_route_table),
    Patch(EC2Backend, "delete_subnet", delete_subnet),
    Patch(EC2Backend, "delete_vpc", delete_vpc),
)
