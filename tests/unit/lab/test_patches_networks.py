"""What AWS refuses of networks, and what it takes, seen through boto3."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from handson.cloud.client import Aws
from handson.cloud.cloud import Cloud

Built = tuple[Cloud, list[str]]
Refusal = Callable[..., tuple[str, str]]
NUMBERS = itertools.count(120)


@pytest.fixture
def number() -> int:
    """The second number of the addresses of `vpc`."""
    return next(NUMBERS)


@pytest.fixture
def vpc(ec2: Any, number: int) -> str:
    return str(ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"])


def new_gateway(ec2: Any) -> str:
    return str(ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"])


def new_table(ec2: Any, vpc: str) -> str:
    return str(ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"])


def new_subnet(ec2: Any, vpc: str, cidr: str) -> str:
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)["Subnet"]["SubnetId"])


def test_blocks_are_kept_in_their_canonical_form(ec2: Any, refusal: Refusal) -> None:
    made = ec2.create_vpc(CidrBlock="10.99.7.7/16")["Vpc"]
    assert made["CidrBlock"] == "10.99.0.0/16"
    subnet = ec2.create_subnet(VpcId=made["VpcId"], CidrBlock="10.99.1.7/24")["Subnet"]
    assert subnet["CidrBlock"] == "10.99.1.0/24"
    for block in ("here", "10.99.0.0/33"):
        code, message = refusal(ec2.create_vpc, CidrBlock=block)
        assert code == "InvalidParameterValue" and "not a valid CIDR block" in message


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("10.{}.1.0/29", "InvalidSubnet.Range"),
        ("10.{}.0.0/15", "InvalidSubnet.Range"),
        ("10.9.1.0/24", "InvalidSubnet.Range"),
        ("10.{}.8.128/25", "InvalidSubnet.Conflict"),
        ("here", "InvalidParameterValue"),
    ],
)
def test_a_subnet_that_cannot_be(
    ec2: Any, vpc: str, number: int, refusal: Refusal, block: str, code: str
) -> None:
    new_subnet(ec2, vpc, f"10.{number}.8.0/24")
    new_subnet(ec2, vpc, f"10.{number}.9.0/28")
    cidr = block.format(number)
    assert refusal(ec2.create_subnet, VpcId=vpc, CidrBlock=cidr)[0] == code


def test_a_subnet_is_in_a_zone_of_the_region(
    ec2: Any, vpc: str, number: int, refusal: Refusal
) -> None:
    block = f"10.{number}.1.0/24"
    code, message = refusal(
        ec2.create_subnet, VpcId=vpc, CidrBlock=block, AvailabilityZone="us-east-1a"
    )
    assert code == "InvalidParameterValue" and "(us-east-1a)" in message
    assert "ap-northeast-1a" in message and "us-east-1b" not in message
    zone = "ap-northeast-1a"
    made = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]
    assert made["AvailabilityZone"] == zone


def test_a_network_has_one_internet_gateway(
    ec2: Any, vpc: str, number: int, refusal: Refusal
) -> None:
    first, second = new_gateway(ec2), new_gateway(ec2)
    ec2.attach_internet_gateway(InternetGatewayId=first, VpcId=vpc)
    code, message = refusal(ec2.attach_internet_gateway, InternetGatewayId=second, VpcId=vpc)
    assert code == "InvalidParameterValue"
    assert message == f"Network {vpc} already has an internet gateway attached"
    code, _message = refusal(ec2.attach_internet_gateway, InternetGatewayId=first, VpcId=vpc)
    assert code == "Resource.AlreadyAssociated"
    assert refusal(ec2.delete_internet_gateway, InternetGatewayId=first)[0] == "DependencyViolation"
    assert refusal(ec2.delete_vpc, VpcId=vpc)[0] == "DependencyViolation"
    ec2.detach_internet_gateway(InternetGatewayId=first, VpcId=vpc)
    ec2.attach_internet_gateway(InternetGatewayId=second, VpcId=vpc)
    ec2.detach_internet_gateway(InternetGatewayId=second, VpcId=vpc)
    ec2.delete_vpc(VpcId=vpc)


def test_a_gateway_in_use_is_not_detached(ec2: Any, built: Built, refusal: Refusal) -> None:
    [network] = [s for s in built[0].stacks() if s.name == built[0].names.network_stack]
    vpc = network.outputs["VpcId"]
    filters = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    [gateway] = ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    code, message = refusal(
        ec2.detach_internet_gateway, InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc
    )
    assert code == "DependencyViolation"
    assert f"Network {vpc} has some mapped public address(es)." in message


def test_a_route_leads_to_a_gateway_of_its_network(
    ec2: Any, vpc: str, number: int, refusal: Refusal
) -> None:
    table, gateway = new_table(ec2, vpc), new_gateway(ec2)
    route = {"RouteTableId": table, "GatewayId": gateway, "DestinationCidrBlock": "9.9.9.9/8"}
    other = ec2.create_vpc(CidrBlock="10.98.0.0/16")["Vpc"]["VpcId"]
    for attached_to in (None, other):
        if attached_to:
            ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=attached_to)
        code, message = refusal(ec2.create_route, **route)
        assert code == "InvalidParameterValue"
        assert message == (
            f"route table {table} and network gateway {gateway} belong to different networks"
        )
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=other)
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.create_route(**route)
    [found] = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    blocks = [each["DestinationCidrBlock"] for each in found["Routes"]]
    assert blocks == [f"10.{number}.0.0/16", "9.0.0.0/8"]


def test_a_subnet_has_one_route_table(ec2: Any, vpc: str, number: int, refusal: Refusal) -> None:
    subnet = new_subnet(ec2, vpc, f"10.{number}.1.0/24")
    first, second = new_table(ec2, vpc), new_table(ec2, vpc)
    made = ec2.associate_route_table(RouteTableId=first, SubnetId=subnet)
    assert (
        ec2.associate_route_table(RouteTableId=first, SubnetId=subnet)["AssociationId"]
        == (made["AssociationId"])
    )
    code, message = refusal(ec2.associate_route_table, RouteTableId=second, SubnetId=subnet)
    assert code == "Resource.AlreadyAssociated"
    assert "conflicts with an existing association" in message
    assert refusal(ec2.delete_route_table, RouteTableId=first)[0] == "DependencyViolation"
    ec2.delete_subnet(SubnetId=subnet)  # the association goes with it
    ec2.delete_route_table(RouteTableId=first)
    ec2.delete_route_table(RouteTableId=second)


def test_the_main_route_table_stays(ec2: Any, vpc: str, refusal: Refusal) -> None:
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    [main] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    code, message = refusal(ec2.delete_route_table, RouteTableId=main["RouteTableId"])
    assert code == "DependencyViolation" and main["RouteTableId"] in message
    ec2.delete_vpc(VpcId=vpc)  # it goes with its VPC


def test_a_route_table_of_a_stack_is_in_use(ec2: Any, built: Built, refusal: Refusal) -> None:
    [network] = [s for s in built[0].stacks() if s.name == built[0].names.network_stack]
    filters = [
        {"Name": "association.subnet-id", "Values": [network.outputs["PublicSubnetId"]]},
    ]
    [table] = ec2.describe_route_tables(Filters=filters)["RouteTables"]
    code, _message = refusal(ec2.delete_route_table, RouteTableId=table["RouteTableId"])
    assert code == "DependencyViolation"


def test_a_template_is_refused_alike(api: Aws, vpc: str, number: int) -> None:
    resources = {
        "Gateway": {"Type": "AWS::EC2::InternetGateway"},
        "Table": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": vpc}},
        "Way": {
            "Type": "AWS::EC2::Route",
            "Properties": {
                "RouteTableId": {"Ref": "Table"},
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": {"Ref": "Gateway"},
            },
        },
        "Attachment": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"VpcId": vpc, "InternetGatewayId": {"Ref": "Gateway"}},
        },
    }
    arguments: dict[str, Any] = {"StackName": f"way-{number}"}
    events = ("cloudformation", "describe_stack_events", "StackEvents")
    body = json.dumps({"Resources": resources})
    api.call("cloudformation", "create_stack", TemplateBody=body, **arguments)
    [newest, *_older] = api.pages(*events, **arguments)
    assert newest["ResourceStatus"] == "ROLLBACK_COMPLETE"
    assert "belong to different networks" in str(api.pages(*events, **arguments))
    api.call("cloudformation", "delete_stack", **arguments)
    resources["Way"]["DependsOn"] = "Attachment"  # as the course's own template has it
    body = json.dumps({"Resources": resources})
    api.call("cloudformation", "create_stack", TemplateBody=body, **arguments)
    [newest, *_older] = api.pages(*events, **arguments)
    assert newest["ResourceStatus"] == "CREATE_COMPLETE"
    api.call("cloudformation", "delete_stack", **arguments)
