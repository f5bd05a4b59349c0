"""What AWS refuses of security groups, and what it takes, seen through boto3."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handson.cloud.cloud import Cloud

Built = tuple[Cloud, list[str]]
Refusal = Callable[..., tuple[str, str]]
CIDR = "10.61.0.0/16"
NETWORKS = (f"10.{n}.0.0/16" for n in itertools.count(61))


def new_group(ec2: Any, name: str = "one", **arguments: Any) -> str:
    arguments.setdefault("VpcId", ec2.create_vpc(CidrBlock=next(NETWORKS))["Vpc"]["VpcId"])
    made = ec2.create_security_group(GroupName=name, Description="a group", **arguments)
    return str(made["GroupId"])


@pytest.fixture
def group(ec2: Any) -> str:
    """The id of a group without inbound rules, outside of the default VPC."""
    return new_group(ec2)


@pytest.fixture
def at_home(ec2: Any) -> Iterator[str]:
    """The name of a group of the default VPC."""
    group = ec2.create_security_group(GroupName="at home", Description="of the default VPC")
    yield "at home"
    ec2.delete_security_group(GroupId=group["GroupId"])


def rule(protocol: str | None = "tcp", first: Any = 587, last: Any = 587, **peer: Any) -> Any:
    """Return the rules of a request: one, from `CIDR` unless told."""
    given = {"IpProtocol": protocol, "FromPort": first, "ToPort": last}
    peer = peer or {"IpRanges": [{"CidrIp": CIDR}]}
    return [{key: value for key, value in given.items() if value is not None} | peer]


def rules_of(ec2: Any, group: str) -> Any:
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return found["IpPermissions"]


# --- names ---


def test_a_name_is_looked_for_in_the_default_vpc_only(
    ec2: Any, group: str, refusal: Refusal
) -> None:
    for operation, arguments in (
        (ec2.authorize_security_group_ingress, {"GroupName": "one", "IpPermissions": rule()}),
        (ec2.revoke_security_group_ingress, {"GroupName": "one", "IpPermissions": rule()}),
        (ec2.describe_security_groups, {"GroupNames": ["one"]}),
        (ec2.delete_security_group, {"GroupName": "one"}),
        (ec2.delete_security_group, {"GroupName": group}),
    ):
        code, message = refusal(operation, **arguments)
        assert code == "InvalidGroup.NotFound"
        assert "does not exist in default VPC 'vpc-" in message
    assert rules_of(ec2, group) == []


def test_a_name_of_the_default_vpc_is_known(ec2: Any, at_home: str) -> None:
    ec2.authorize_security_group_ingress(GroupName=at_home, IpPermissions=rule())
    [found] = ec2.describe_security_groups(GroupNames=[at_home])["SecurityGroups"]
    assert found["IpPermissions"][0]["FromPort"] == 587
    assert ec2.describe_security_groups(GroupNames=[found["GroupId"]])["SecurityGroups"] == [found]
    ec2.revoke_security_group_ingress(GroupName=at_home, IpPermissions=rule())


def test_an_id_is_no_name(ec2: Any, group: str, refusal: Refusal) -> None:
    for name, code in (("one", "InvalidGroupId.Malformed"), ("sg-1", "InvalidGroup.NotFound")):
        for operation, arguments in (
            (ec2.authorize_security_group_ingress, {"GroupId": name, "IpPermissions": rule()}),
            (ec2.describe_security_groups, {"GroupIds": [name]}),
            (ec2.delete_security_group, {"GroupId": name}),
        ):
            assert refusal(operation, **arguments)[0] == code
    assert refusal(ec2.delete_security_group) == (
        "MissingParameter",
        "The request must contain the parameter groupName or groupId",
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sg-mine", "Group names may not be in the format sg-*."),
        ("größe", "Character sets beyond ASCII are not supported."),
        ("a<b", "for parameter GroupName is invalid"),
        ("a" * 256, "for parameter GroupName is invalid"),
    ],
)
def test_a_name_that_is_none(ec2: Any, refusal: Refusal, name: str, sentence: str) -> None:
    code, message = refusal(ec2.create_security_group, GroupName=name, Description="one")
    assert code == "InvalidParameterValue" and sentence in message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("größe", "Character sets beyond ASCII are not supported."),
        ("a<b", "Invalid security group description."),
        ("a" * 256, "Invalid security group description."),
    ],
)
def test_a_description_that_is_none(ec2: Any, refusal: Refusal, text: str, sentence: str) -> None:
    code, message = refusal(ec2.create_security_group, GroupName="x", Description=text)
    assert code == "InvalidParameterValue" and sentence in message


def test_names_are_case_insensitive_within_a_vpc(ec2: Any, refusal: Refusal) -> None:
    first = new_group(ec2, "a-z_A-Z 0.9:/()#,@[]+=&;{}!$*")
    vpc = ec2.describe_security_groups(GroupIds=[first])["SecurityGroups"][0]["VpcId"]
    new_group(ec2, "Mail", VpcId=vpc)
    new_group(ec2, "Mail")
    code, message = refusal(ec2.create_security_group, GroupName="mail", Description="x", VpcId=vpc)
    assert code == "InvalidGroup.Duplicate" and vpc in message
    code, _message = refusal(
        ec2.create_security_group, GroupName="mail", Description="x", VpcId="vpc-0"
    )
    assert code == "InvalidVpcID.NotFound"


def test_the_default_group_stays(ec2: Any, group: str, refusal: Refusal) -> None:
    [own] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    filters = [
        {"Name": "vpc-id", "Values": [own["VpcId"]]},
        {"Name": "group-name", "Values": ["default"]},
    ]
    [default] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    code, message = refusal(ec2.delete_security_group, GroupId=default["GroupId"])
    assert code == "CannotDelete" and "cannot be deleted by a user" in message
    ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=own["VpcId"])  # the default group goes with it


# --- rules ---


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (rule(first=70000, last=70000), "TCP/UDP (from) port (70000) out of range"),
        (rule(last=65536), "TCP/UDP (to) port (65536) out of range"),
        (rule(first=-1, last=-1), "TCP/UDP (from) port (-1) out of range"),
        (rule(first=600, last=500), "Invalid TCP/UDP port range (600:500)"),
        (rule(first=None, last=None), "Must specify both from and to ports with TCP/UDP."),
        (rule("udp", first=None), "Must specify both from and to ports with TCP/UDP."),
        (rule("6", last=None), "Must specify both from and to ports with TCP/UDP."),
        (rule("icmp", None, None), "you must specify a port range"),
        (rule("smtp"), "Invalid value 'smtp' for IP protocol. Unknown protocol."),
        (rule("all"), "Invalid value 'all' for IP protocol. Unknown protocol."),
        (rule(None), "VPC security group rules must specify protocols explicitly."),
        (rule(IpRanges=[{"CidrIp": "anywhere"}]), "CIDR block anywhere is malformed"),
        (rule(IpRanges=[{"CidrIp": "10.0.0.1"}]), "CIDR block 10.0.0.1 is malformed"),
        (rule(IpRanges=[{"CidrIp": "10.0.0.0/33"}]), "CIDR block 10.0.0.0/33 is malformed"),
        (rule(IpRanges=[{"CidrIp": "::/0"}]), "CIDR block ::/0 is malformed"),
        (
            rule(IpRanges=[{"CidrIp": CIDR, "Description": "für alle"}]),
            "Invalid rule description. Valid descriptions are strings less than 256 characters",
        ),
        (
            rule(IpRanges=[{"CidrIp": CIDR, "Description": "a" * 256}]),
            "Invalid rule description. Valid descriptions are strings less than 256 characters",
        ),
        (rule() + rule(), "The same permission must not appear multiple times"),
        (
            rule(IpRanges=[{"CidrIp": CIDR}, {"CidrIp": "10.61.7.7/16"}]),
            "The same permission must not appear multiple times",
        ),
    ],
)
def test_a_rule_that_is_none(
    ec2: Any, group: str, refusal: Refusal, rules: Any, sentence: str
) -> None:
    request = rule(first=25, last=25) + rules
    code, message = refusal(
        ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=request
    )
    assert code == "InvalidParameterValue" and sentence in message
    code, message = refusal(
        ec2.authorize_security_group_egress, GroupId=group, IpPermissions=request
    )
    assert code == "InvalidParameterValue" and sentence in message
    assert rules_of(ec2, group) == [], "what is refused is refused whole"


@pytest.mark.parametrize(
    "rules",
    [
        rule(first=0, last=65535),
        rule("TCP"),
        rule("17", 53, 53),
        rule("-1", None, None),
        rule("-1", 0, 65535),
        rule("icmp", -1, -1),
        rule("50", None, None),
        rule("icmpv6", None, None, Ipv6Ranges=[{"CidrIpv6": "2001:db8::/32"}]),
        rule(IpRanges=[{"CidrIp": CIDR, "Description": "a-z_A-Z 0.9:/()#,@[]+=&;{}!$*"}]),
    ],
)
def test_a_rule_is_added_and_taken_away(ec2: Any, group: str, rules: Any) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    assert len(rules_of(ec2, group)) == 1
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
    assert rules_of(ec2, group) == []


def test_a_block_is_kept_in_its_canonical_form(ec2: Any, group: str, refusal: Refusal) -> None:
    rules = rule(IpRanges=[{"CidrIp": "100.68.0.18/18"}])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    assert rules_of(ec2, group)[0]["IpRanges"] == [{"CidrIp": "100.68.0.0/18"}]
    for block in ("100.68.0.0/18", "100.68.0.18/18"):
        rules = rule(IpRanges=[{"CidrIp": block}])
        code, _message = refusal(
            ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=rules
        )
        assert code == "InvalidPermission.Duplicate"


def test_a_request_is_refused_whole(ec2: Any, group: str, refusal: Refusal) -> None:
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule())
    before = rules_of(ec2, group)
    many = [{"CidrIp": f"10.9.{n}.0/24"} for n in range(40)]
    for second, code in (
        (rule(), "InvalidPermission.Duplicate"),
        (rule(IpRanges=many), "RulesPerSecurityGroupLimitExceeded"),
    ):
        request = rule(first=25, last=25, IpRanges=many) + second
        assert (
            refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=request)[0]
            == code
        )
        assert rules_of(ec2, group) == before


def test_a_description_makes_no_other_rule(ec2: Any, group: str, refusal: Refusal) -> None:
    vpc = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["VpcId"]
    peer = new_group(ec2, "peer", VpcId=vpc)

    def rules(text: str) -> Any:
        return rule(UserIdGroupPairs=[{"GroupId": peer, "Description": text}])

    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules("mail"))
    code, _message = refusal(
        ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=rules("post")
    )
    assert code == "InvalidPermission.Duplicate"
    undescribed = rule(UserIdGroupPairs=[{"GroupId": peer}])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=undescribed)
    assert rules_of(ec2, group) == []


def test_a_source_group_is_of_the_same_network(ec2: Any, group: str, refusal: Refusal) -> None:
    other = new_group(ec2, "other")
    for peer, code in (
        ({"GroupId": other}, "InvalidGroup.NotFound"),
        ({"GroupName": "one"}, "InvalidGroup.NotFound"),
        ({"GroupName": "default"}, "InvalidGroup.NotFound"),
        ({"GroupId": "sg-1"}, "InvalidGroup.NotFound"),
        ({"GroupId": "one"}, "InvalidGroupId.Malformed"),
    ):
        rules = rule(UserIdGroupPairs=[peer])
        assert (
            refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=rules)[0]
            == code
        )


def test_a_source_group_of_a_peered_network(ec2: Any, group: str) -> None:
    other = new_group(ec2, "other")
    found = ec2.describe_security_groups(GroupIds=[group, other])["SecurityGroups"]
    here, there = (each["VpcId"] for each in found)
    asked = ec2.create_vpc_peering_connection(VpcId=here, PeerVpcId=there)
    peering = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    rules = rule(UserIdGroupPairs=[{"GroupId": other}])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)


def test_a_source_group_by_name_in_the_default_vpc(ec2: Any, at_home: str) -> None:
    rules = rule(UserIdGroupPairs=[{"GroupName": at_home}])
    ec2.authorize_security_group_ingress(GroupName=at_home, IpPermissions=rules)
    ec2.revoke_security_group_ingress(GroupName=at_home, IpPermissions=rules)


# --- who is in a group ---


def test_an_instance_is_in_groups_of_its_network(
    ec2: Any, built: Built, group: str, refusal: Refusal
) -> None:
    instance = built[0].instance(built[0].names.client)
    assert instance is not None
    for other, code in (
        (group, "InvalidGroup.NotFound"),
        ("sg-1", "InvalidGroup.NotFound"),
        ("one", "InvalidGroupId.Malformed"),
    ):
        assert (
            refusal(ec2.modify_instance_attribute, InstanceId=instance.id, Groups=[other])[0]
            == code
        )
