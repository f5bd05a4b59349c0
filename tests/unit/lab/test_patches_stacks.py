"""What AWS refuses of stacks, and what it takes, seen through boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from handson.cloud.client import Aws
from handson.cloud.stacks import TEMPLATES

Refusal = Callable[..., tuple[str, str]]
VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.63.0.0/16"}}


@pytest.fixture
def cfn(api: Aws) -> Any:
    """boto3's own client for CloudFormation."""
    return api._client("cloudformation")


def body(outputs: Any = None, **resources: Any) -> str:
    return json.dumps({"Resources": resources, "Outputs": outputs or {}})


def status(cfn: Any, name: str) -> str:
    return str(cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])


def reasons(cfn: Any, name: str) -> str:
    events = cfn.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(event.get("ResourceStatusReason", "") for event in events)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my_stack", "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"),
        ("1-stack", "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"),
        ("a" * 129, "Member must have length less than or equal to 128"),
    ],
)
def test_a_name_that_is_none(cfn: Any, refusal: Refusal, name: str, sentence: str) -> None:
    code, message = refusal(cfn.create_stack, StackName=name, TemplateBody=body(A=VPC))
    assert code == "ValidationError" and sentence in message
    assert f"Value '{name}' at 'stackName' failed to satisfy constraint" in message


def test_a_name_is_given_once(cfn: Any, refusal: Refusal) -> None:
    given = {"StackName": "a" * 128, "TemplateBody": body(A=VPC)}
    cfn.create_stack(**given)
    assert refusal(cfn.create_stack, **given)[0] == "AlreadyExistsException"
    cfn.delete_stack(StackName="a" * 128)


def test_a_stack_that_is_not_there(cfn: Any, refusal: Refusal) -> None:
    for operation in (cfn.describe_stacks, cfn.describe_stack_events, cfn.get_template):
        code, message = refusal(operation, StackName="nobody")
        assert code == "ValidationError" and "does not exist" in message
    code, message = refusal(cfn.update_stack, StackName="nobody", TemplateBody=body(A=VPC))
    assert code == "ValidationError" and "does not exist" in message
    cfn.delete_stack(StackName="nobody")  # no error, on AWS either


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        (
            {**VPC, "Properties": {"CidrBlok": "10.63.0.0/16"}},
            "#: extraneous key [CidrBlok] is not permitted",
        ),
        (
            {"Type": "AWS::EC2::RouteTable", "Properties": {"Vpc": "vpc-1"}},
            "#: required key [VpcId] not found\n#: extraneous key [Vpc] is not permitted",
        ),
        ({"Type": "AWS::EC2::SecurityGroup"}, "#: required key [GroupDescription] not found"),
    ],
)
def test_a_property_that_is_none(cfn: Any, resource: Any, sentence: str) -> None:
    cfn.create_stack(StackName="properties", TemplateBody=body(First=VPC, A=resource))
    assert status(cfn, "properties") == "ROLLBACK_COMPLETE"
    head = "Properties validation failed for resource A with message:\n"
    assert head + sentence in reasons(cfn, "properties")
    cfn.delete_stack(StackName="properties")


def test_the_same_again_is_no_update(cfn: Any, refusal: Refusal) -> None:
    template = json.loads(body(A=VPC)) | {"Parameters": {"P": {"Type": "String", "Default": "a"}}}
    given = {"StackName": "update", "TemplateBody": json.dumps(template)}
    cfn.create_stack(**given)
    for parameters in ([], [{"ParameterKey": "P", "ParameterValue": "a"}]):
        code, message = refusal(cfn.update_stack, Parameters=parameters, **given)
        assert (code, message) == ("ValidationError", "No updates are to be performed.")
    code, message = refusal(cfn.update_stack, StackName="update", TemplateBody="{")
    assert code == "ValidationError" and "YAML not well-formed" in message
    cfn.update_stack(Parameters=[{"ParameterKey": "P", "ParameterValue": "b"}], **given)
    assert status(cfn, "update") == "UPDATE_COMPLETE"
    cfn.delete_stack(StackName="update")


def test_a_change_set_is_refused_and_rolled_back_alike(cfn: Any, refusal: Refusal) -> None:
    given = {"StackName": "deploy", "ChangeSetName": "first", "ChangeSetType": "CREATE"}
    code, message = refusal(cfn.create_change_set, TemplateBody=body(), **given)
    assert code == "ValidationError" and "At least one Resources member" in message
    cfn.create_change_set(TemplateBody=body(A=VPC), **given)
    cfn.execute_change_set(StackName="deploy", ChangeSetName="first")
    assert status(cfn, "deploy") == "CREATE_COMPLETE"
    cfn.delete_stack(StackName="deploy")
    table = {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": "vpc-1"}}
    cfn.create_change_set(TemplateBody=body(A=VPC, B=table), **given)
    cfn.execute_change_set(StackName="deploy", ChangeSetName="first")
    assert status(cfn, "deploy") == "ROLLBACK_COMPLETE"
    assert "InvalidVpcID.NotFound" in reasons(cfn, "deploy")
    cfn.delete_stack(StackName="deploy")


def test_a_template_is_validated_in_the_same_words(cfn: Any, refusal: Refusal) -> None:
    for template, sentence in (
        ("Resources: [", "Template format error: YAML not well-formed. (line"),
        (body(A={"Type": "AWS::EC2::Nonsense"}), "Unrecognized resource types"),
        (body(A={**VPC, "DependsOn": "A"}), "Circular dependency between resources: [A]"),
    ):
        code, message = refusal(cfn.validate_template, TemplateBody=template)
        assert code == "ValidationError" and sentence in message
    for file in TEMPLATES.glob("*.yml"):
        answer = cfn.validate_template(TemplateBody=file.read_text())
        assert answer["Description"].startswith("smtp-handson")


def test_an_export_in_use_keeps_its_stack(cfn: Any) -> None:
    output = {"Value": {"Ref": "A"}, "Export": {"Name": "the-vpc"}}
    subnet = {
        "Type": "AWS::EC2::RouteTable",
        "Properties": {"VpcId": {"Fn::ImportValue": {"Fn::Sub": "the-vpc"}}},
    }
    cfn.create_stack(StackName="exports", TemplateBody=body({"Vpc": output}, A=VPC))
    cfn.create_stack(StackName="imports", TemplateBody=body(B=subnet))
    cfn.delete_stack(StackName="exports")
    assert status(cfn, "exports") == "CREATE_COMPLETE"
    reason = "Export the-vpc cannot be deleted as it is in use by imports"
    assert reason in reasons(cfn, "exports")
    [told] = cfn.describe_stacks(StackName="exports")["Stacks"]
    assert told["StackStatusReason"] == reason
    cfn.delete_stack(StackName="imports")
    cfn.delete_stack(StackName="exports")
    cfn.create_stack(StackName="imports", TemplateBody=body(B=subnet))
    assert status(cfn, "imports") == "ROLLBACK_COMPLETE"
    assert "No export named the-vpc found." in reasons(cfn, "imports")
    cfn.delete_stack(StackName="imports")
