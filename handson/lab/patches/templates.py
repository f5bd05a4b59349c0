"""Templates: a function that moto lacks, checks that it leaves out, errors as AWS has them.

Most sentences are those of
https://repost.aws/knowledge-center/cloudformation-template-validation
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.core.exceptions import ServiceException

from handson.lab.patches.patch import Patch
from handson.lab.patches.schemas import SCHEMAS

Json = dict[str, Any]

_moto_clean_json = parsing.clean_json
_moto_create_stack = CloudFormationBackend.create_stack


def clean_json(value: Any, resources: Any) -> Any:
    # moto leaves Fn::Cidr as it stands. AWS cuts the block into subnets.
    if isinstance(value, dict) and "Fn::Cidr" in value:
        block, count, bits = clean_json(value["Fn::Cidr"], resources)
        subnets = ipaddress.IPv4Network(block).subnets(new_prefix=32 - int(bits))
        return [str(subnet) for subnet in islice(subnets, int(count))]
    return _moto_clean_json(value, resources)


def create_stack(self: Any, name: str, template: str, *args: Any, **kwargs: Any) -> Any:
    # moto lets the YAML parser's, the JSON parser's or a KeyError out: an HTTP 500 page,
    # which boto3 tries five times. An unknown type is dropped with a warning. AWS says
    # ValidationError before it creates anything.
    check_template(template)
    return _moto_create_stack(self, name, template, *args, **kwargs)


def validate_template(self: Any, template: str) -> list[Any]:
    # moto has another program look at it, which says more than AWS and in other words.
    check_template(template)
    return []


PSEUDO_PARAMETERS = {
    f"AWS::{name}"
    for name in ("AccountId", "NoValue", "Partition", "Region", "StackId", "StackName", "URLSuffix")
}


def check_template(text: str) -> None:
    """Raise the ValidationError that AWS gives for this template, if it gives one."""
    try:
        template = Stack.parse_template(text)
    except Exception as error:
        raise _format_error(f"YAML not well-formed.{_where(error)}") from error
    resources = template.get("Resources") if isinstance(template, dict) else None
    if not isinstance(resources, dict) or not resources:
        raise _format_error("At least one Resources member must be defined.")
    unknown = [str(section) for section in template if section not in SECTIONS]
    if unknown:
        raise _format_error(f"Invalid template property or properties [{', '.join(unknown)}]")
    for name, resource in resources.items():
        _check_resource(str(name), resource)
    for name, slot in (template.get("Parameters") or {}).items():
        _check_parameter(name, slot)
    known = parsing.get_model_map().keys() | set(parsing.NULL_MODELS)
    types = [resource["Type"] for resource in resources.values()]
    unknown = [kind for kind in types if kind not in known and not kind.startswith("Custom::")]
    if unknown:
        raise _format_error(f"Unrecognized resource types: [{', '.join(unknown)}]")
    names = set(resources) | set(template.get("Parameters") or {}) | PSEUDO_PARAMETERS
    for block in ("Resources", "Outputs"):
        lost = sorted(set(_references(template.get(block))) - names)
        if lost:
            raise _format_error(
                f"Unresolved resource dependencies [{', '.join(lost)}] "
                f"in the {block} block of the template"
            )
    _check_order(resources)
    _check_attributes(template, resources)


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
SECTIONS = {
    *("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings"),
    *("Conditions", "Transform", "Resources", "Outputs", "Hooks"),
}
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-product-attribute-reference.html
RESOURCE_ATTRIBUTES = {
    *("Type", "Properties", "Condition", "CreationPolicy", "DeletionPolicy", "DependsOn"),
    *("Metadata", "UpdatePolicy", "UpdateReplacePolicy", "Description"),
}
AWS_TYPE = (
    r"AWS::EC2::(AvailabilityZone::Name|Image::Id|Instance::Id|KeyPair::KeyName|"
    r"SecurityGroup::GroupName|SecurityGroup::Id|Subnet::Id|Volume::Id|VPC::Id)|"
    r"AWS::Route53::HostedZone::Id"
)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
PARAMETER_TYPE = re.compile(
    rf"String|Number|CommaDelimitedList|List<Number>|({AWS_TYPE})|List<({AWS_TYPE})>|"
    rf"AWS::SSM::Parameter::(Name|Value<(String|List<String>|CommaDelimitedList|{AWS_TYPE}|"
    rf"List<({AWS_TYPE})>)>)"
)


def _check_resource(name: str, resource: Any) -> None:
    # https://github.com/cfndsl/cfndsl/issues/343 (the name),
    # https://github.com/aws-cloudformation/cfn-lint/issues/1630 (the type),
    # https://github.com/cloudtools/troposphere/pull/140 (an attribute).
    if not name.isascii() or not name.isalnum():
        raise _format_error(f"Resource name {name} is non alphanumeric.")
    if not isinstance(resource, dict) or "Type" not in resource:
        raise _format_error(
            f"[/Resources/{name}] Every Resources object must contain a Type member."
        )
    if not isinstance(resource["Type"], str):
        raise _format_error(f"[/Resources/{name}] Every Type member must be a string.")
    for attribute in resource:
        if attribute not in RESOURCE_ATTRIBUTES:
            raise invalid(f"Invalid template resource property '{attribute}'")


def _check_parameter(name: str, slot: Any) -> None:
    if not isinstance(slot, dict) or "Type" not in slot:
        raise _format_error("Every Parameters object must contain a Type member.")
    if not PARAMETER_TYPE.fullmatch(str(slot["Type"])):
        raise _format_error(f"Unrecognized parameter type: {slot['Type']}")


def _check_order(resources: Json) -> None:
    # moto dies of a circle. AWS: https://github.com/aws/serverless-application-model/issues/258
    needs = {name: set(_references(each)) & set(resources) for name, each in resources.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = ", ".join(sorted(set(error.args[1])))
        raise invalid(f"Circular dependency between resources: [{circle}]") from None


def _check_attributes(template: Json, resources: Json) -> None:
    # moto makes the stack, and no stack can be described any more. AWS:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getatt.html
    for name, attribute in _attributes([resources, template.get("Outputs")]):
        schema = SCHEMAS.get(resources[name]["Type"]) if name in resources else None
        known = f"{schema.properties} {schema.attributes}".split() if schema else [attribute]
        if attribute.split(".")[0] not in known:
            raise invalid(
                f"Template error: resource {name} does not support attribute type {attribute} "
                "in Fn::GetAtt"
            )


def check_properties(name: str, resource: Json) -> None:
    """Raise what AWS says of properties that a type of resource lacks, or must not lack."""
    # moto passes over what it does not know, and names what it misses in Python's words.
    # AWS: https://github.com/aws/aws-cdk/issues/28984 and
    # https://github.com/aws-cloudformation/iac-model-evaluation/issues/29
    schema = SCHEMAS.get(resource["Type"])
    given = resource.get("Properties") or {}
    if schema is None:
        return
    found = [
        f"required key [{key}] not found" for key in schema.required.split() if key not in given
    ]
    found += [
        f"extraneous key [{key}] is not permitted"
        for key in given
        if key not in schema.properties.split() and not key.startswith("Fn::")
    ]
    if found:
        raise ValueError(
            f"Properties validation failed for resource {name} with message:\n#: "
            + "\n#: ".join(found)
        )


def _where(error: BaseException | None) -> str:
    # moto tries JSON after YAML: where the YAML went wrong is in an error before this one.
    while error is not None:
        if mark := getattr(error, "problem_mark", None):
            return f" (line {mark.line + 1}, column {mark.column + 1})"
        error = error.__context__
    return ""


def invalid(message: str) -> ServiceException:
    return ValidationError(message=message)


def _format_error(message: str) -> ServiceException:
    return invalid(f"Template format error: {message}")


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("Ref", "DependsOn"):
                yield from [item] if isinstance(item, str) else item
            elif key == "Fn::GetAtt":
                yield item[0]
            elif key == "Fn::Sub" and isinstance(item, str):
                yield from re.findall(r"\$\{([A-Za-z0-9:]+)", item)
            else:
                yield from _references(item)


def _attributes(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _attributes(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Fn::GetAtt" and all(isinstance(part, str) for part in item[1:]):
                yield item[0], ".".join(item[1:])
            elif key == "Fn::Sub" and isinstance(item, str):
                yield from re.findall(r"\$\{([A-Za-z0-9]+)\.([A-Za-z0-9.]+)\}", item)
            else:
                yield from _attributes(item)


PATCHES = (
    Patch(parsing, "clean_json", clean_json),
    Patch(CloudFormationBackend, "create_stack", create_stack),
    Patch(CloudFormationBackend, "validate_template", validate_template),
)
