"""The parameters of a template: what they may be, and how they are shown.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.ssm.models import ssm_backends

from handson.lab.patches.patch import Patch
from handson.lab.patches.security_groups import group_named
from handson.lab.patches.templates import Json, invalid

_moto_load_parameters = parsing.ResourceMap.load_parameters


def load_parameters(self: Any) -> None:
    # moto takes any value, drops an unknown parameter, dies of an unknown SSM parameter
    # and believes every id. AWS checks all that first.
    declared = self._template.get("Parameters") or {}
    unknown = sorted(set(self.input_parameters) - set(declared))
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = {**defaults(self._template), **self.input_parameters}
    missing = [name for name in declared if name not in values]
    if missing:
        raise invalid(f"Parameters: [{', '.join(missing)}] must have values")
    for name, slot in declared.items():
        _check_value(name, slot, str(values[name]))
        _check_existence(self, name, slot["Type"], str(values[name]))
    _moto_load_parameters(self)


def _check_value(name: str, slot: Json, value: str) -> None:
    if "AllowedPattern" in slot and not re.fullmatch(slot["AllowedPattern"], value):
        raise invalid(f"Parameter '{name}' must match pattern {slot['AllowedPattern']}")
    if "AllowedValues" in slot and value not in map(str, slot["AllowedValues"]):
        raise invalid(f"Parameter '{name}' must be one of AllowedValues")
    if len(value) > int(slot.get("MaxLength", 4096)):
        raise invalid(f"Parameter '{name}' must contain at most {slot['MaxLength']} characters")
    if len(value) < int(slot.get("MinLength", 0)):
        raise invalid(f"Parameter '{name}' must contain at least {slot['MinLength']} characters")
    if slot["Type"] in ("Number", "List<Number>"):
        for number in value.split(",") if slot["Type"] == "List<Number>" else [value]:
            _check_number(name, slot, number)


def _check_number(name: str, slot: Json, value: str) -> None:
    try:
        number = float(value)
    except ValueError:
        raise invalid(f"Parameter '{name}' must be a number.") from None
    if number < float(slot.get("MinValue", number)):
        raise invalid(f"Parameter '{name}' must be a number not less than {slot['MinValue']}")
    if number > float(slot.get("MaxValue", number)):
        raise invalid(f"Parameter '{name}' must be a number not greater than {slot['MaxValue']}")


def _check_existence(resources: Any, name: str, kind: str, value: str) -> None:
    account, region = resources._account_id, resources._region_name
    if kind.startswith("AWS::SSM::Parameter::"):
        if ssm_backends[account][region].get_parameter(value) is None:
            raise invalid(
                f"Unable to fetch parameters [{value}] from parameter store for this account."
            )
        return
    backend: Any = ec2_backends[account][region]
    zones = {zone.name: zone for zone in backend.describe_availability_zones()}
    find: Mapping[str, Callable[[str], Any]] = {
        "AWS::EC2::AvailabilityZone::Name": zones.__getitem__,
        "AWS::EC2::Image::Id": lambda image: backend.describe_images([image]),
        "AWS::EC2::Instance::Id": backend.get_instance,
        "AWS::EC2::KeyPair::KeyName": backend.key_pairs.__getitem__,
        "AWS::EC2::SecurityGroup::GroupName": lambda group: group_named(backend, group),
        "AWS::EC2::SecurityGroup::Id": lambda group: backend.describe_security_groups([group]),
        "AWS::EC2::Subnet::Id": backend.get_subnet,
        "AWS::EC2::Volume::Id": backend.get_volume,
        "AWS::EC2::VPC::Id": backend.get_vpc,
    }
    listed = re.fullmatch("List<(.*)>", kind)
    kind, values = (listed[1], value.split(",")) if listed else (kind, [value])
    for each in values if kind in find else []:
        try:
            find[kind](each)
        except (KeyError, ServiceException):
            raise invalid(
                f"Parameter validation failed: parameter value {each} "
                f"for parameter name {name} does not exist"
            ) from None


def parameter_list(self: Any) -> list[Json]:
    # moto shows what an SSM parameter led to as if it had been given. AWS shows both.
    given = {**defaults(self.template_dict), **self.parameters}
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


def defaults(template: Json) -> Json:
    """Return what a template's parameters are when nobody gives a value."""
    declared = template.get("Parameters") or {}
    return {name: slot["Default"] for name, slot in declared.items() if "Default" in slot}


PATCHES = (
    Patch(parsing.ResourceMap, "load_parameters", load_parameters),
    Patch(Stack, "parameter_list", property(parameter_list)),
)
