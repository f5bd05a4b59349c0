"""CloudFormation stacks: the five of the course, made and deleted in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from handson.cloud.client import Aws, Refused
from handson.cloud.names import PROJECT, Names
from handson.errors import CloudError, StackFailed
from handson.i18n import _
from handson.polling import patience
from handson.settings import Settings

TEMPLATES = Path(__file__).parents[2] / "cfn"
IMAGES = {
    "al2023": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
}
# What the templates have as their default.
INSTANCE_TYPE = "t3.micro"
# A change of these needs no other stack: `Cloud.let_in` follows it.
FOLLOWED = frozenset({"OwnIp"})
# An instance takes a minute or two on AWS; nothing in the course takes longer.
LIMIT = 1800.0

Say = Callable[[str], object]


@dataclass(frozen=True)
class Stack:
    """A stack as it stands; `status` is CloudFormation's word."""

    name: str
    id: str
    status: str
    made: datetime
    date: str
    parameters: dict[str, str]
    outputs: dict[str, str]

    @property
    def is_complete(self) -> bool:
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True)
class StackPlan:
    """A stack to be made: what it is given, and what it takes from earlier stacks.

    `taken` names for a parameter the stack and the output that it comes from.
    """

    name: str
    template: Path
    given: dict[str, str]
    taken: dict[str, tuple[str, str]] = field(default_factory=dict)

    def parameters(self, outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Return all parameters, given the outputs of the stacks that are there, by name."""
        lacking = sorted({stack for stack, _output in self.taken.values()} - set(outputs))
        if lacking:
            raise CloudError(
                _("The stack {name} needs {lacking}, which is not there.").format(
                    name=self.name, lacking=", ".join(lacking)
                ),
                _("Make the stacks in their order: network, server, pri-sub, client, stranger."),
            )
        return self.given | {name: outputs[s][output] for name, (s, output) in self.taken.items()}

    def differing(self, stack: Stack) -> dict[str, str]:
        """Return what a stack that is there was given otherwise than by this plan, by parameter."""
        names = _differing(self.given, stack)
        return {name: stack.parameters.get(name, "") for name in names}


def plan(settings: Settings, key_name: str, own_ip: str, zone: str = "") -> list[StackPlan]:
    """Return the five stacks of the course in the order in which they are made.

    `zone` is the availability zone of both subnets (empty: EC2 chooses).
    """
    names = Names(settings.date, settings.learner)
    network, server, pri_sub = names.network_stack, names.server_stack, names.pri_sub_stack
    host = {"KeyName": key_name, "ImageId": IMAGES[settings.system]}
    date = {"Date": settings.date} | ({"Learner": names.tail} if names.tail else {})
    cidr = {"VpcCidr": settings.vpc_cidr}
    subnet = date | cidr | {"AvailabilityZone": zone}
    client_ip = {"ClientIp": settings.client_ip}
    vpc = {"VpcId": (network, "VpcId")}
    private = vpc | {
        "SubnetId": (pri_sub, "PrivateSubnetId"),
        "ServerSecurityGroupId": (server, "SecurityGroupId"),
    }
    client = TEMPLATES / "cfn-template-client.yml"
    return [
        StackPlan(network, TEMPLATES / "cfn-template-network.yml", subnet),
        StackPlan(
            server,
            TEMPLATES / "cfn-template-server.yml",
            date
            | cidr
            | client_ip
            | host
            | {"ServerIp": settings.server_ip, "OwnIp": own_ip, "Domain": settings.domain},
            vpc | {"SubnetId": (network, "PublicSubnetId")},
        ),
        StackPlan(pri_sub, TEMPLATES / "cfn-template-pri-sub.yml", subnet, vpc),
        StackPlan(names.client_stack, client, date | client_ip | host, private),
        StackPlan(
            names.stranger_stack,
            client,
            date | host | {"Role": "stranger", "ClientIp": settings.stranger_ip},
            private,
        ),
    ]


class Stacks:
    """The stacks of the course in one region, of any day."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def all(self) -> list[Stack]:
        """Return the stacks with the course's tag, in the order in which they were made."""
        found = self.aws.pages("cloudformation", "describe_stacks", "Stacks")
        ours = [_stack(item) for item in found if _tags(item).get("Project") == PROJECT]
        return sorted(ours, key=lambda stack: stack.made)

    def find(self, name_or_id: str) -> Stack | None:
        try:
            found = self.aws.call("cloudformation", "describe_stacks", StackName=name_or_id)
        except Refused as error:
            if error.code == "ValidationError" and "does not exist" in error.what:
                return None
            raise
        return _stack(found["Stacks"][0])

    def create(
        self, name: str, template: Path, parameters: dict[str, str], tags: dict[str, str], say: Say
    ) -> Stack:
        """Make a stack and wait for it; one that is there already stays as it is.

        What an earlier attempt left half made is waited for or deleted first. Raises
        StackFailed with the first resource that failed and why.
        """
        stack = self.find(name)
        if stack and stack.is_busy:
            stack = self._settle(stack.id, say)
        if stack and stack.is_complete:
            self._say_already(stack, parameters, say)
            return stack
        if stack and stack.status != "DELETE_COMPLETE":
            say(
                _("{stack}: it is in {status}, so it is deleted first").format(
                    stack=name, status=stack.status
                )
            )
            self.delete(name, say)
        say(_("{stack}: being made").format(stack=name))
        made = self.aws.call(
            "cloudformation",
            "create_stack",
            StackName=name,
            TemplateBody=template.read_text(encoding="utf-8"),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        stack = self._settle(made["StackId"], say)
        if not stack.is_complete:
            raise self._failure(stack)
        say(_("{stack}: complete").format(stack=name))
        return stack

    def delete(self, name: str, say: Say) -> bool:
        """Delete a stack and wait until it is gone; False when there was none."""
        stack = self.find(name)
        if stack is None:
            say(_("{stack}: there is none").format(stack=name))
            return False
        say(_("{stack}: being deleted").format(stack=name))
        told = {event["EventId"] for event in self._events(stack.id)}
        self.aws.call("cloudformation", "delete_stack", StackName=stack.id)
        stack = self._settle(stack.id, say, told)
        if stack.status != "DELETE_COMPLETE":
            raise self._failure(stack)
        say(_("{stack}: deleted").format(stack=name))
        return True

    def _settle(self, stack_id: str, say: Say, told: set[str] | None = None) -> Stack:
        told = set() if told is None else told
        for _gone in patience(LIMIT):
            found = self.aws.call("cloudformation", "describe_stacks", StackName=stack_id)
            stack = _stack(found["Stacks"][0])
            for event in self._events(stack_id):
                if event["EventId"] not in told and event.get("PhysicalResourceId") != stack_id:
                    told.add(event["EventId"])
                    self._say_event(stack, event, say)
            if not stack.is_busy:
                return stack
        raise CloudError(
            _("The stack {name} has been {status} for {minutes} minutes.").format(
                name=stack.name, status=stack.status, minutes=round(LIMIT / 60)
            ),
            _("Look at its events in the CloudFormation console and run the cell again."),
        )

    def _say_event(self, stack: Stack, event: dict[str, Any], say: Say) -> None:
        sentences = {
            "CREATE_COMPLETE": _("{stack}: {resource} made"),
            "CREATE_FAILED": _("{stack}: {resource} failed"),
            "DELETE_COMPLETE": _("{stack}: {resource} deleted"),
            "DELETE_FAILED": _("{stack}: {resource} could not be deleted"),
        }
        sentence = sentences.get(event["ResourceStatus"])
        if sentence:
            say(sentence.format(stack=stack.name, resource=event["LogicalResourceId"]))

    def _say_already(self, stack: Stack, parameters: dict[str, str], say: Say) -> None:
        other = _differing(parameters, stack)
        if other:
            say(
                _("{stack}: already so, but made with another {names}; delete it to change").format(
                    stack=stack.name, names=", ".join(other)
                )
            )
        else:
            say(_("{stack}: already so").format(stack=stack.name))

    def _events(self, stack_id: str) -> list[dict[str, Any]]:
        # CloudFormation tells the newest first.
        found = self.aws.pages(
            "cloudformation", "describe_stack_events", "StackEvents", StackName=stack_id
        )
        return found[::-1]

    def _failure(self, stack: Stack) -> StackFailed:
        # When one resource fails the others are cancelled, which counts as failed too. An
        # older attempt's failure is told before this one's: hence the last beginning.
        events = self._events(stack.id)
        begun = [
            n
            for n, event in enumerate(events)
            if event.get("PhysicalResourceId") == stack.id
            and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
        ]
        failed = [
            event
            for event in events[begun[-1] if begun else 0 :]
            if event["ResourceStatus"].endswith("_FAILED")
            and event.get("PhysicalResourceId") != stack.id
            and "cancelled" not in event.get("ResourceStatusReason", "")
        ]
        resource = failed[0]["LogicalResourceId"] if failed else stack.name
        reason = failed[0].get("ResourceStatusReason", "") if failed else ""
        return StackFailed(
            _("The stack {name} ended in {status}. {resource}: {reason}").format(
                name=stack.name, status=stack.status, resource=resource, reason=reason
            ),
            _cure(stack.status),
        )


def _cure(status: str) -> str:
    if status == "DELETE_FAILED":
        return _(
            "Delete in the console what the reason names, or what was made by hand in the VPC, "
            "and run the cell again: it goes on with deleting."
        )
    if status == "ROLLBACK_FAILED":
        return _(
            "Fix the problem named above, and run the cell again: it deletes the stack first, for "
            "the rest of the attempt could not be deleted."
        )
    return _(
        "Fix the problem named above and run the cell again; "
        "what is left of the attempt is deleted then."
    )


def _differing(given: Mapping[str, str], stack: Stack) -> list[str]:
    return [
        name
        for name, value in given.items()
        if stack.parameters.get(name, "") != value and name not in FOLLOWED
    ]


def _tags(item: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}


def _stack(item: dict[str, Any]) -> Stack:
    return Stack(
        name=item["StackName"],
        id=item["StackId"],
        status=item["StackStatus"],
        made=item["CreationTime"],
        date=_tags(item).get("Date", ""),
        parameters={
            entry["ParameterKey"]: entry.get("ParameterValue", "")
            for entry in item.get("Parameters", [])
        },
        outputs={
            entry["OutputKey"]: entry.get("OutputValue", "") for entry in item.get("Outputs", [])
        },
    )
