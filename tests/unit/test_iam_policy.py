"""The policy for a learner on AWS allows what the course calls, and names nothing more."""

from __future__ import annotations

import ast
import fnmatch
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import cfn_yaml
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import handson
from handson.cloud.cloud import Cloud
from handson.cloud.stacks import IMAGES, TEMPLATES, plan
from handson.settings import Settings

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J a"
STATEMENTS = json.loads((TEMPLATES / "iam-policy.json").read_text())["Statement"]
FILES = [cfn_yaml.load(str(path)) for path in sorted(TEMPLATES.glob("*.yml"))]

# What a call needs besides the permission of its own name, when it is given tags.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
WITH_TAGS = {
    "cloudformation:CreateStack": "cloudformation:TagResource",
    "ec2:ImportKeyPair": "ec2:CreateTags",
}

# What CloudFormation asks for to check a parameter of such a type.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-supplied-parameter-types.html
OF_PARAMETERS = {
    "String": (),
    "AWS::EC2::VPC::Id": ("ec2:DescribeVpcs",),
    "AWS::EC2::Subnet::Id": ("ec2:DescribeSubnets",),
    "AWS::EC2::SecurityGroup::Id": ("ec2:DescribeSecurityGroups",),
    "AWS::EC2::KeyPair::KeyName": ("ec2:DescribeKeyPairs",),
    "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>": ("ssm:GetParameters", "ec2:DescribeImages"),
}

# The schemas of CloudFormation's resource types name for each what its handlers may call, with
# all properties. What serves only a property that no template sets is left out, by that property.
PROFILE = "AWS::EC2::Instance IamInstanceProfile"
ONLY_FOR = {
    "iam:PassRole": PROFILE,
    "ec2:AssociateIamInstanceProfile": PROFILE,
    "ec2:DescribeIamInstanceProfileAssociations": PROFILE,
    "ec2:DisassociateIamInstanceProfile": PROFILE,
    "ec2:ReplaceIamInstanceProfileAssociation": PROFILE,
    "ec2:AttachVolume": "AWS::EC2::Instance Volumes",
    "ec2:DetachVolume": "AWS::EC2::Instance Volumes",
    "ec2:DescribeLaunchTemplates": "AWS::EC2::Instance LaunchTemplate",
    "ec2:DescribeLaunchTemplateVersions": "AWS::EC2::Instance LaunchTemplate",
    "ec2:ModifyInstanceAttribute": "AWS::EC2::Instance SourceDestCheck",
    "ec2:ModifyInstanceCreditSpecification": "AWS::EC2::Instance CreditSpecification",
    "ec2:ModifyInstancePlacement": "AWS::EC2::Instance Affinity HostId PlacementGroupName Tenancy",
    "ec2:ModifyPrivateDnsNameOptions": "AWS::EC2::Instance PrivateDnsNameOptions",
    "ec2:MonitorInstances": "AWS::EC2::Instance Monitoring",
    "ssm:CreateAssociation": "AWS::EC2::Instance SsmAssociations",
    "ssm:DescribeAssociation": "AWS::EC2::Instance SsmAssociations",
    "ssm:ListAssociations": "AWS::EC2::Instance SsmAssociations",
    "ec2:ModifySubnetAttribute": (
        "AWS::EC2::Subnet AssignIpv6AddressOnCreation EnableDns64 EnableLniAtDeviceIndex "
        "MapPublicIpOnLaunch PrivateDnsNameOptionsOnLaunch"
    ),
    "ec2:CreateVpcEncryptionControl": "AWS::EC2::VPC VpcEncryptionControl",
    "ec2:DescribeVpcEncryptionControls": "AWS::EC2::VPC VpcEncryptionControl",
    "vpc-lattice:CreateServiceNetworkVpcEndpointAssociation": (
        "AWS::EC2::VPCEndpoint ServiceNetworkArn"
    ),
    "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation": (
        "AWS::EC2::VPCEndpoint ServiceNetworkArn"
    ),
    "vpce:AllowMultiRegion": "AWS::EC2::VPCEndpoint ServiceRegion",
    "ec2:AttachVpnGateway": "AWS::EC2::VPCGatewayAttachment VpnGatewayId",
    "ec2:DescribeVpnGateways": "AWS::EC2::VPCGatewayAttachment VpnGatewayId",
    "ec2:DetachVpnGateway": "AWS::EC2::VPCGatewayAttachment VpnGatewayId",
}


def resources() -> Iterator[dict[str, Any]]:
    for template in FILES:
        yield from template["Resources"].values()


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "ap-northeast-1", kind
    ).schema
    return found


def operations() -> dict[str, str]:
    """Return the permission of each operation of the services of the course, by boto3's name."""
    session = boto3.session.Session("a", "b", region_name="ap-northeast-1")
    return {
        name: f"{service}:{operation}"
        for service in ("sts", "ec2", "cloudformation")
        for name, operation in session.client(service).meta.method_to_api_mapping.items()
    }


