"""The cloud: stacks, instances, the server's firewall, host keys, and what is left.

The same code talks to AWS and to the lab; only the connection's arguments differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from handson.cloud import leftovers, security_groups
from handson.cloud.client import Aws, NoAws, Refused
from handson.cloud.leftovers import Resource
from handson.cloud.names import PROJECT, Names
from handson.cloud.security_groups import GroupRule, SecurityGroups
from handson.cloud.stacks import INSTANCE_TYPE, Say, Stack, StackPlan, Stacks, plan
from handson.errors import CloudError, NotHere
from handson.i18n import _
from handson.polling import patience
from handson.settings import Settings
from handson.ui.progress import progress
from handson.ui.view import Note, Table, View

__all__ = ["Cloud", "GroupRule", "Instance", "Resource", "Stack", "StackPlan", "plan"]

# What the server's template calls the rule that lets the learner in.
LEARNER = "SSH from the learner"
KEYS_BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
KEYS_END = "-----END SSH HOST KEY KEYS-----"
KEY_LINE = re.compile(r"((?:ssh|ecdsa|sk-ssh)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=*)(?: .*)?")


def quiet(sentence: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Instance:
    """An instance as EC2 describes it; `public_ip` is empty where it has none.

    `made_by` is the stack that made it, empty where none did.
    """

    id: str
    name: str
    state: str
    private_ip: str
    public_ip: str
    made_by: str = ""


class Cloud:
    """What the course does through the AWS API, for the choices in `settings`.

    `connection` holds further arguments of boto3's `Session.client`: none for AWS,
    `endpoint_url`, `aws_access_key_id` and `aws_secret_access_key` for the lab. It is
    None where there is no such API. Every method may raise CloudError, or NotHere there;
    what is shown says it in a note.
    """

    def __init__(self, settings: Settings, connection: Mapping[str, Any] | None) -> None:
        self.settings = settings
        self.names = Names(settings.date, settings.learner)
        self._aws = NoAws() if connection is None else Aws(settings.region, connection)
        self._stacks = Stacks(self._aws)
        self._groups = SecurityGroups(self._aws)

    def who_am_i(self) -> str:
        """Return the ARN of the user or role that the credentials belong to."""
        return str(self._aws.call("sts", "get_caller_identity")["Arn"])

    # --- key pair ---

    def import_key(self, public_key: str) -> str:
        """Make the public key known to EC2 and return its name; another of that name is replaced.

        `public_key` is a line in OpenSSH's format.
        """
        known = self._key_pair()
        if known and known.get("PublicKey", "").split()[:2] == public_key.split()[:2]:
            return self.names.key
        self.delete_key()
        self._aws.call(
            "ec2",
            "import_key_pair",
            KeyName=self.names.key,
            PublicKeyMaterial=public_key.encode(),
            TagSpecifications=[
                {
                    "ResourceType": "key-pair",
                    "Tags": [
                        {"Key": key, "Value": value}
                        for key, value in {
                            **self.names.tags,
                            "CreatedBy": self.names.key,
                        }.items()
                    ],
                }
            ],
        )
        return self.names.key

    def delete_key(self) -> bool:
        """Delete the key pair; False when there was none."""
        if self._key_pair() is None:
            return False
        self._aws.call("ec2", "delete_key_pair", KeyName=self.names.key)
        return True

    def _key_pair(self) -> dict[str, Any] | None:
        try:
            found = self._aws.call(
                "ec2", "describe_key_pairs", KeyNames=[self.names.key], IncludePublicKey=True
            )
        except Refused as error:
            if error.code == "InvalidKeyPair.NotFound":
                return None
            raise
        pair: dict[str, Any] = found["KeyPairs"][0]
        return pair

    # --- stacks ---

    def zone(self) -> str:
        """Return the availability zone for both subnets: one that has the type of the instances.

        It is the network's, once that is there; '' where EC2 names none.
        """
        for stack in self.stacks():
            if stack.name == self.names.network_stack and stack.is_complete:
                return stack.parameters.get("AvailabilityZone", "")
        offered = self._aws.pages(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": [INSTANCE_TYPE]}],
        )
        # Local zones, which have longer names, are no place for a VPC's first subnets.
        zones = [one["Location"] for one in offered]
        return min((zone for zone in zones if re.fullmatch(r"[a-z-]+-\d[a-z]", zone)), default="")

    def create_stack(
        self, name: str, template: Path, parameters: dict[str, str], say: Say = quiet
    ) -> Stack:
        """Make a stack and wait for it; `say` is told each step. StackFailed when it rolls back."""
        return self._stacks.create(name, template, parameters, self.names.tags, say)

    def create(self, stack_plan: StackPlan, say: Say = quiet) -> Stack:
        """Make a stack of `plan()` with what the stacks before it gave out."""
        outputs = {stack.name: stack.outputs for stack in self.stacks() if stack.is_complete}
        parameters = stack_plan.parameters(outputs)
        return self.create_stack(stack_plan.name, stack_plan.template, parameters, say)

    def delete_stack(self, name: str, say: Say = quiet) -> bool:
        """Delete a stack and wait until it is gone; False when there was none."""
        return self._stacks.delete(name, say)

    def delete_all(self) -> View:
        """Delete the stacks, the newest first, and the key pair; return what was deleted."""
        return _or_note(self._delete_all)

    def _delete_all(self) -> Table:
        rows, stacks = [], self.stacks()
        with progress(_("Deleting the stacks")) as shown:
            for stack in reversed(stacks):
                shown.say(stack.name)
                self.delete_stack(stack.name, shown.say)
                rows.append([stack.name, _("deleted")])
            if self.delete_key():
                rows.append([_("key pair"), _("deleted")])
        return Table([_("what"), _("done")], rows, empty=_("There was nothing to delete."))

    def stacks(self) -> list[Stack]:
        """Return the learner's stacks of the settings' day, in the order they were made in."""
        return [stack for stack in self._own_stacks() if stack.date == self.settings.date]

    def _own_stacks(self) -> list[Stack]:
        return [stack for stack in self._stacks.all() if self.names.own(stack.name)]

    # --- instances ---

    def instance(self, name: str) -> Instance | None:
        """Return the instance with that Name tag, or None; one that is terminated is none."""
        found = self._instances({"tag:Name": name})
        return found[0] if found else None

    def _instances(self, filters: dict[str, str]) -> list[Instance]:
        wanted = [{"Name": key, "Values": [value]} for key, value in filters.items()]
        reservations = self._aws.pages("ec2", "describe_instances", "Reservations", Filters=wanted)
        return [
            Instance(
                item["InstanceId"],
                _tag(item, "Name"),
                item["State"]["Name"],
                item.get("PrivateIpAddress", ""),
                item.get("PublicIpAddress", ""),
                _tag(item, "CreatedBy"),
            )
            for reservation in reservations
            for item in reservation["Instances"]
            if item["State"]["Name"] not in ("shutting-down", "terminated")
        ]

    def host_keys(self, instance_id: str, limit: float = 300.0) -> list[str]:
        """Return the host's SSH keys ('ssh-ed25519 AAAA…') from its console output.

        cloud-init writes them there when the host first boots; AWS may take minutes to show
        them, and the kernel may write in between: two are wanted whole. Raises CloudError after
        `limit` seconds.
        """
        for _gone in patience(limit):
            answer = self._aws.call(
                "ec2", "get_console_output", InstanceId=instance_id, Latest=True
            )
            keys = keys_in_console(answer.get("Output", ""))
            kinds = {key.split()[0] for key in keys}
            if "ssh-ed25519" in kinds and len(kinds) > 1:
                return keys
        raise CloudError(
            _(
                "The console output of {id} shows no whole ed25519 key and ecdsa or RSA key "
                "after {seconds} s."
            ).format(id=instance_id, seconds=round(limit)),
            _(
                "Run the cell again in a minute: without them the host cannot be told from "
                "another. If they never come, delete the stack in 10_teardown and run 00_start."
            ),
        )

    # --- the server's firewall ---

    def rules(self, group_name: str = "") -> list[GroupRule]:
        """Return the rules of a security group; of the server's, when none is named."""
        return self._groups.rules(group_name or self.names.server_group)

    @property
    def rules_table(self) -> View:
        """The rules of the server's security group."""
        group = self.names.server_group
        return _or_note(lambda: security_groups.rules_table(self.rules(), group))

    def open_port(self, port: int, source: str, description: str = "") -> bool:
        """Let TCP in at the server's port from a CIDR or group; False when it was let in before."""
        return self._groups.open(self.names.server_group, port, source, description)

    def close_port(self, port: int, source: str) -> bool:
        """Take that rule away; False when there was none."""
        return self._groups.close(self.names.server_group, port, source)

    def let_in(self, own_ip: str) -> bool:
        """Let SSH in at the server from the learner's address, and from none of earlier.

        Returns False when that was so.
        """
        source = f"{own_ip}/32"
        opened = self.open_port(22, source, LEARNER)
        old = [
            rule.source
            for rule in self.rules()
            if rule.opens(22) and rule.description == LEARNER and rule.source != source
        ]
        for one in old:
            self.close_port(22, one)
        return opened or bool(old)

    # --- what is left ---

    def left_over(self) -> list[Resource]:
        """Return all that has the course's tag, of whatever day, and what it costs.

        What another learner's stacks made is not there; what no stack made is.
        """
        instances = self._instances({"tag:Project": PROJECT})
        return [
            *(
                Resource(_("instance"), item.id, item.name, _costs(item))
                for item in instances
                if not item.made_by or self.names.own(item.made_by)
            ),
            *leftovers.tagged(self._aws, self.names),
            *(
                Resource(_("stack"), stack.name, stack.name, _("nothing"))
                for stack in self._own_stacks()
            ),
        ]

    @property
    def left_over_table(self) -> View:
        """What is left, and what it costs."""
        return _or_note(lambda: leftovers.table(self.left_over()))


