"""An instance is a host: it boots, stops, starts, reboots and goes, as the API is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from looking import connect

from handson.cloud.cloud import Cloud
from handson.cloud.targets import Endpoint
from handson.course.step import Step
from handson.errors import StackFailed
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.lab import internet
from handson.lab.engine import Engine
from handson.lab.firewall import OPEN, render
from handson.lab.lab import Lab
from handson.lab.state import LabState
from handson.mail import smtp

USER_DATA = """#!/bin/sh
id -un >> /root/who-ran-it
date > /root/first-boot
"""


def number(cidr: str, last: str) -> str:
    """Return an address of a /16: number("10.87.0.0/16", "2.60") is 10.87.2.60."""
    return ".".join([*cidr.split(".")[:2], last])


def image_of(ec2: Any) -> str:
    """Return the image that the course's own instances were made from."""
    return str(ec2.describe_instances()["Reservations"][0]["Instances"][0]["ImageId"])


def run_instance(ec2: Any, **arguments: Any) -> str:
    answer = ec2.run_instances(
        ImageId=image_of(ec2), InstanceType="t3.micro", MinCount=1, MaxCount=1, **arguments
    )
    return str(answer["Instances"][0]["InstanceId"])


def describe(ec2: Any, instance_id: str) -> dict[str, Any]:
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return dict(found)


@pytest.fixture(scope="module")
def third(step: Step, ec2: Any, cloud: Cloud, subnets: dict[str, str], lab: Lab) -> Iterator[str]:
    """The id of one more instance, started by boto3 alone, which nobody's mynetworks names."""
    vpc_cidr = LabState.load(lab.name).vpc_cidr
    group = ec2.create_security_group(
        GroupName="third", Description="a stranger", VpcId=subnets["VpcId"]
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": source}]}
            for source in (vpc_cidr, f"{step.settings.own_ip}/32")
        ],
    )
    instance = run_instance(
        ec2,
        KeyName=cloud.names.key,
        UserData=USER_DATA,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": subnets["PublicSubnetId"],
                "PrivateIpAddress": number(vpc_cidr, "2.60"),
                "AssociatePublicIpAddress": True,
                "Groups": [group],
            }
        ],
    )
    yield instance
    if describe(ec2, instance)["State"]["Name"] != "terminated":
        ec2.terminate_instances(InstanceIds=[instance])
    ec2.delete_security_group(GroupId=group)


@pytest.fixture
def login(step: Step, ec2: Any, third: str, pc: Host) -> Iterator[Callable[[], Host]]:
    """Return a way to log in to the third instance at the address that it has now."""
    opened: list[Host] = []

    def log_in() -> Host:
        address = describe(ec2, third)["PublicIpAddress"]
        place = Endpoint(address, 22, "admin", tuple(step.cloud.host_keys(third)))
        host = Host("third", lambda: Connections(step.workspace).open(place, pc.connection))
        opened.append(host)
        return host

    yield log_in
    for host in opened:
        host.close()


def booted_at(engine: Engine, instance: str) -> str:
    """Return when the host's first process started: another value, another boot."""
    return engine.run(engine.host(instance), "stat -c %y /proc/1")


def settled(engine: Engine, instance: str) -> None:
    """Wait until the host has nothing left to start."""
    engine.run(engine.host(instance), "systemctl is-system-running --wait || true")


def test_it_boots_as_it_was_told(
    third: str, ec2: Any, engine: Engine, login: Callable[[], Host], lab: Lab
) -> None:
    told = describe(ec2, third)
    assert told["State"]["Name"] == "running"
    host = login()
    addresses = host.read("hostname -I").split()
    assert set(addresses) == {told["PrivateIpAddress"], told["PublicIpAddress"]}
    assert told["PrivateIpAddress"] == number(LabState.load(lab.name).vpc_cidr, "2.60")
    settled(engine, third)
    assert host.read("sudo cat /root/who-ran-it") == "root\n"