def called_in_the_code() -> set[str]:
    """Return the permissions of the operations that the package names in a string.

    The lab is left out: it answers the calls.
    """
    known = operations()
    package = Path(handson.__file__).parent
    return {
        known[node.value]
        for path in package.rglob("*.py")
        if "lab" not in path.relative_to(package).parts[:1]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in known
    }


def called_by_cloudformation() -> set[str]:
    kinds = {resource["Type"] for resource in resources()}
    handlers = [schema(kind)["handlers"][name] for kind in kinds for name in HANDLERS]
    named = {one for handler in handlers for one in handler["permissions"]}
    checks = {slot["Type"] for template in FILES for slot in template["Parameters"].values()}
    return named - set(ONLY_FOR) | {one for kind in checks for one in OF_PARAMETERS[kind]}


def public(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


CURVE = ec.SECP256R1()
HANDLERS = ("create", "read", "delete")


def test_it_allows_what_is_called_and_nothing_more() -> None:
    own = called_in_the_code()
    needed = own | {WITH_TAGS[one] for one in own & set(WITH_TAGS)} | called_by_cloudformation()
    allowed = [action for one in STATEMENTS for action in one["Action"]]
    assert {one["Effect"] for one in STATEMENTS} == {"Allow"}
    assert (needed - set(allowed), set(allowed) - needed) == (set(), set())
    assert len(allowed) == len(set(allowed))


def test_what_is_left_out_serves_a_property_that_no_template_sets() -> None:
    for permission, reason in ONLY_FOR.items():
        kind, *properties = reason.split()
        assert permission in {
            one for name in HANDLERS for one in schema(kind)["handlers"][name]["permissions"]
        }
        assert set(properties) <= set(schema(kind)["properties"]), permission
        for resource in resources():
            if resource["Type"] == kind:
                assert not set(properties) & set(resource["Properties"]), permission


@pytest.mark.slow
def test_the_course_calls_each_operation_that_the_code_names(
    cloud_of: Callable[..., Cloud], console: dict[str, str]
) -> None:
    cloud = cloud_of("20250110")
    clients = [cloud._aws._client(one) for one in ("sts", "ec2", "cloudformation")]
    seen: set[str] = set()

    def record(model: Any, **_kwargs: Any) -> None:
        seen.add(f"{model.service_model.service_name}:{model.name}")

    for client in clients:
        client.meta.events.register("before-call", record)
    try:
        cloud.who_am_i()
        for one in plan(cloud.settings, cloud.import_key(PUBLIC_KEY), "203.0.113.5", cloud.zone()):
            cloud.create(one)
        server = cloud.instance(cloud.names.server)
        assert server
        console[server.id] = (
            "-----BEGIN SSH HOST KEY KEYS-----\n"
            f"{public(Ed25519PrivateKey.generate())}\n{public(ec.generate_private_key(CURVE))}\n"
            "-----END SSH HOST KEY KEYS-----\n"
        )
        cloud.host_keys(server.id)
        cloud.open_port(587, "0.0.0.0/0")
        cloud.close_port(587, "0.0.0.0/0")
        cloud.left_over()
        cloud.delete_all()
    finally:
        for client in clients:
            client.meta.events.unregister("before-call", record)
    assert seen == called_in_the_code()


@pytest.mark.parametrize("learner", ["", "ayumi"])
def test_stacks_and_images_of_the_plan_are_in_its_resources(learner: str) -> None:
    plans = plan(Settings(date="20250101", learner=learner), "key", "203.0.113.5")
    arn = "arn:aws:cloudformation:eu-west-1:123456789012:stack/{}/a-b"
    image = "arn:aws:ssm:eu-west-1::parameter{}"
    needed = {
        "Stacks": [arn.format(one.name) for one in plans],
        "Image": [image.format(one) for one in IMAGES.values()],
    }
    resources = {one["Sid"]: one["Resource"] for one in STATEMENTS}
    for sid, names in needed.items():
        assert all(fnmatch.fnmatchcase(name, resources[sid]) for name in names), sid
    assert not fnmatch.fnmatchcase(arn.format("another"), resources["Stacks"])


@pytest.mark.parametrize("word", ["Create", "Attach", "Run", "Import", "Modify", "Associate"])
def test_what_makes_things_does_not_ask_for_their_tags(word: str) -> None:
    """What is being made has no tags yet."""
    for statement in STATEMENTS:
        if "Condition" in statement:
            assert not [one for one in statement["Action"] if one.split(":")[1].startswith(word)]


def test_what_removes_touches_only_what_is_the_courses() -> None:
    ours = {"StringEquals": {"aws:ResourceTag/Project": "smtp-handson"}}
    for statement in STATEMENTS:
        removing = [
            one
            for one in statement["Action"]
            if one.split(":")[1].startswith(("Delete", "Terminate", "Detach", "Disassociate"))
        ]
        if removing and statement["Resource"] == "*":
            assert statement.get("Condition") == ours, removing
