"""Instances and images: what a template says of them, what a console shows, what goes with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.models import amis, ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.responses.general import General
from moto.utilities.utils import load_resource

from handson.lab.mends.patch import Patch
from handson.lab.mends.templates import Json

# What a root disk of Amazon Linux measures when nobody says a size, in GiB.
ROOT_SIZE = 8

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
    reservation = backend.run_instances(image_id=properties["ImageId"], count=1, **arguments)
    return reservation.instances[0]


def _interface(given: Json) -> Json:
    # CloudFormation's names and strings to those of the API that moto's instance reads.
    interface = {"DeleteOnTermination": True, **given, "Groups": list(given.get("GroupSet", []))}
    if "AssociatePublicIpAddress" in given:
        interface["AssociatePublicIpAddress"] = _is_true(given["AssociatePublicIpAddress"])
    return interface


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


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
    Patch(Instance, "terminate", terminate),
)
