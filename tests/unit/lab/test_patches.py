"""Each patch, seen through boto3 as a user of the API sees it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from handson.cloud.client import Aws, Refused
from handson.cloud.cloud import Cloud
from handson.cloud.stacks import IMAGES
from handson.lab.patches import PATCHES, apply
from handson.lab.patches.patch import Patch

Built = tuple[Cloud, list[str]]
VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}}


def create(api: Aws, template: Any, name: str = "patched", **parameters: str) -> None:
    body = template if isinstance(template, str) else json.dumps(template)
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    arguments = {"StackName": name, "TemplateBody": body, "Parameters": given}
    api.call("cloudformation", "create_stack", **arguments)


def refusal(api: Aws, template: Any, **parameters: str) -> str:
    with pytest.raises(Refused) as caught:
        create(api, template, **parameters)
    assert caught.value.code == "ValidationError"
    return caught.value.what


def test_another_moto_is_noticed() -> None:
    with pytest.raises(AttributeError, match="another moto"):
        Patch(apply, "no_such_thing", None)
    assert len(PATCHES) == len({(patch.owner, patch.name) for patch in PATCHES})


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("Resources:\n  A: [1", "YAML not well-formed. (line"),
        ("{}", "At least one Resources member"),
        ({"Resources": {}}, "At least one Resources member"),
        (
            {"Resources": {"A": VPC}, "Ressources": {}},
            "Template format error: Invalid template property or properties [Ressources]",
        ),
        ({"Resources": {"a-vpc": VPC}}, "Resource name a-vpc is non alphanumeric"),
        (
            {"Resources": {"A": {"Properties": {}}}},
            "[/Resources/A] Every Resources object must contain a Type member",
        ),
        (
            {"Resources": {"A": {"Type": {"Ref": "AWS::Region"}}}},
            "[/Resources/A] Every Type member must be a string",
        ),
        ({"Resources": {"A": {**VPC, "Tags": []}}}, "Invalid template resource property 'Tags'"),
        (
            {"Resources": {"A": {**VPC, "DependsOn": "B"}, "B": {**VPC, "DependsOn": ["A"]}}},
            "Circular dependency between resources: [A, B]",
        ),
        (
            {"Resources": {"A": VPC}, "Outputs": {"B": {"Value": {"Fn::GetAtt": ["A", "Name"]}}}},
            "Template error: resource A does not support attribute type Name in Fn::GetAtt",
        ),
        (
            {"Resources": {"A": VPC}, "Outputs": {"B": {"Value": {"Fn::Sub": "${A.Name}"}}}},
            "Template error: resource A does not support attribute type Name in Fn::GetAtt",
        ),
        (
            {"Resources": {"A": VPC}, "Parameters": {"P": {"Type": "Text"}}},
            "Template format error: Unrecognized parameter type: Text",
        ),
        (
            {"Resources": {"A": VPC}, "Parameters": {"P": {"Default": "a"}}},
            "Template format error: Every Parameters object must contain a Type member",
        ),
        ({"Resources": {"A": {"Type": "AWS::EC2::Nonsense"}}}, "Unrecognized resource types"),
        (
            {"Resources": {"A": {**VPC, "Properties": {"CidrBlock": {"Ref": "Nobody"}}}}},
            "Unresolved resource dependencies [Nobody] in the Resources block",
        ),
        (
            {"Resources": {"A": {**VPC, "DependsOn": "Nobody"}}},
            "Unresolved resource dependencies [Nobody]",
        ),
        (
            {"Resources": {"A": VPC}, "Outputs": {"B": {"Value": {"Fn::Sub": "${Nobody}"}}}},
            "Unresolved resource dependencies [Nobody] in the Outputs block",
        ),
        (
            {"Resources": {"A": VPC}, "Outputs": {"B": {"Value": {"Fn::GetAtt": ["C", "Id"]}}}},
            "Unresolved resource dependencies [C] in the Outputs block",
        ),
    ],
)
def test_a_template_error_is_a_validation_error(api: Aws, template: Any, sentence: str) -> None:
    assert sentence in refusal(api, template)


@pytest.mark.parametrize(
    ("slot", "value", "sentence"),
    [
        ({"Type": "String"}, None, "Parameters: [P] must have values"),
        ({"Type": "String", "AllowedPattern": "[a-z]+"}, "1", "'P' must match pattern [a-z]+"),
        ({"Type": "String", "AllowedValues": ["a"]}, "b", "'P' must be one of AllowedValues"),
        ({"Type": "String", "MaxLength": 2}, "abc", "at most 2 characters"),
        ({"Type": "String", "MinLength": 4}, "abc", "must contain at least 4 characters"),
        ({"Type": "Number"}, "many", "Parameter 'P' must be a number"),
        ({"Type": "List<Number>"}, "1,many", "Parameter 'P' must be a number"),
        ({"Type": "Number", "MinValue": 25}, "24", "must be a number not less than 25"),
        ({"Type": "Number", "MaxValue": "587"}, "587.5", "must be a number not greater than 587"),
        ({"Type": "AWS::EC2::AvailabilityZone::Name"}, "us-east-1a", "does not exist"),
        ({"Type": "AWS::EC2::Image::Id"}, "ami-12345678", "does not exist"),
        ({"Type": "AWS::EC2::Instance::Id"}, "i-1", "does not exist"),
        ({"Type": "AWS::EC2::SecurityGroup::GroupName"}, "nobody", "does not exist"),
        ({"Type": "AWS::EC2::Volume::Id"}, "vol-1", "does not exist"),
        ({"Type": "List<AWS::EC2::Subnet::Id>"}, "subnet-1,subnet-2", "value subnet-1 for"),
        ({"Type": "AWS::EC2::KeyPair::KeyName"}, "nobody", "nobody for parameter name P does not"),
        ({"Type": "AWS::EC2::VPC::Id"}, "vpc-1", "does not exist"),
        ({"Type": "AWS::EC2::Subnet::Id"}, "subnet-1", "does not exist"),
        ({"Type": "AWS::EC2::SecurityGroup::Id"}, "sg-1", "does not exist"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "/none", "Unable to fetch parameters"),
    ],
)
def test_a_parameter_is_checked(api: Aws, slot: Any, value: str | None, sentence: str) -> None:
    template = {"Parameters": {"P": slot}, "Resources": {"A": VPC}}
    given = {} if value is None else {"P": value}
    assert sentence in refusal(api, template, **given)


@pytest.mark.parametrize(
    ("slot", "value"),
    [
        ({"Type": "String", "MinLength": 3, "MaxLength": 3}, "abc"),
        ({"Type": "Number", "MinValue": 25, "MaxValue": 587}, "587"),
        ({"Type": "List<Number>"}, "25,587"),
        ({"Type": "CommaDelimitedList"}, "a,b"),
        ({"Type": "AWS::EC2::AvailabilityZone::Name"}, "ap-northeast-1a"),
        ({"Type": "List<AWS::EC2::AvailabilityZone::Name>"}, "ap-northeast-1a,ap-northeast-1c"),
        ({"Type": "AWS::EC2::SecurityGroup::GroupName"}, "default"),
        ({"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"}, IMAGES["al2023"]),
        ({"Type": "AWS::SSM::Parameter::Name"}, IMAGES["al2023"]),
    ],
)
def test_a_parameter_is_taken(api: Aws, slot: Any, value: str) -> None:
    create(api, {"Parameters": {"P": slot}, "Resources": {"A": VPC}}, P=value)
    api.call("cloudformation", "delete_stack", StackName="patched")


def test_an_unknown_parameter_is_refused(api: Aws) -> None:
    assert "[Q] do not exist in the template" in refusal(api, {"Resources": {"A": VPC}}, Q="1")


def test_an_ssm_parameter_shows_both_values(built: Built) -> None:
    found = built[0]._stacks.aws.pages("cloudformation", "describe_stacks", "Stacks")
    server = next(s for s in found if s["StackName"] == built[0].names.server_stack)
    image = next(p for p in server["Parameters"] if p["ParameterKey"] == "ImageId")
    assert image["ParameterValue"].startswith("/aws/service/")
    assert image["ResolvedValue"].startswith("ami-")


def describe(built: Built, name: str) -> dict[str, Any]:
    filters = [{"Name": "tag:Name", "Values": [name]}]
    found = built[0]._aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
    instance: dict[str, Any] = found[0]["Instances"][0]
    return instance


@pytest.mark.parametrize("who", ["server", "client"])
def test_an_instance_is_as_its_template_says(built: Built, who: str) -> None:
    item = describe(built, f"20250101-smtp-handson-{who}")
    assert [g["GroupName"] for g in item["SecurityGroups"]] == [
        f"sg_20250101-smtp-handson-smtp-{who}"
    ]
    [interface] = item["NetworkInterfaces"]
    assert interface["Groups"] == item["SecurityGroups"]
    assert item["KeyName"] == "smtp-handson-20250101"
    assert item["MetadataOptions"]["HttpTokens"] == "required"
    assert item["Placement"]["AvailabilityZone"].startswith("ap-northeast-1")
    assert {tag["Key"] for tag in item["Tags"]} >= {"Name", "Project", "Date", "CreatedBy"}


def test_a_volume_is_as_its_template_says(built: Built) -> None:
    filters = [{"Name": "tag:Name", "Values": ["20250101-smtp-handson-client"]}]
    [volume] = built[0]._aws.pages("ec2", "describe_volumes", "Volumes", Filters=filters)
    assert (volume["VolumeType"], volume["Encrypted"], volume["Size"]) == ("gp3", True, 8)


def test_user_data_reaches_the_instance(built: Built) -> None:
    instance = built[0].instance(built[0].names.server)
    assert instance is not None
    answer = built[0]._aws.call(
        "ec2", "describe_instance_attribute", InstanceId=instance.id, Attribute="userData"
    )
    script = base64.b64decode(answer["UserData"]["Value"]).decode()
    assert script.startswith("#!/bin/bash\n")
    assert "domain='example.com'\nclient='10.87.3.20'\n" in script
    assert "'mydestination = $myhostname, localhost.$mydomain, localhost, $mydomain'" in script


def test_the_image_is_amazon_linux(built: Built) -> None:
    image_id = describe(built, "20250101-smtp-handson-server")["ImageId"]
    [image] = built[0]._aws.call("ec2", "describe_images", ImageIds=[image_id])["Images"]
    assert image["Name"].startswith("al2023-ami-2023")


def test_the_subnets_are_cut_from_the_vpc(built: Built) -> None:
    filters = [{"Name": "tag:Date", "Values": ["20250101"]}]
    subnets = built[0]._aws.pages("ec2", "describe_subnets", "Subnets", Filters=filters)
    assert {s["CidrBlock"] for s in subnets} == {"10.87.2.0/24", "10.87.3.0/24"}
    assert not any(s["MapPublicIpOnLaunch"] for s in subnets)


def test_the_endpoint_is_as_its_template_says(built: Built) -> None:
    filters = [{"Name": "tag:Date", "Values": ["20250101"]}]
    [end] = built[0]._aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)
    assert end["VpcEndpointType"] == "Gateway" and len(end["RouteTableIds"]) == 1
    buckets = json.loads(end["PolicyDocument"])["Statement"][0]["Resource"]
    assert buckets[0] == "arn:aws:s3:::al2023-repos-ap-northeast-1-de612dc2/*"


def test_an_endpoint_without_route_tables(api: Aws) -> None:
    endpoint = {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {
            "VpcId": {"Ref": "A"},
            "ServiceName": {"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
        },
    }
    create(api, {"Resources": {"A": VPC, "E": endpoint}})
    [stack] = api.pages("cloudformation", "describe_stacks", "Stacks", StackName="patched")
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    api.call("cloudformation", "delete_stack", StackName="patched")


def test_a_subnet_that_gives_public_addresses(built: Built, api: Aws) -> None:
    image = describe(built, "20250101-smtp-handson-server")["ImageId"]
    subnet = {
        "Type": "AWS::EC2::Subnet",
        "Properties": {
            "VpcId": {"Ref": "A"},
            "CidrBlock": "10.1.0.0/24",
            "MapPublicIpOnLaunch": True,
        },
    }
    instance = {
        "Type": "AWS::EC2::Instance",
        "Properties": {"ImageId": image, "SubnetId": {"Ref": "S"}},
    }
    outputs = {"Ip": {"Value": {"Fn::GetAtt": ["I", "PublicIp"]}}}
    create(api, {"Resources": {"A": VPC, "S": subnet, "I": instance}, "Outputs": outputs})
    [stack] = api.pages("cloudformation", "describe_stacks", "Stacks", StackName="patched")
    assert stack["Outputs"][0]["OutputValue"].startswith("203.0.113.")
    api.call("cloudformation", "delete_stack", StackName="patched")


@pytest.mark.parametrize(
    ("address", "code"),
    [("10.87.2.44", "InvalidIPAddress.InUse"), ("10.99.0.1", "InvalidParameterValue")],
)
def test_an_address_that_cannot_be_had(built: Built, address: str, code: str) -> None:
    item = describe(built, "20250101-smtp-handson-server")
    with pytest.raises(Refused) as caught:
        built[0]._aws.call(
            "ec2",
            "run_instances",
            ImageId=item["ImageId"],
            MinCount=1,
            MaxCount=1,
            SubnetId=item["SubnetId"],
            PrivateIpAddress=address,
        )
    assert caught.value.code == code


def test_what_is_in_use_is_not_deleted(built: Built) -> None:
    item = describe(built, "20250101-smtp-handson-server")
    for operation, argument in (
        ("delete_security_group", {"GroupId": item["SecurityGroups"][0]["GroupId"]}),
        ("delete_subnet", {"SubnetId": item["SubnetId"]}),
        ("delete_vpc", {"VpcId": item["VpcId"]}),
    ):
        with pytest.raises(Refused) as caught:
            built[0]._aws.call("ec2", operation, **argument)
        assert caught.value.code == "DependencyViolation", operation


def test_a_vpc_with_a_group_is_not_deleted(api: Aws) -> None:
    group = {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "one", "VpcId": {"Ref": "A"}},
    }
    outputs = {"Vpc": {"Value": {"Ref": "A"}}}
    create(api, {"Resources": {"A": VPC, "G": group}, "Outputs": outputs})
    [stack] = api.pages("cloudformation", "describe_stacks", "Stacks", StackName="patched")
    with pytest.raises(Refused, match="DependencyViolation"):
        api.call("ec2", "delete_vpc", VpcId=stack["Outputs"][0]["OutputValue"])
    api.call("cloudformation", "delete_stack", StackName="patched")


def test_a_deleted_stack_stays_deleted_when_described(api: Aws) -> None:
    create(api, {"Resources": {"A": VPC}, "Outputs": {"Vpc": {"Value": {"Ref": "A"}}}})
    [stack] = api.pages("cloudformation", "describe_stacks", "Stacks", StackName="patched")
    before = len(api.pages("ec2", "describe_vpcs", "Vpcs"))
    api.call("cloudformation", "delete_stack", StackName="patched")
    [gone] = api.pages("cloudformation", "describe_stacks", "Stacks", StackName=stack["StackId"])
    assert gone["StackStatus"] == "DELETE_COMPLETE"
    assert len(api.pages("ec2", "describe_vpcs", "Vpcs")) == before - 1


def test_few_images_are_loaded(api: Aws) -> None:
    assert len(api.pages("ec2", "describe_images", "Images")) < 100


def test_groups_of_an_instance_are_replaced(built: Built) -> None:
    item = describe(built, "20250101-smtp-handson-client")
    own = item["SecurityGroups"][0]["GroupId"]
    other = describe(built, "20250101-smtp-handson-server")["SecurityGroups"][0]["GroupId"]
    modify = {"InstanceId": item["InstanceId"]}
    built[0]._aws.call("ec2", "modify_instance_attribute", Groups=[other], **modify)
    [interface] = describe(built, "20250101-smtp-handson-client")["NetworkInterfaces"]
    assert [group["GroupId"] for group in interface["Groups"]] == [other]
    built[0]._aws.call("ec2", "modify_instance_attribute", Groups=[own], **modify)


def test_terminating_twice_is_no_fault(api: Aws, built: Built) -> None:
    image = describe(built, "20250101-smtp-handson-server")["ImageId"]
    run = api.call("ec2", "run_instances", ImageId=image, MinCount=1, MaxCount=1)
    ids = [run["Instances"][0]["InstanceId"]]
    for _attempt in range(2):
        api.call("ec2", "terminate_instances", InstanceIds=ids)
        [run] = api.pages("ec2", "describe_instances", "Reservations", InstanceIds=ids)
        assert run["Instances"][0]["State"]["Name"] == "terminated"


def test_the_events_tell_of_each_resource(built: Built) -> None:
    name = built[0].names.pri_sub_stack
    events = built[0]._aws.pages(
        "cloudformation", "describe_stack_events", "StackEvents", StackName=name
    )
    told = [(e["LogicalResourceId"], e["ResourceStatus"]) for e in reversed(events)]
    assert told == [
        (name, "CREATE_IN_PROGRESS"),
        ("PrivateSubnet", "CREATE_COMPLETE"),
        ("PrivateRouteTable", "CREATE_COMPLETE"),
        ("PrivateSubnetRoutes", "CREATE_COMPLETE"),
        ("PackagesEndpoint", "CREATE_COMPLETE"),
        (name, "CREATE_COMPLETE"),
    ]
