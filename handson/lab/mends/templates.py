"""Templates: a function that moto lacks, checks that it leaves out, errors as AWS has them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Stack
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from handson.lab.mends.patch import Patch

Json = dict[str, Any]

_moto_clean_json = parsing.clean_json
_moto_load_parameters = parsing.ResourceMap.load_parameters
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
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise _format_error("At least one Resources member must be defined.")
    known = parsing.get_model_map().keys() | set(parsing.NULL_MODELS)
    types = [resource.get("Type", "") for resource in template["Resources"].values()]
    unknown = [kind for kind in types if kind not in known and not kind.startswith("Custom::")]
    if unknown:
        raise _format_error(f"Unrecognized resource types: [{', '.join(unknown)}]")
    names = set(template["Resources"]) | set(template.get("Parameters") or {}) | PSEUDO_PARAMETERS
    for block in ("Resources", "Outputs"):
        lost = sorted(set(_references(template.get(block))) - names)
        if lost:
            raise _format_error(
                f"Unresolved resource dependencies [{', '.join(lost)}] "
                f"in the {block} block of the template"
            )


def _where(error: BaseException | None) -> str:
    # moto tries JSON after YAML: where the YAML went wrong is in an error before this one.
    while error is not None:
        if mark := getattr(error, "problem_mark", None):
            return f" (line {mark.line + 1}, column {mark.column + 1})"
        error = error.__context__
    return ""


def _format_error(message: str) -> ServiceException:
    return ValidationError(message=f"Template format error: {message}")


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


def load_parameters(self: Any) -> None:
    # moto takes any value, drops an unknown parameter, dies of an unknown SSM parameter
    # and believes every id. AWS checks all that first.
    declared = self._template.get("Parameters") or {}
    unknown = sorted(set(self.input_parameters) - set(declared))
    if unknown:
        raise _invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {**_defaults(self._template), **self.input_parameters}
    missing = [name for name in declared if name not in values]
    if missing:
        raise _invalid(f"Parameters: [{', '.join(missing)}] must have values")
    for name, slot in declared.items():
        _check_value(name, slot, str(values[name]))
        _check_existence(self, name, slot["Type"], str(values[name]))
    _moto_load_parameters(self)


def _invalid(message: str) -> ServiceException:
    return ValidationError(message=message)


def _check_value(name: str, slot: Json, value: str) -> None:
    if "AllowedPattern" in slot and not re.fullmatch(slot["AllowedPattern"], value):
        raise _invalid(f"Parameter '{name}' must match pattern {slot['AllowedPattern']}")
    if "AllowedValues" in slot and value not in map(str, slot["AllowedValues"]):
        raise _invalid(f"Parameter '{name}' must be one of AllowedValues")
    if len(value) > int(slot.get("MaxLength", 4096)):
        raise _invalid(f"Parameter '{name}' must contain at most {slot['MaxLength']} characters")


def _check_existence(resources: Any, name: str, kind: str, value: str) -> None:
    account, region = resources._account_id, resources._region_name
    if kind.startswith("AWS::SSM::Parameter::"):
        if ssm_backends[account][region].get_parameter(value) is None:
            raise _invalid(
                f"Unable to fetch parameters [{value}] from parameter store for this account."
            )
        return
    backend: Any = ec2_backends[account][region]
    find: Mapping[str, Callable[[str], Any]] = {
        "AWS::EC2::KeyPair::KeyName": backend.key_pairs.__getitem__,
        "AWS::EC2::VPC::Id": backend.get_vpc,
        "AWS::EC2::Subnet::Id": backend.get_subnet,
        "AWS::EC2::SecurityGroup::Id": lambda group: backend.describe_security_groups([group]),
    }
    try:
        if kind in find:
            find[kind](value)
    except (KeyError, ServiceException):
        raise _invalid(
            f"Parameter validation failed: parameter value {value} "
            f"for parameter name {name} does not exist"
        ) from None


def parameter_list(self: Any) -> list[Json]:
    # moto shows what an SSM parameter led to as if it had been given. AWS shows both.
    given = {**_defaults(self.template_dict), **self.parameters}
    resolved = self.resource_map.resolved_parameters
    hidden = self.resource_map.no_echo_parameter_keys
    return [
        {
            "ParameterKey": name,
            "ParameterValue": "****" if name in hidden else str(given[name]),
            "ResolvedValue": str(value) if str(value) != str(given[name]) else None,
        }
        for name, value in resolved.items()
    ]


def _defaults(template: Json) -> Json:
    declared = template.get("Parameters") or {}
    return {name: slot["Default"] for name, slot in declared.items() if "Default" in slot}


PATCHES = (
    Patch(parsing, "clean_json", clean_json),
    Patch(parsing.ResourceMap, "load_parameters", load_parameters),
    Patch(CloudFormationBackend, "create_stack", create_stack),
    Patch(Stack, "parameter_list", property(parameter_list)),
)
