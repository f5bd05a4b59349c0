"""Stacks: their names, what is told of each resource, rolling back, deleting in order.

"CloudFormation" is its API reference:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import (
    CloudFormationBackend,
    Event,
    Stack,
    cloudformation_backends,
)
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.internet_gateways import InternetGateway
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.models.subnets import Subnet, SubnetRouteTableAssociation
from moto.ec2.models.vpcs import VPC, VPCEndPoint
from moto.ec2.models.vpn_gateway import VPCGatewayAttachment

from handson.lab.mends.parameters import defaults
from handson.lab.mends.patch import Patch
from handson.lab.mends.templates import (
    Json,
    check_properties,
    check_template,
    clean_json,
    invalid,
)

_moto_answer_create: Any = CloudFormationResponse.create_stack
_moto_create_change_set = CloudFormationBackend.create_change_set
_moto_create_resource: Any = parsing.parse_and_create_resource
_moto_create_resources = Stack.create_resources
_moto_execute_change_set = CloudFormationBackend.execute_change_set
_moto_update_stack = CloudFormationBackend.update_stack


def answer_create(self: Any) -> Any:
    # moto takes any name. CloudFormation: API_CreateStack.html; the sentence is that of
    # https://github.com/hashicorp/terraform-provider-aws/issues/42668
    name = self._get_param("StackName")
    for pattern, rule in (
        ("[a-zA-Z][-a-zA-Z0-9]*", "satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"),
        (".{0,128}", "have length less than or equal to 128"),
    ):
        if not re.fullmatch(pattern, name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'stackName' "
                f"failed to satisfy constraint: Member must {rule}"
            )
    return _moto_answer_create(self)


def create_change_set(self: Any, **arguments: Any) -> Any:
    # `aws cloudformation deploy` comes this way.
    check_template(arguments["template"])
    return _moto_create_change_set(self, **arguments)


def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
    # moto makes the resources of a stack that does not know its own template: it is complete
    # whatever happens, and cannot be deleted.
    change = self.describe_change_set(change_set_name)
    if change.change_set_type != "CREATE":
        _moto_execute_change_set(self, change_set_name, stack_name)
        return
    stack = self.stacks[change.stack_id]
    stack.template, stack.parameters = change.template, change.parameters
    stack._parse_template()
    stack.cross_stack_resources = self.exports
    stack.resource_map = stack._create_resource_map()
    stack.output_map = stack._create_output_map()
    self.exports.update({export.name: export for export in stack.exports})
    stack._add_stack_event("CREATE_IN_PROGRESS", "User Initiated")
    stack.create_resources()
    change.execution_status = "EXECUTE_COMPLETE"


def update_stack(
    self: Any,
    name: str,
    template: str,
    role_arn: str | None,
    parameters: list[Json],
    tags: dict[str, str] | None,
) -> Any:
    # moto takes any template, and updates a stack to what it is already.
    # AWS: https://github.com/Sceptre/sceptre/issues/579
    check_template(template)
    stack = self.get_stack(name)
    given = self._resolve_update_parameters(instance=stack, incoming_params=parameters)
    values = defaults(stack.template_dict)
    is_same = stack.has_template(template) and values | given == values | stack.parameters
    if is_same and tags in (None, stack.tags):
        raise invalid("No updates are to be performed.")
    return _moto_update_stack(self, name, template, role_arn, parameters, tags)


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
    _delete(stack, "ROLLBACK")


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


def _delete(stack: Any, word: str) -> None:
    # `word` is what the states begin with: DELETE or ROLLBACK.
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


def delete_stack(self: Any, name_or_stack_id: str) -> None:
    # moto forgets the stack before it deletes; what cannot be deleted is then in nobody's
    # hands. AWS keeps the stack, in DELETE_FAILED. And it keeps one whose exports are in use,
    # as it is: https://github.com/aws/aws-cdk/issues/604
    for stack in list(self.stacks.values()):
        if name_or_stack_id in (stack.name, stack.stack_id):
            if reason := _exports_in_use(self, stack):
                stack._add_stack_event(stack.status, reason)
                stack.stack_status_reason = reason
                continue
            exports = [export.name for export in stack.exports]
            stack._add_stack_event("DELETE_IN_PROGRESS", "User Initiated")
            _delete(stack, "DELETE")
            if stack.status == "DELETE_COMPLETE":
                self.deleted_stacks[stack.stack_id] = self.stacks.pop(stack.stack_id)
                for export in exports:
                    self.exports.pop(export, None)


def _exports_in_use(backend: Any, stack: Any) -> str:
    for export in stack.exports:
        importers = [
            other.name
            for other in backend.stacks.values()
            if other is not stack
            and export.name in _imports(other.template_dict, other.resource_map)
        ]
        if importers:
            users = " and ".join(importers)
            return f"Export {export.name} cannot be deleted as it is in use by {users}"
    return ""


def _imports(value: Any, resources: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _imports(item, resources)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Fn::ImportValue":
                yield clean_json(item, resources)
            else:
                yield from _imports(item, resources)


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
    Patch(CloudFormationResponse, "create_stack", answer_create),
    Patch(CloudFormationBackend, "create_change_set", create_change_set),
    Patch(CloudFormationBackend, "execute_change_set", execute_change_set),
    Patch(CloudFormationBackend, "update_stack", update_stack),
    Patch(parsing, "parse_and_create_resource", create_resource),
    Patch(parsing.ResourceMap, "delete", delete_resources),
    Patch(Stack, "create_resources", create_resources),
    Patch(CloudFormationBackend, "delete_stack", delete_stack),
)
