"""Stacks: what is told of each resource, rolling back, deleting in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import (
    Event,
    Stack,
    cloudformation_backends,
)
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.models.subnets import Subnet, SubnetRouteTableAssociation
from moto.ec2.models.vpcs import VPC, VPCEndPoint
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment

from handson.lab.patches.patch import Patch
from handson.lab.patches.templates import Json, check_properties, clean_json

_moto_create_resource: Any = parsing.parse_and_create_resource
_moto_create_resources = Stack.create_resources


class ResourceFailed(Exception):
    """A resource of a stack could not be made or deleted, and why."""

    def __init__(self, logical_id: str, error: Exception) -> None:
        self.logical_id = logical_id
        if isinstance(error, EC2ClientError):
            self.reason = (
                f"{error.message} (Service: Ec2, Status Code: 400, Error Code: {error.code})"
            )
        else:
            self.reason = getattr(error, "message", "") or str(error) or type(error).__name__
        super().__init__(self.reason)


# Properties that moto's subnets and VPCs have but do not take from a template.
ATTRIBUTES: tuple[tuple[type, str, str], ...] = (
    (Subnet, "MapPublicIpOnLaunch", "map_public_ip_on_launch"),
    (VPC, "EnableDnsSupport", "enable_dns_support"),
    (VPC, "EnableDnsHostnames", "enable_dns_hostnames"),
)


def create_resource(
    logical_id: str, resource_json: Json, resources_map: Any, account_id: str, region_name: str
) -> Any:
    # moto takes Tags and the attributes above for some types and forgets them for others.
    try:
        check_properties(logical_id, resource_json)
        resource = _moto_create_resource(
            logical_id, resource_json, resources_map, account_id, region_name
        )
        properties = clean_json(resource_json.get("Properties", {}), resources_map)
        if isinstance(resource, TaggedEC2Resource):
            resource.add_tags({tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])})
        for kind, name, attribute in ATTRIBUTES:
            if isinstance(resource, kind) and name in properties:
                setattr(resource, attribute, str(properties[name]).lower() == "true")
    except ResourceFailed:
        raise  # a resource that this one refers to: the cause is named already
    except Exception as error:
        raise ResourceFailed(logical_id, error) from error
    return resource


def create_resources(self: Any) -> None:
    # moto lets the error out as an HTTP 500 page and leaves the stack half made, in
    # CREATE_IN_PROGRESS for ever; and it tells of no resource in the events. AWS has given
    # the stack's id by then, tells of each resource, and rolls back.
    try:
        _moto_create_resources(self)
    except ResourceFailed as failure:
        _tell_created(self)
        _roll_back(self, failure.logical_id, failure.reason)
    else:
        complete = self.events.pop()
        _tell_created(self)
        self.events.append(complete)


def roll_back(resource_id: str, reason: str) -> bool:
    """Roll back the stack that made a resource which then did not come up; False if none did.

    Such a failure comes after moto is done with the stack. On AWS there is no difference:
    the stack is in progress until its instances run.
    """
    for backend in cloudformation_backends[DEFAULT_ACCOUNT_ID].values():
        for stack in backend.stacks.values():
            for logical_id, resource in stack.resource_map._parsed_resources.items():
                made = _is_resource(stack, logical_id)
                if made and getattr(resource, "physical_resource_id", "") == resource_id:
                    stack.events = [
                        event
                        for event in stack.events
                        if event.resource_status != "CREATE_COMPLETE"
                        or event.logical_resource_id not in (logical_id, stack.name)
                    ]
                    for export in stack.exports:
                        backend.exports.pop(export.name, None)
                    _roll_back(stack, logical_id, reason)
                    return True
    return False


def _roll_back(stack: Any, logical_id: str, reason: str) -> None:
    _tell(stack, logical_id, "CREATE_FAILED", reason)
    stack._add_stack_event(
        "ROLLBACK_IN_PROGRESS",
        f"The following resource(s) failed to create: [{logical_id}]. Rollback requested by user.",
    )
    delete(stack, "ROLLBACK")


def _tell_created(stack: Any) -> None:
    for logical_id in stack.resource_map._parsed_resources:
        if _is_resource(stack, logical_id):
            _tell(stack, logical_id, "CREATE_COMPLETE")


def _is_resource(stack: Any, name: str) -> bool:
    return name in stack.template_dict["Resources"]  # else a parameter


def _tell(stack: Any, logical_id: str, status: str, reason: str = "") -> None:
    resource = stack.resource_map._parsed_resources.get(logical_id)
    event = Event(
        stack_id=stack.stack_id,
        stack_name=stack.name,
        logical_resource_id=logical_id,
        physical_resource_id=getattr(resource, "physical_resource_id", ""),
        resource_type=stack.template_dict["Resources"][logical_id]["Type"],
        resource_status=status,
        resource_status_reason=reason or None,
        resource_properties=None,
    )
    stack.events.append(event)


def delete(stack: Any, word: str) -> None:
    """Delete what a stack consists of; `word` is what its states begin with, DELETE or ROLLBACK."""
    made = [name for name in stack.resource_map._parsed_resources if _is_resource(stack, name)]
    failure = None
    try:
        stack.resource_map.delete()
    except ResourceFailed as error:
        failure = error
    for logical_id in reversed(made):
        if logical_id not in stack.resource_map._parsed_resources:
            _tell(stack, logical_id, "DELETE_COMPLETE")
    if failure:
        stack.status = f"{word}_FAILED"
        _tell(stack, failure.logical_id, "DELETE_FAILED", failure.reason)
        reason = f"The following resource(s) failed to delete: [{failure.logical_id}]."
        stack._add_stack_event(stack.status, reason)
        return
    stack.status = f"{word}_COMPLETE"
    # moto's outputs create a resource that they find missing: nothing may be left for them
    # to create again when someone describes the stack.
    stack.resource_map._resource_json_map = {}
    stack.output_map = parsing.OutputMap(stack.resource_map, {}, stack.stack_id)
    stack._add_stack_event(stack.status)


def delete_resources(self: Any) -> None:
    # moto deletes in an order drawn by chance until nothing moves any more, and has no
    # way at all to delete the types below. AWS goes back the way it came.
    backend = ec2_backends[self._account_id][self._region_name]
    for logical_id in reversed(list(self._parsed_resources)):
        definition = self._resource_json_map.get(logical_id)
        if definition is None:
            continue  # a parameter
        resource = self._parsed_resources[logical_id]
        delete = DELETIONS.get(type(resource))
        try:
            if delete:
                delete(backend, resource, clean_json(definition.get("Properties", {}), self))
            elif definition.get("DeletionPolicy") != "Retain":
                self._delete_resource(resource, definition)
        except Exception as error:
            raise ResourceFailed(logical_id, error) from error
        del self._parsed_resources[logical_id]


def _delete_association(backend: Any, _: Any, properties: Json) -> None:
    associations = backend.get_route_table(properties["RouteTableId"])._associations
    for association, subnet in list(associations.items()):
        if subnet == properties["SubnetId"]:
            backend.disassociate_route_table(association)


def _delete_endpoint(backend: Any, endpoint: Any, _: Json) -> None:
    backend.delete_vpc_endpoints([endpoint.id])
    # moto would go on listing it, as "deleted"; AWS does so for a moment only.
    del backend.vpc_end_points[endpoint.id]


DELETIONS: dict[type, Callable[[Any, Any, Json], object]] = {
    InternetGateway: lambda backend, gateway, _: backend.delete_internet_gateway(gateway.id),
    VPCGatewayAttachment: lambda backend, attachment, _: backend.detach_internet_gateway(
        attachment.gateway_id, attachment.vpc_id
    ),
    RouteTable: lambda backend, table, _: backend.delete_route_table(table.id),
    Route: lambda backend, route, _: backend.delete_route(
        route.route_table.id, route.destination_cidr_block
    ),
    SubnetRouteTableAssociation: _delete_association,
    VPCEndPoint: _delete_endpoint,
}

PATCHES = (
    Patch(parsing, "parse_and_create_resource", create_resource),
    Patch(parsing.ResourceMap, "delete", delete_resources),
    Patch(Stack, "create_resources", create_resources),
)
