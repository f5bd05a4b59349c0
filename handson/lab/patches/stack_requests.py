"""What is asked of stacks: to be made, changed and deleted.

"CloudFormation" is its API reference:
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.responses import CloudFormationResponse

from handson.lab.patches.parameters import defaults
from handson.lab.patches.patch import Patch
from handson.lab.patches.stacks import delete
from handson.lab.patches.templates import Json, check_template, clean_json, invalid

_moto_answer_create: Any = CloudFormationResponse.create_stack
_moto_create_change_set = CloudFormationBackend.create_change_set
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
            delete(stack, "DELETE")
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


PATCHES = (
    Patch(CloudFormationResponse, "create_stack", answer_create),
    Patch(CloudFormationBackend, "create_change_set", create_change_set),
    Patch(CloudFormationBackend, "execute_change_set", execute_change_set),
    Patch(CloudFormationBackend, "update_stack", update_stack),
    Patch(CloudFormationBackend, "delete_stack", delete_stack),
)
