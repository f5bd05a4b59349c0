"""The cloud against the patched API: the five stacks, the firewall, faults, teardown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handson.cloud.cloud import (
    KEYS_BEGIN,
    KEYS_END,
    Cloud,
    GroupRule,
    Resource,
    keys_in_console,
)
from handson.cloud.leftovers import table
from handson.cloud.stacks import INSTANCE_TYPE, TEMPLATES, plan
from handson.errors import CloudError, InvalidInput, StackFailed
from handson.settings import Settings

Built = tuple[Cloud, list[str]]
NETWORK = TEMPLATES / "cfn-template-network.yml"
OWN_IP = "203.0.113.5"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J a"
ED25519 = PUBLIC_KEY.removesuffix(" a")
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINZ6xHdEbJ4yqmQ2Jv3kq9xTtCzDPX0YI0l0Jq4bX0hR b"


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


ECDSA = public(ec.generate_private_key(ec.SECP256R1()))
RSA = public(rsa.generate_private_key(65537, 2048))


def shown_on_console(*lines: str) -> str:
    return "\r\n".join(["booting", KEYS_BEGIN, *lines, KEYS_END, "login:"])


def test_who_am_i(built: Built) -> None:
    assert built[0].who_am_i().startswith("arn:aws:")


def test_progress_is_told(built: Built) -> None:
    said = built[1]
    assert said[0] == "smtp-handson-network-20250101: being made"
    assert "smtp-handson-network-20250101: Vpc made" in said
    assert said[-1] == "smtp-handson-stranger-20250101: complete"


def test_the_server_is_as_asked(built: Built) -> None:
    server = built[0].instance("20250101-smtp-handson-server")
    assert server is not None
    assert (server.state, server.private_ip) == ("running", "10.87.2.44")
    assert server.public_ip.startswith("203.0.113.")


def test_the_client_has_no_public_address(built: Built) -> None:
    client = built[0].instance("20250101-smtp-handson-client")
    assert client is not None
    assert (client.private_ip, client.public_ip) == ("10.87.3.20", "")


def test_the_stranger_stands_next_to_the_client(built: Built) -> None:
    cloud, _said = built
    stranger = cloud.instance("20250101-smtp-handson-stranger")
    assert stranger is not None
    assert (stranger.private_ip, stranger.public_ip) == ("10.87.3.30", "")
    inbound = [rule for rule in cloud.rules(cloud.names.stranger_group) if rule.is_inbound]
    assert [(r.port, r.source) for r in inbound] == [("22", cloud.names.server_group)]


def test_no_instance_of_that_name(built: Built) -> None:
    assert built[0].instance("nobody") is None


def test_rules_at_the_start(built: Built) -> None:
    cloud, _said = built
    assert cloud.rules() == [
        GroupRule("inbound", "tcp", "22", "203.0.113.5/32", "SSH from the learner"),
        GroupRule("inbound", "tcp", "25", "10.87.0.0/16", "SMTP from the VPC"),
        GroupRule("outbound", "all", "all", "0.0.0.0/0", "Anywhere"),
    ]
    ssh = cloud.rules(cloud.names.client_group)[0]
    assert (ssh.port, ssh.source) == ("22", "sg_20250101-smtp-handson-smtp-server")


def test_a_port_is_opened_and_closed_once(built: Built) -> None:
    cloud, _said = built
    assert cloud.open_port(587, "0.0.0.0/0", "submission")
    assert not cloud.open_port(587, "0.0.0.0/0", "submission")
    assert GroupRule("inbound", "tcp", "587", "0.0.0.0/0", "submission") in cloud.rules()
    assert cloud.rules_table.tones == ["", "", "warn", ""]
    assert cloud.close_port(587, "0.0.0.0/0")
    assert not cloud.close_port(587, "0.0.0.0/0")
    assert "587" not in [rule.port for rule in cloud.rules()]


def test_a_port_is_opened_to_a_group(built: Built) -> None:
    cloud, _said = built
    group = cloud._groups.find(cloud.names.server_group)["GroupId"]
    assert cloud.open_port(587, group)
    assert not cloud.open_port(587, group)
    assert cloud.rules()[2].source == "sg_20250101-smtp-handson-smtp-server"
    assert cloud.close_port(587, group)


def test_a_wider_rule_of_the_same_source_will_do(built: Built) -> None:
    cloud, _said = built
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 500,
        "ToPort": 600,
        "IpRanges": [{"CidrIp": "10.87.0.0/16"}],
    }
    change = {
        "GroupId": cloud._groups.find(cloud.names.server_group)["GroupId"],
        "IpPermissions": [permission],
    }
    cloud._aws.call("ec2", "authorize_security_group_ingress", **change)
    assert not cloud.open_port(587, "10.87.0.0/16")
    assert cloud.open_port(587, "0.0.0.0/0"), "another source is another matter"
    assert "500-600" in [rule.port for rule in cloud.rules()]
    cloud.close_port(587, "0.0.0.0/0")
    cloud._aws.call("ec2", "revoke_security_group_ingress", **change)


@pytest.mark.parametrize("source", ["anywhere", "10.87.0.1/16", "sg_20250101", "300.0.0.0/8"])
def test_a_source_that_is_none(built: Built, source: str) -> None:
    with pytest.raises(InvalidInput, match="not a source"):
        built[0].open_port(587, source)


def test_a_port_that_is_none(built: Built) -> None:
    with pytest.raises(InvalidInput, match="70000 is not a port"):
        built[0].open_port(70000, "0.0.0.0/0")


def test_no_group_before_the_stacks(cloud_of: Callable[..., Cloud]) -> None:
    with pytest.raises(CloudError, match="no security group sg_20250102") as caught:
        cloud_of("20250102").rules()
    assert "00_start" in caught.value.cure


def test_the_key_is_imported_once_and_replaced_when_it_differs(
    cloud_of: Callable[..., Cloud],
) -> None:
    cloud = cloud_of("20250103")
    assert not cloud.delete_key()
    assert cloud.import_key(PUBLIC_KEY) == "smtp-handson-20250103"
    first = cloud._key_pair()
    cloud.import_key(PUBLIC_KEY + " another comment")
    assert cloud._key_pair() == first
    cloud.import_key(OTHER_KEY)
    second = cloud._key_pair()
    assert first and second and first["KeyPairId"] != second["KeyPairId"]
    assert cloud.delete_key()
    assert not cloud.delete_key()


def test_a_stack_made_twice_is_already_so(built: Built) -> None:
    cloud, said = built[0], []
    before = cloud.stacks()
    for stack_plan in plan(cloud.settings, cloud.names.key, OWN_IP):
        cloud.create(stack_plan, said.append)
    assert said == [f"{stack.name}: already so" for stack in before]
    assert cloud.stacks() == before


def test_a_stack_made_with_another_choice_says_so(built: Built) -> None:
    cloud, said = built[0], []
    other = cloud.settings.with_(domain="example.org")
    cloud.create(plan(other, cloud.names.key, OWN_IP)[1], said.append)
    assert said == [
        "smtp-handson-server-20250101: already so, but made with another Domain; "
        "delete it to change"
    ]


def test_another_own_address_is_no_other_choice(built: Built) -> None:
    cloud, said = built[0], []
    moved = plan(cloud.settings, cloud.names.key, "203.0.113.6")[1]
    assert moved.differing(cloud.create(moved, said.append)) == {}
    assert said == ["smtp-handson-server-20250101: already so"]


def test_ssh_is_open_to_the_present_address_and_closed_to_the_old_one(built: Built) -> None:
    cloud, _said = built

    def sources() -> list[str]:
        return [rule.source for rule in cloud.rules() if rule.is_inbound and rule.port == "22"]

    assert not cloud.let_in("203.0.113.5") and sources() == ["203.0.113.5/32"]
    cloud.open_port(22, "198.51.100.0/24", "SSH from the office")  # somebody's own rule
    assert cloud.let_in("203.0.113.6")
    assert sorted(sources()) == ["198.51.100.0/24", "203.0.113.6/32"]
    assert not cloud.let_in("203.0.113.6")
    assert cloud.close_port(22, "198.51.100.0/24")
    assert cloud.let_in("203.0.113.5") and sources() == ["203.0.113.5/32"]


def test_a_rule_for_the_present_address_that_was_made_by_hand_will_do(built: Built) -> None:
    cloud, _said = built
    cloud.open_port(22, "203.0.113.7/32", "by hand")
    assert cloud.let_in("203.0.113.7")
    assert cloud.close_port(22, "203.0.113.7/32")
    assert cloud.let_in("203.0.113.5")


def test_stacks_are_listed_in_the_order_made(built: Built) -> None:
    cloud, _said = built
    expected = [p.name for p in plan(cloud.settings, "", "")]
    assert [stack.name for stack in cloud.stacks()] == expected


# -- the availability zone -----------------------------------------------------------


def zones_of_subnets(cloud: Cloud) -> set[str]:
    filters = [{"Name": "tag:Date", "Values": [cloud.settings.date]}]
    subnets = cloud._aws.pages("ec2", "describe_subnets", "Subnets", Filters=filters)
    assert len(subnets) == 2
    return {one["AvailabilityZone"] for one in subnets}


@pytest.mark.parametrize(
    ("zone", "expected"), [("ap-northeast-1c", "ap-northeast-1c"), ("", "ap-northeast-1a")]
)
def test_both_subnets_are_in_the_zone(
    cloud_of: Callable[..., Cloud], zone: str, expected: str
) -> None:
    cloud = cloud_of("20250108")
    network, _server, pri_sub, *_others = plan(cloud.settings, "", OWN_IP, zone)
    for one in (network, pri_sub):
        assert one.differing(cloud.create(one)) == {}
    assert zones_of_subnets(cloud) == {expected}
    assert cloud.zone() == zone, "the private subnet goes where the public one is"
    for one in (pri_sub, network):
        cloud.delete_stack(one.name)


def test_a_zone_that_has_the_instance_type_is_chosen(cloud_of: Callable[..., Cloud]) -> None:
    assert cloud_of("20250109").zone() == "ap-northeast-1a"


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (["us-west-2d", "us-west-2b"], "us-west-2b"),
        (["us-west-2-lax-1a", "us-west-2c"], "us-west-2c"),
        ([], ""),
    ],
)
def test_the_zone_is_one_that_ec2_offers(
    offered: list[str], expected: str, connection: dict[str, Any]
) -> None:
    cloud = Cloud(Settings(region="us-west-2", date="20250109"), connection)
    with Stubber(cloud._aws._client("ec2")) as ec2:
        ec2.add_response(
            "describe_instance_type_offerings",
            {"InstanceTypeOfferings": [{"Location": zone} for zone in offered]},
            {
                "LocationType": "availability-zone",
                "Filters": [{"Name": "instance-type", "Values": [INSTANCE_TYPE]}],
            },
        )
        assert cloud.zone() == expected
        ec2.assert_no_pending_responses()


def test_host_keys_come_from_the_console(built: Built, console: dict[str, str]) -> None:
    console["i-1"] = "no such instance"
    server = built[0].instance(built[0].names.server)
    assert server is not None
    lines = [f"{ECDSA} root@ip-10-87-2-44", "[   12.345678] the kernel, in between", ED25519]
    console[server.id] = shown_on_console(*lines)
    assert built[0].host_keys(server.id) == [ECDSA, ED25519]


# A line of the kernel has cut the first one off, and its end is lost.
CUT = f"{ED25519[:60]}\r\n[   12.345678] the kernel, in between"


@pytest.mark.parametrize(
    "lines",
    [(), (CUT, ECDSA), (ED25519[:-4], ECDSA), (ED25519, ECDSA[:-4]), (ED25519,), (ECDSA, RSA)],
)
def test_host_keys_that_are_not_whole_are_waited_for(
    built: Built, console: dict[str, str], lines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = built[0].instance(built[0].names.server)
    assert server is not None
    console[server.id] = shown_on_console(*lines)
    with pytest.raises(CloudError, match="no whole ed25519 key and ecdsa or RSA key") as caught:
        built[0].host_keys(server.id, limit=0)
    assert "10_teardown" in caught.value.cure

    def sleep(_seconds: float) -> None:
        console[server.id] += shown_on_console(ED25519, RSA)

    monkeypatch.setattr("handson.polling.time.sleep", sleep)
    assert built[0].host_keys(server.id) == [ED25519, RSA]


@pytest.mark.parametrize("key", [ED25519, ECDSA, RSA], ids=["ed25519", "ecdsa", "rsa"])
def test_a_key_that_is_cut_off_anywhere_is_none(key: str) -> None:
    assert keys_in_console(shown_on_console(key)) == [key]
    for end in range(len(key)):
        assert keys_in_console(shown_on_console(key[:end])) == []


@pytest.mark.parametrize("text", ["", f"{KEYS_BEGIN}\n{ED25519}", ED25519])
def test_half_a_block_is_none(text: str) -> None:
    assert keys_in_console(text) == []


def test_a_failed_stack_rolls_back_and_says_why(
    cloud_of: Callable[..., Cloud], tmp_path: Path
) -> None:
    cloud, said = cloud_of("20250104"), []
    network = plan(cloud.settings, "", OWN_IP)[0]
    bad = tmp_path / "bad.yml"
    bad.write_text(NETWORK.read_text().replace("!Cidr [!Ref VpcCidr, 4, 8]", "[a, b, 10.1.0.0/24]"))
    with pytest.raises(StackFailed) as caught:
        cloud.create_stack(network.name, bad, network.given, said.append)
    assert "ROLLBACK_COMPLETE. PublicSubnet: The CIDR '10.1.0.0/24' is invalid" in str(caught.value)
    assert "run the cell again" in caught.value.cure
    assert f"{network.name}: PublicSubnet failed" in said
    # All but the failed stack is gone, and it stays gone when somebody looks.
    assert [stack.status for stack in cloud.stacks()] == ["ROLLBACK_COMPLETE"]
    assert [r.kind for r in cloud.left_over() if "20250104" in r.name] == ["stack"]

    said.clear()
    assert cloud.create(network, said.append).is_complete
    assert said[0] == f"{network.name}: it is in ROLLBACK_COMPLETE, so it is deleted first"
    assert cloud.delete_stack(network.name)


def test_a_stack_that_others_need_is_not_deleted(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of("20250105")
    network, _server, pri_sub, *_others = plan(cloud.settings, "", OWN_IP)
    cloud.create(network)
    cloud.create(pri_sub)
    with pytest.raises(StackFailed, match=r"DELETE_FAILED. Vpc: .* has dependencies"):
        cloud.delete_stack(network.name)
    assert cloud.delete_stack(pri_sub.name)
    assert cloud.delete_stack(network.name)
    assert cloud.stacks() == []


def test_a_parameter_that_aws_refuses(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of("20250106")
    given = {"Date": "today", "VpcCidr": "10.87.0.0/16"}
    with pytest.raises(CloudError, match="'Date' must match pattern"):
        cloud.create_stack(cloud.names.network_stack, NETWORK, given)
    assert cloud.stacks() == []


@pytest.mark.slow
def test_teardown_leaves_nothing(cloud_of: Callable[..., Cloud]) -> None:
    cloud, said = cloud_of("20250107", vpc_cidr="10.99.0.0/16"), []
    for stack_plan in plan(cloud.settings, cloud.import_key(PUBLIC_KEY), OWN_IP):
        cloud.create(stack_plan)

    def mine() -> list[Resource]:
        return [item for item in cloud.left_over() if "20250107" in item.name]

    kinds = {item.kind for item in mine()}
    assert kinds >= {"instance", "volume", "key pair", "endpoint", "security group"}
    assert kinds >= {"subnet", "route table", "internet gateway", "VPC", "stack"}
    for stack in reversed(cloud.stacks()):
        assert cloud.delete_stack(stack.name, said.append)
    assert cloud.delete_key()
    assert mine() == []
    assert cloud.instance(cloud.names.server) is None
    assert "smtp-handson-server-20250107: Server deleted" in said
    assert not cloud.delete_stack(cloud.names.server_stack, said.append)
    assert said[-1] == "smtp-handson-server-20250107: there is none"

    # The same fixed addresses can be had again.
    for stack_plan in plan(cloud.settings, cloud.import_key(PUBLIC_KEY), OWN_IP):
        cloud.create(stack_plan)
    server = cloud.instance(cloud.names.server)
    assert server is not None and server.private_ip == "10.99.2.44"
    for stack in reversed(cloud.stacks()):
        cloud.delete_stack(stack.name)
    cloud.delete_key()


def test_what_is_left_is_a_table(built: Built) -> None:
    left = built[0].left_over_table
    costs = {row[0]: row[3] for row in left.rows}
    assert costs["volume"] == "by size and month until it is deleted"
    assert costs["VPC"] == costs["endpoint"] == "nothing"
    server = next(row for row in left.rows if row[1] == "20250101-smtp-handson-server")
    assert server[3].endswith("its public address US$0.005 an hour")
    assert left.tones[left.rows.index(server)] == "warn"
    assert table([]).text() == "Still there\nNothing is left."


@pytest.mark.slow
def test_two_learners_of_one_account_and_day_do_not_meet(cloud_of: Callable[..., Cloud]) -> None:
    clouds = [cloud_of("20250108", learner=learner) for learner in ("", "ayumi", "ken")]
    for cloud in clouds:
        key = cloud.import_key(PUBLIC_KEY)
        for stack_plan in plan(cloud.settings, key, OWN_IP):
            cloud.create(stack_plan)
    servers = [cloud.instance(cloud.names.server) for cloud in clouds]
    assert len({server.id for server in servers if server}) == 3
    clouds[1].open_port(587, "0.0.0.0/0")
    assert [any(r.opens(587) for r in cloud.rules()) for cloud in clouds] == [False, True, False]
    for n, cloud in enumerate(clouds):
        names = {item.name for item in cloud.left_over() if "20250108" in item.name}
        assert names >= {cloud.names.server, cloud.names.server_stack, cloud.names.key}
        assert not any("ken" in name for name in names) or n == 2
        assert not any("ayumi" in name for name in names) or n == 1
        shown = cloud.delete_all()
        assert len(shown.rows) == 6
        assert [item for item in cloud.left_over() if "20250108" in item.name] == []
        assert [len(other.stacks()) for other in clouds] == [0] * (n + 1) + [5] * (2 - n)


def test_what_nobodys_stack_made_is_shown_to_all(cloud_of: Callable[..., Cloud]) -> None:
    clouds = [cloud_of("20250109", learner=learner) for learner in ("", "ayumi")]
    tags = [{"Key": "Project", "Value": "smtp-handson"}]
    group = clouds[0]._aws.call(
        "ec2",
        "create_security_group",
        GroupName="by hand",
        Description="by hand",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    for cloud in clouds:
        assert group in [item.id for item in cloud.left_over()]
    clouds[0]._aws.call("ec2", "delete_security_group", GroupId=group)