def test_a_stranger_is_not_relayed_for(third: str, login: Callable[[], Host], step: Step) -> None:
    known = step.settings
    answer = smtp.ask(login(), smtp.Job(known.server_ip, 25, known.sender, known.recipient))
    assert answer.is_open and answer.rcpt is not None
    assert "Relay access denied" in answer.rcpt.text
    assert step.talk(25).is_accepted  # while the client is relayed for


def test_a_reboot_is_a_boot(
    third: str, ec2: Any, engine: Engine, login: Callable[[], Host]
) -> None:
    before, address = booted_at(engine, third), describe(ec2, third)["PublicIpAddress"]
    login().run("echo kept > ~/kept")
    keys = login().read("cat /etc/ssh/ssh_host_ed25519_key.pub")
    hardware = login().read("sort /sys/class/net/*/address")
    ec2.reboot_instances(InstanceIds=[third])
    assert booted_at(engine, third) != before
    assert describe(ec2, third)["PublicIpAddress"] == address
    settled(engine, third)
    host = login()
    assert host.read("cat ~/kept") == "kept\n"
    # With another one, those who knew it would not find it for a while.
    assert host.read("sort /sys/class/net/*/address") == hardware
    assert host.read("cat /etc/ssh/ssh_host_ed25519_key.pub") == keys
    assert host.read("sudo cat /root/who-ran-it") == "root\n"  # user data did not run again


def test_stop_and_start(
    third: str, ec2: Any, engine: Engine, login: Callable[[], Host], step: Step
) -> None:
    address = describe(ec2, third)["PublicIpAddress"]
    boot = booted_at(engine, third)
    login().run("echo kept > ~/kept")
    ec2.stop_instances(InstanceIds=[third])
    assert describe(ec2, third)["State"]["Name"] == "stopped"
    container = engine.host(third)
    assert container is not None and container.status != "running"
    ec2.start_instances(InstanceIds=[third])
    told = describe(ec2, third)
    assert told["State"]["Name"] == "running"
    assert told["PublicIpAddress"] != address  # as on EC2
    assert booted_at(engine, third) != boot
    settled(engine, third)
    host = login()
    assert host.read("cat ~/kept") == "kept\n"
    assert set(host.read("hostname -I").split()) == {
        told["PrivateIpAddress"],
        told["PublicIpAddress"],
    }
    assert host.read("sudo cat /root/who-ran-it") == "root\n"
    assert (
        host.read("getent hosts example.net").split()[0]
        == LabState.load(step.workspace.name).mailbox_ip
    )
    # Its security group is there again: what it does not open is closed.
    assert connect(step.server, told["PrivateIpAddress"], 22) == "open"
    assert connect(step.server, told["PrivateIpAddress"], 25) == "timed out"


def test_the_server_comes_back_from_a_stop(step: Step, ec2: Any) -> None:
    name = f"{step.settings.date}-smtp-handson-server"
    before = step.cloud.instance(name)
    assert before is not None
    ec2.stop_instances(InstanceIds=[before.id])
    ec2.start_instances(InstanceIds=[before.id])
    after = step.cloud.instance(name)
    assert after is not None and after.public_ip != before.public_ip
    for host in (step.server, step.client):
        host.connection.close()  # as a kernel that starts anew
    assert step.client.read("hostname").startswith("ip-")
    assert connect(step.client, step.settings.server_ip, 587) == "timed out"
    assert connect(step.client, step.settings.server_ip, 25, 5) in ("open", "refused")


def test_terminated_is_gone(third: str, ec2: Any, engine: Engine) -> None:
    assert engine.host(third) is not None
    ec2.terminate_instances(InstanceIds=[third])
    assert engine.host(third) is None
    assert describe(ec2, third)["State"]["Name"] == "terminated"


# --- what cannot be made ---


