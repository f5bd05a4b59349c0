"""What AWS refuses of instances, and what it takes, seen through boto3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handson.cloud.client import Aws
from handson.cloud.cloud import Cloud
from handson.cloud.stacks import IMAGES

Built = tuple[Cloud, list[str]]
Refusal = Callable[..., tuple[str, str]]


@pytest.fixture
def image(api: Aws) -> str:
    answer = api.call("ssm", "get_parameter", Name=IMAGES["al2023"])
    return str(answer["Parameter"]["Value"])


@pytest.fixture
def place(ec2: Any) -> Iterator[dict[str, str]]:
    """A VPC with a subnet and a group, by their ids."""
    vpc = ec2.create_vpc(CidrBlock="10.62.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.62.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="here", Description="x", VpcId=vpc)["GroupId"]
    yield {"vpc": vpc, "subnet": subnet, "group": group}
    ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


@pytest.fixture
def request_(image: str, place: dict[str, str]) -> dict[str, Any]:
    """The arguments of a RunInstances that AWS takes."""
    return {
        "ImageId": image,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": place["subnet"],
        "SecurityGroupIds": [place["group"]],
    }


@pytest.fixture
def instance(ec2: Any, request_: dict[str, Any]) -> Iterator[str]:
    instance = ec2.run_instances(**request_)["Instances"][0]["InstanceId"]
    yield instance
    ec2.terminate_instances(InstanceIds=[instance])


def state(ec2: Any, instance: str) -> str:
    [reservation] = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return str(reservation["Instances"][0]["State"]["Name"])


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ({"ImageId": "ami-12345678"}, "InvalidAMIID.NotFound", "'[ami-12345678]' does not exist"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed", 'Invalid id: "debian"'),
        ({"ImageId": None}, "MissingParameter", "must contain the parameter ImageId"),
        (
            {"InstanceType": "t3.mikro"},
            "InvalidParameterValue",
            "Invalid value 't3.mikro' for InstanceType.",
        ),
        (
            {"InstanceType": "t4g.micro"},
            "InvalidParameterValue",
            "The architecture 'arm64' of the specified instance type does not match the "
            "architecture 'x86_64' of the specified AMI.",
        ),
        (
            {"KeyName": "nobody"},
            "InvalidKeyPair.NotFound",
            "The key pair 'nobody' does not exist",
        ),
        ({"SecurityGroupIds": ["sg-1"]}, "InvalidGroup.NotFound", "'sg-1' does not exist"),
        ({"SecurityGroupIds": ["here"]}, "InvalidGroupId.Malformed", 'Invalid id: "here"'),
        (
            {"SecurityGroups": ["here"]},
            "InvalidParameterCombination",
            "The parameter groupName cannot be used with the parameter subnet",
        ),
        (
            {"SecurityGroups": ["here"], "SecurityGroupIds": None, "SubnetId": None},
            "InvalidGroup.NotFound",
            "The security group 'here' does not exist in default VPC",
        ),
        (
            {"SubnetId": None},
            "InvalidParameter",
            "belong to different networks.",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": None},
            "InvalidParameterCombination",
            "Network interfaces and an instance-level security groups may not be specified",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": None},
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID may not be specified",
        ),
    ],
)
def test_an_instance_that_cannot_be(
    ec2: Any,
    request_: dict[str, Any],
    refusal: Refusal,
    change: dict[str, Any],
    code: str,
    sentence: str,
) -> None:
    given = {key: value for key, value in (request_ | change).items() if value is not None}
    refused, message = refusal(ec2.run_instances, **given)
    assert (refused, sentence in message) == (code, True), message


def test_nothing_is_left_of_a_request_that_is_refused(
    ec2: Any, request_: dict[str, Any], refusal: Refusal
) -> None:
    address = {"PrivateIpAddress": "10.62.1.9"}
    code, _message = refusal(
        ec2.run_instances, **{**request_, "MinCount": 2, "MaxCount": 2}, **address
    )
    assert code == "InvalidIPAddress.InUse"
    filters = [{"Name": "private-ip-address", "Values": ["10.62.1.9"]}]
    assert ec2.describe_instances(Filters=filters)["Reservations"] == []
    [made] = ec2.run_instances(**request_, **address)["Instances"]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_the_groups_of_an_interface_are_of_its_network(
    ec2: Any, built: Built, request_: dict[str, Any], place: dict[str, str], refusal: Refusal
) -> None:
    other = built[0]._groups.find(built[0].names.server_group)["GroupId"]
    del request_["SubnetId"], request_["SecurityGroupIds"]
    interface = {"DeviceIndex": 0, "SubnetId": place["subnet"], "Groups": [other]}
    code, message = refusal(ec2.run_instances, NetworkInterfaces=[interface], **request_)
    assert code == "InvalidParameter"
    assert f"Security group {other} and subnet {place['subnet']} belong to" in message
    interface["Groups"] = [place["group"]]
    made = ec2.run_instances(NetworkInterfaces=[interface], **request_)["Instances"][0]
    [made_interface] = made["NetworkInterfaces"]
    assert [group["GroupId"] for group in made_interface["Groups"]] == [place["group"]]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_groups_of_the_default_vpc_by_name(ec2: Any, image: str) -> None:
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SecurityGroups=["default"])[
        "Instances"
    ][0]
    assert [group["GroupName"] for group in made["SecurityGroups"]] == ["default"]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_a_template_is_refused_alike(api: Aws, image: str, place: dict[str, str]) -> None:
    for number, (change, reason) in enumerate(
        [
            ({"ImageId": "ami-12345678"}, "InvalidAMIID.NotFound"),
            ({"InstanceType": "t3.mikro"}, "Invalid value 't3.mikro' for InstanceType."),
            ({"KeyName": "nobody"}, "The key pair 'nobody' does not exist"),
            (
                {"NetworkInterfaces": [{"DeviceIndex": "0", "SubnetId": place["subnet"]}]},
                "Network interfaces and an instance-level subnet ID may not be specified",
            ),
        ]
    ):
        properties = {"ImageId": image, "SubnetId": place["subnet"]} | change
        host = {"Type": "AWS::EC2::Instance", "Properties": properties}
        arguments = {"TemplateBody": json.dumps({"Resources": {"Host": host}})}
        name = f"no-instance-{number}"
        api.call("cloudformation", "create_stack", StackName=name, **arguments)
        events = api.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name)
        assert events[0]["ResourceStatus"] == "ROLLBACK_COMPLETE"
        assert reason in str([event.get("ResourceStatusReason") for event in events])
        api.call("cloudformation", "delete_stack", StackName=name)


def test_terminated_is_for_good(ec2: Any, instance: str, refusal: Refusal) -> None:
    ids = [instance]
    ec2.terminate_instances(InstanceIds=ids)
    code, message = refusal(ec2.start_instances, InstanceIds=ids)
    assert code == "IncorrectInstanceState" and "from which it can be started" in message
    code, message = refusal(ec2.stop_instances, InstanceIds=ids)
    assert code == "IncorrectInstanceState" and "from which it can be stopped" in message
    ec2.reboot_instances(InstanceIds=ids)
    assert state(ec2, instance) == "terminated"


def test_a_stopped_instance_is_started_and_not_rebooted(ec2: Any, instance: str) -> None:
    for _twice in range(2):
        ec2.stop_instances(InstanceIds=[instance])
    ec2.reboot_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])
    ec2.reboot_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "running"


def test_hardware_is_changed_when_it_stands_still(
    ec2: Any, instance: str, refusal: Refusal
) -> None:
    change = {"InstanceId": instance, "InstanceType": {"Value": "t3.small"}}
    code, message = refusal(ec2.modify_instance_attribute, **change)
    assert code == "IncorrectInstanceState" and "is not in the 'stopped' state" in message
    ec2.stop_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(**change)
    change["InstanceType"] = {"Value": "t3.mikro"}
    assert refusal(ec2.modify_instance_attribute, **change)[0] == "InvalidInstanceAttributeValue"
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="instanceType")
    assert answer["InstanceType"]["Value"] == "t3.small"