def _or_note(make: Callable[[], View]) -> View:
    try:
        return make()
    except NotHere as error:
        return Note(error.what, "quiet")


def keys_in_console(text: str) -> list[str]:
    """Return the keys of the last block that cloud-init wrote to the console, if they are whole.

    >>> key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J"
    >>> keys_in_console(f"{KEYS_BEGIN}\\r\\n{key} root@ip\\r\\n{key[:-9]}\\r\\n{KEYS_END}") == [key]
    True
    """
    _before, begin, block = text.rpartition(KEYS_BEGIN)
    block, end, _after = block.partition(KEYS_END)
    if not begin or not end:
        return []
    # The kernel may write in between.
    lines = (KEY_LINE.fullmatch(line.strip()) for line in block.splitlines())
    return [line.group(1) for line in lines if line and _is_whole(line.group(1))]


def _is_whole(key: str) -> bool:
    """Return whether the parts of a key have the lengths that it gives them (RFC 4253, 6.6)."""
    try:
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _costs(instance: Instance) -> str:
    if instance.state != "running":
        return _("nothing while it is stopped")
    if instance.public_ip:
        return _("by the second while it runs; its public address US$0.005 an hour")
    return _("by the second while it runs")


def _tag(item: dict[str, Any], key: str) -> str:
    return next((tag["Value"] for tag in item.get("Tags", []) if tag["Key"] == key), "")