def stack_template(tmp_path: Path, image: str, subnet: str, address: str) -> Path:
    template = {
        "Resources": {
            "Host": {
                "Type": "AWS::EC2::Instance",
                "Properties": {
                    "ImageId": image,
                    "SubnetId": subnet,
                    "PrivateIpAddress": address,
                },
            }
        }
    }
    file = tmp_path / "template.json"
    file.write_text(json.dumps(template))
    return file


@pytest.fixture
def occupied(lab: Lab, engine: Engine, subnets: dict[str, str]) -> Iterator[str]:
    """An address of the private subnet at which a container lies that the API knows nothing of."""
    state = LabState.load(lab.name)
    address = number(state.vpc_cidr, "3.99")
    place = (engine.full(internet.VPC), address)
    rules = render(OPEN, [state.vpc_cidr])
    engine.create_host("squatter", state.image, [place], rules, command=["sleep", "600"])
    yield address
    engine.remove_host("squatter")


def test_a_stack_whose_host_cannot_boot_rolls_back(
    cloud: Cloud, ec2: Any, engine: Engine, tmp_path: Path, occupied: str, subnets: dict[str, str]
) -> None:
    hosts = {host.name for host in engine.hosts()}
    subnet = subnets["PrivateSubnetId"]
    with pytest.raises(StackFailed) as caught:
        cloud.create_stack("no-boot", stack_template(tmp_path, image_of(ec2), subnet, occupied), {})
    said = str(caught.value)
    assert "The stack no-boot ended in ROLLBACK_COMPLETE. Host: i-" in said
    assert occupied in said and "Traceback" not in said and "run the cell again" in said
    assert {host.name for host in engine.hosts()} == hosts
    # What is left of the attempt is replaced, and nothing of it stands in the way.
    good = occupied.rpartition(".")[0] + ".77"
    made = cloud.create_stack("no-boot", stack_template(tmp_path, image_of(ec2), subnet, good), {})
    assert made.status == "CREATE_COMPLETE"
    assert len({host.name for host in engine.hosts()}) == len(hosts) + 1
    cloud.delete_stack("no-boot")
    assert {host.name for host in engine.hosts()} == hosts


def test_an_instance_that_cannot_boot_is_no_instance(
    ec2: Any, engine: Engine, occupied: str, subnets: dict[str, str]
) -> None:
    hosts = {host.name for host in engine.hosts()}
    with pytest.raises(ClientError, match=f"(?s)i-.* could not be made: .*{occupied}"):
        run_instance(ec2, SubnetId=subnets["PrivateSubnetId"], PrivateIpAddress=occupied)
    assert {host.name for host in engine.hosts()} == hosts
    alive = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    there = {"Name": "private-ip-address", "Values": [occupied]}
    assert ec2.describe_instances(Filters=[alive, there])["Reservations"] == []


def test_a_vpc_is_a_network(ec2: Any, engine: Engine) -> None:
    before = {net.name for net in engine.networks()}
    vpc = ec2.create_vpc(CidrBlock="10.250.0.0/16")["Vpc"]["VpcId"]
    assert {net.name for net in engine.networks()} == {*before, engine.full(vpc)}
    ec2.delete_vpc(VpcId=vpc)
    assert {net.name for net in engine.networks()} == before


def test_a_vpc_where_this_machine_is_cannot_be(ec2: Any, lab: Lab, engine: Engine) -> None:
    """Else a learner could draw to the lab what the machine sends to its resolver, say."""
    networks = {net.name for net in engine.networks()}
    outside = engine.client.networks.get(engine.full(internet.OUTSIDE))
    used = outside.attrs["IPAM"]["Config"][0]["Subnet"]
    vpcs = ec2.describe_vpcs()["Vpcs"]
    for cidr in (LabState.load(lab.name).internet_cidr, "8.8.8.0/24", used):
        with pytest.raises(ClientError, match="could not be made"):
            ec2.create_vpc(CidrBlock=cidr)
    assert ec2.describe_vpcs()["Vpcs"] == vpcs
    assert {net.name for net in engine.networks()} == networks
