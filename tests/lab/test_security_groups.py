"""Security groups, proven by packets: each rule holds as soon as the API call returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from looking import connect, connect_all

from handson.cloud.cloud import Cloud
from handson.course.step import Step
from handson.errors import LabError
from handson.hosts.host import Host
from handson.lab import internet, network
from handson.lab.container import is_running
from handson.lab.engine import Engine
from handson.lab.firewall import OPEN, render
from handson.lab.lab import Lab
from handson.lab.state import LabState


@pytest.fixture
def ip(step: Step) -> str:
    """The server's private address."""
    return step.settings.server_ip


@pytest.fixture(autouse=True)
def same_rules_afterwards(cloud: Cloud, client: Host) -> Iterator[None]:
    client.read("true")  # the rules that let us in are not what is tried here
    before = cloud.rules()
    yield
    assert cloud.rules() == before


def groups_of(ec2: Any, name: str, cloud: Cloud) -> tuple[str, list[str]]:
    """Return an instance's id and the ids of its groups."""
    instance = cloud.instance(f"{cloud.settings.date}-smtp-handson-{name}")
    assert instance is not None
    found = ec2.describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
    return instance.id, [group["GroupId"] for group in found["SecurityGroups"]]


def test_a_port_opens_and_closes(cloud: Cloud, client: Host, step: Step, ip: str) -> None:
    assert connect(client, ip, 587) == "timed out"
    assert cloud.open_port(587, step.settings.vpc_cidr)
    assert connect(client, ip, 587) == "refused"
    assert not cloud.open_port(587, step.settings.vpc_cidr)
    assert connect(client, ip, 587) == "refused"
    assert cloud.close_port(587, step.settings.vpc_cidr)
    assert connect(client, ip, 587) == "timed out"
    assert not cloud.close_port(587, step.settings.vpc_cidr)


def test_only_the_cidr_gets_in(cloud: Cloud, client: Host, step: Step, ip: str) -> None:
    cloud.open_port(587, f"{ip}/32")
    assert connect(client, ip, 587) == "timed out"
    cloud.open_port(587, f"{step.settings.client_ip}/32")
    assert connect(client, ip, 587) == "refused"
    cloud.close_port(587, f"{ip}/32")
    assert connect(client, ip, 587) == "refused"
    cloud.close_port(587, f"{step.settings.client_ip}/32")


def test_a_group_is_a_source(cloud: Cloud, client: Host, pc: Host, ec2: Any, ip: str) -> None:
    _, (group,) = groups_of(ec2, "client", cloud)
    public = cloud.instance(f"{cloud.settings.date}-smtp-handson-server")
    assert public is not None
    cloud.open_port(587, group)
    assert connect(client, ip, 587) == "refused"
    assert connect(pc, public.public_ip, 587) == "timed out"
    cloud.close_port(587, group)
    assert connect(client, ip, 587) == "timed out"


def test_the_internet_gets_only_what_is_open_to_it(cloud: Cloud, pc: Host) -> None:
    server = cloud.instance(f"{cloud.settings.date}-smtp-handson-server")
    assert server is not None
    assert connect(pc, server.public_ip, 22) == "open"
    assert connect(pc, server.public_ip, 25) == "timed out"  # open to the VPC only
    cloud.open_port(587, "0.0.0.0/0")
    assert connect(pc, server.public_ip, 587) == "refused"
    cloud.close_port(587, "0.0.0.0/0")
    assert connect(pc, server.public_ip, 587) == "timed out"


def test_a_range_of_ports(cloud: Cloud, client: Host, ec2: Any, step: Step, ip: str) -> None:
    source = {"IpRanges": [{"CidrIp": step.settings.vpc_cidr}]}
    rule = [{"IpProtocol": "tcp", "FromPort": 2000, "ToPort": 2010, **source}]
    group = cloud._groups.find(cloud.names.server_group)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)
    try:
        found = connect_all(client, [(ip, port) for port in (1999, 2000, 2010, 2011)])
        assert list(found.values()) == ["timed out", "refused", "refused", "timed out"]
    finally:
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rule)
    assert connect(client, ip, 2000) == "timed out"


def test_two_groups_add_up(
    cloud: Cloud, client: Host, ec2: Any, step: Step, ip: str, subnets: dict[str, str]
) -> None:
    instance, groups = groups_of(ec2, "server", cloud)
    extra = ec2.create_security_group(
        GroupName="extra", Description="one more port", VpcId=subnets["VpcId"]
    )["GroupId"]
    try:
        ec2.authorize_security_group_ingress(
            GroupId=extra,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 2525,
                    "ToPort": 2525,
                    "IpRanges": [{"CidrIp": step.settings.vpc_cidr}],
                }
            ],
        )
        assert connect(client, ip, 2525) == "timed out"
        ec2.modify_instance_attribute(InstanceId=instance, Groups=[*groups, extra])
        assert connect(client, ip, 2525) == "refused"
        assert connect(client, ip, 25) == "open"
    finally:
        ec2.modify_instance_attribute(InstanceId=instance, Groups=groups)
        ec2.delete_security_group(GroupId=extra)
    assert connect(client, ip, 2525) == "timed out"


def test_no_way_out_without_an_egress_rule(cloud: Cloud, client: Host, ec2: Any, ip: str) -> None:
    _, (group,) = groups_of(ec2, "client", cloud)
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    assert connect(client, ip, 25) == "open"
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    try:
        # The command gets there and its answer comes back: what is established stays.
        assert connect(client, ip, 25) == "timed out"
    finally:
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=everything)
    assert connect(client, ip, 25) == "open"


@pytest.mark.parametrize("name", ["server", "client"])
def test_root_on_a_host_has_no_hand_in_it(name: str, step: Step, ip: str) -> None:
    host = step.server if name == "server" else step.client
    for command in (
        "sudo nft list ruleset",
        "sudo nft flush ruleset",
        "sudo nft add table inet mine",
        "sudo ip link set eth0 down",
        "sudo ip route add default via {server_ip}",
    ):
        host.refused(command, "Operation not permitted")
    # With a packet socket root could go around the rules.
    raw = "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"
    host.refused("sudo python3 -c {raw}", "Operation not permitted", raw=raw)
    assert connect(step.client, ip, 587) == "timed out"


NO_RULE = "table inet lab { this is no rule }\n"


def test_a_host_without_its_rules_is_stopped(lab: Lab, engine: Engine) -> None:
    state = LabState.load(lab.name)
    place = (engine.full(internet.NETWORK), network.address(state.internet_cidr, 77))
    rules = render(OPEN, [state.internet_cidr])
    host = engine.create_host("spare", state.image, [place], rules)
    try:
        assert is_running(host)
        with pytest.raises(LabError, match=r"(?s)could not set up its host.*[Ee]rror"):
            engine.load(host, NO_RULE)
        host.reload()
        assert not is_running(host)
    finally:
        engine.remove_host("spare")
    assert engine.host("spare") is None


def test_a_host_that_never_had_rules_never_runs(lab: Lab, engine: Engine) -> None:
    state = LabState.load(lab.name)
    place = (engine.full(internet.NETWORK), network.address(state.internet_cidr, 77))
    before = {one.id for one in engine.containers()}
    with pytest.raises(LabError, match="could not set up its host"):
        engine.create_host("spare", state.image, [place], NO_RULE)
    assert {one.id for one in engine.containers()} == before
