"""Instances and images: what they are made of, what a console shows, what goes with them.

"EC2" is the EC2 API reference: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import get_service_model, utcnow
from moto.ec2.exceptions import (
    EC2ClientError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameterError,
)
from moto.ec2.models import EC2Backend, amis, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse
from moto.utilities.utils import load_resource

from handson.lab.patches.patch import Patch
from handson.lab.patches.security_groups import group_named, group_with_id
from handson.lab.patches.templates import Json

# What a root disk of Amazon Linux measures when nobody says a size, in GiB.
ROOT_SIZE = 8

_moto_answer_run = InstanceResponse.run_instances
_moto_modify_attribute = EC2Backend.modify_instance_attribute
_moto_reboot_instances = EC2Backend.reboot_instances
_moto_run_instances = EC2Backend.run_instances
_moto_start_instances = EC2Backend.start_instances
_moto_stop_instances = EC2Backend.stop_instances
_moto_terminate = Instance.terminate


def console(text_of: Callable[[str], str]) -> Patch:
    # moto answers with the boot messages of 2006, the same for every instance.
    def get_console_output(self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = Base64EncodedString.from_raw_string(text_of(instance.id))
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": text})

    return Patch(General, "get_console_output", get_console_output)


def load_amis(self: Any) -> None:
    # moto loads 1347 images into each region, which takes a second. The images that the
    # public parameters of Amazon Linux name are among the thirty of this file.
    try:
        images = load_resource(f"ec2/resources/latest_amis/{self.region_name}.json")
    except FileNotFoundError:
        images = []
    for image in images:
        if image["architecture"] == "x86_64":
            image = {**image, "creation_date": None, "owner_alias": "amazon"}
            self.amis[image["ami_id"]] = amis.Ami(self, **image)


def create_instance(
    cls: Any, name: str, definition: Json, account_id: str, region_name: str, /, **_: Any
) -> Any:
    # moto reads SecurityGroups only (and takes ids for it): SecurityGroupIds,
    # NetworkInterfaces, MetadataOptions and PropagateTagsToVolumeOnCreation are lost, and
    # so is the subnet's MapPublicIpOnLaunch.
    properties = definition["Properties"]
    _check_combination(properties)
    tags = {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}
    on_volumes = _is_true(properties.get("PropagateTagsToVolumeOnCreation"))
    interfaces = [_interface(given) for given in properties.get("NetworkInterfaces", [])]
    groups = list(properties.get("SecurityGroupIds", []))
    for interface in interfaces:
        if int(interface["DeviceIndex"]) == 0:
            groups += interface.pop("Groups")  # moto shows an instance's groups from here
    user_data = properties.get("UserData")
    arguments: Json = {
        "user_data": Base64EncodedString(user_data) if user_data else None,
        "security_group_names": properties.get("SecurityGroups", []),
        "security_group_ids": groups,
        "instance_type": properties.get("InstanceType", "m1.small"),
        "is_instance_type_default": "InstanceType" not in properties,
        "region_name": region_name,
        "subnet_id": properties.get("SubnetId"),
        "private_ip": properties.get("PrivateIpAddress"),
        "associate_public_ip": None,  # neither yes nor no: the subnet decides
        "nics": interfaces,
        "key_name": properties.get("KeyName"),
        "metadata_options": properties.get("MetadataOptions", {}),
        "tags": {"instance": tags, "volume": tags if on_volumes else {}},
    }
    disks = [disk for disk in properties.get("BlockDeviceMappings", []) if "Ebs" in disk]
    if disks:
        # AWS fills both gaps from the image.
        gaps = {"VolumeSize": ROOT_SIZE, "DeleteOnTermination": True}
        arguments["block_device_mappings"] = [
            {**disk, "Ebs": {**gaps, **disk["Ebs"]}} for disk in disks
        ]
    backend = ec2_backends[account_id][region_name]
    reservation = backend.run_instances(image_id=properties.get("ImageId"), count=1, **arguments)
    return reservation.instances[0]


def _interface(given: Json) -> Json:
    # CloudFormation's names and strings to those of the API that moto's instance reads.
    interface = {"DeleteOnTermination": True, **given, "Groups": list(given.get("GroupSet", []))}
    if "AssociatePublicIpAddress" in given:
        interface["AssociatePublicIpAddress"] = _is_true(given["AssociatePublicIpAddress"])
    return interface


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


# --- what an instance is made of ---


def answer_run(self: Any) -> Any:
    _check_combination(self._get_params())
    return _moto_answer_run(self)


def _check_combination(given: Mapping[str, Any]) -> None:
    # moto takes groups beside an interface and adds them up, and names beside a subnet.
    # AWS: https://github.com/aws/aws-cli/issues/518, https://github.com/aws/aws-cli/issues/2453
    if given.get("NetworkInterfaces"):
        for key, words in (
            ("SubnetId", "subnet ID"),
            ("SecurityGroupIds", "security groups"),
            ("SecurityGroups", "security groups"),
        ):
            if given.get(key):
                raise InvalidParameterCombination(
                    f"Network interfaces and an instance-level {words} "
                    "may not be specified on the same request"
                )
    if given.get("SubnetId") and given.get("SecurityGroups"):
        raise InvalidParameterCombination(
            "The parameter groupName cannot be used with the parameter subnet"
        )


def run_instances(
    self: Any,
    image_id: Any,
    count: int,
    user_data: Any,
    security_group_names: list[str],
    **rest: Any,
) -> Any:
    # moto takes images, types and keys that are not there, and groups of another VPC.
    if not rest.get("launch_template"):
        _check_machine(self, image_id, rest["instance_type"])
    key = rest.get("key_name")
    if key and key not in self.key_pairs:
        # EC2: errors-overview.html, InvalidKeyPair.NotFound.
        raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    groups = [group_named(self, name) for name in security_group_names]
    for group in rest.pop("security_group_ids", []):
        groups.append(group_with_id(self, group) if isinstance(group, str) else group)
    for group, subnet in _places(self, groups, rest.get("subnet_id"), rest.get("nics", [])):
        if group.vpc_id != subnet.vpc_id:
            # https://github.com/ansible/ansible-modules-core/issues/347
            raise EC2ClientError(
                "InvalidParameter",
                f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
            )
    before = set(self.reservations)
    try:
        return _moto_run_instances(
            self, image_id, count, user_data, [], security_group_ids=groups, **rest
        )
    except ServiceException:
        # moto keeps what it has made of a request that it then refuses.
        for reservation in set(self.reservations) - before:
            for instance in self.reservations[reservation].instances:
                instance.terminate()
            del self.reservations[reservation]
        raise


def _check_machine(backend: Any, image_id: Any, instance_type: str) -> None:
    if not image_id:
        raise MissingParameterError("ImageId")
    [image] = backend.describe_images(ami_ids=[image_id])  # InvalidAMIID.NotFound, .Malformed
    types: Any = get_service_model("ec2").shape_for("InstanceType")
    if instance_type not in types.enum and instance_type not in INSTANCE_TYPES:
        # https://github.com/getmoto/moto/issues/1695
        raise InvalidParameterValue(f"Invalid value '{instance_type}' for InstanceType.")
    processor = INSTANCE_TYPES.get(instance_type, {}).get("ProcessorInfo", {})
    fit = processor.get("SupportedArchitectures", [image.architecture])
    if image.architecture not in fit:
        # https://github.com/skypilot-org/skypilot/issues/6315
        raise InvalidParameterValue(
            f"The architecture '{fit[0]}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type "
            "and an AMI that have matching architectures, and try again. You can use "
            "'describe-instance-types' or 'describe-images' to discover the architecture of the "
            "instance type or AMI."
        )


def _places(
    backend: Any, groups: list[Any], subnet_id: str | None, interfaces: list[Json]
) -> Iterator[tuple[Any, Any]]:
    """Yield each group of a request with the subnet that it is to be in."""
    default = next(iter(backend.get_default_subnets().values()), None)
    for interface in interfaces:
        if "SubnetId" in interface:
            subnet = backend.get_subnet(interface["SubnetId"])
            subnet_id = subnet_id or subnet.id
            for group in interface.get("Groups", []):
                yield group_with_id(backend, group), subnet
    own = backend.get_subnet(subnet_id) if subnet_id else default
    for group in groups:
        if own:
            yield group, own


# --- in which state ---


def start_instances(self: Any, instance_ids: list[str]) -> Any:
    # moto starts a terminated instance. EC2: errors-overview.html, IncorrectInstanceState.
    for instance in self.get_multi_instances_by_id(instance_ids):
        if instance.state == "terminated":
            raise _incorrect_state(
                f"The instance '{instance.id}' is not in a state from which it can be started."
            )
    return _moto_start_instances(self, instance_ids)


def stop_instances(self: Any, instance_ids: list[str]) -> Any:
    # moto has a terminated instance be stopped, as if it could be started again.
    for instance in self.get_multi_instances_by_id(instance_ids):
        if instance.state == "terminated":
            raise _incorrect_state(
                f"This instance '{instance.id}' is not in a state from which it can be stopped."
            )
    return _moto_stop_instances(self, instance_ids)


def reboot_instances(self: Any, instance_ids: list[str]) -> Any:
    # moto starts what is stopped or terminated. EC2: API_RebootInstances.html, "requests to
    # reboot terminated instances are ignored".
    instances = self.get_multi_instances_by_id(instance_ids)
    running = [instance.id for instance in instances if instance.state == "running"]
    return _moto_reboot_instances(self, running)


STOPPED_ONLY = {"instance_type", "kernel", "ramdisk", "user_data"}


def modify_attribute(self: Any, instance_id: str, key: str, value: Any) -> Any:
    # moto changes a running instance's hardware. EC2: API_ModifyInstanceAttribute.html;
    # errors-overview.html, IncorrectInstanceState and InvalidInstanceAttributeValue.
    instance = self.get_instance(instance_id)
    if key in STOPPED_ONLY and instance.state != "stopped":
        raise _incorrect_state(f"The instance '{instance_id}' is not in the 'stopped' state.")
    if key == "instance_type" and value not in INSTANCE_TYPES:
        raise EC2ClientError(
            "InvalidInstanceAttributeValue", f"Invalid value '{value}' for InstanceType."
        )
    return _moto_modify_attribute(self, instance_id, key, value)


def _incorrect_state(message: str) -> Exception:
    return EC2ClientError("IncorrectInstanceState", message)


def terminate(self: Any) -> Any:
    # moto keeps the first interface and its private address until the object is collected:
    # the same address cannot be had again. On AWS both go with the instance.
    for interface in self.nics.values():
        goes = interface.delete_on_termination or interface.device_index == 0
        interface.delete_on_termination = goes and interface.id in self.ec2_backend.enis
    state = _moto_terminate(self)
    while self._private_ips:
        self.nics[0].subnet.del_subnet_ip(self._private_ips.pop())
    return state


PATCHES = (
    Patch(amis.AmiBackend, "_load_amis", load_amis),
    Patch(Instance, "create_from_cloudformation_json", classmethod(create_instance)),
    Patch(InstanceResponse, "run_instances", answer_run),
    Patch(EC2Backend, "run_instances", run_instances),
    Patch(EC2Backend, "start_instances", start_instances),
    Patch(EC2Backend, "stop_instances", stop_instances),
    Patch(EC2Backend, "reboot_instances", reboot_instances),
    Patch(EC2Backend, "modify_instance_attribute", modify_attribute),
    Patch(Instance, "terminate", terminate),
)
