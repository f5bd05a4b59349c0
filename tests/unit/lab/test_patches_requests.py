"""Filters and dry runs, seen through boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handson.cloud.cloud import Cloud
from handson.cloud.leftovers import _kinds

Built = tuple[Cloud, list[str]]
Refusal = Callable[..., tuple[str, str]]
LISTINGS = [("describe_instances", "Reservations"), *((o, k) for _w, o, k, _i, _c in _kinds())]


@pytest.mark.parametrize(("operation", "key"), LISTINGS)
def test_a_filter_that_is_none(
    ec2: Any, built: Built, refusal: Refusal, operation: str, key: str
) -> None:
    for name in ("nonsense", "Vpc-Id", "tags"):
        filters = [{"Name": name, "Values": ["x"]}]
        assert refusal(getattr(ec2, operation), Filters=filters) == (
            "InvalidParameterValue",
            f"The filter '{name}' is invalid",
        )
    for name in ("tag:Project", "tag-key"):
        filters = [{"Name": name, "Values": ["nothing of the kind"]}]
        assert getattr(ec2, operation)(Filters=filters)[key] == []


def test_a_filter_by_another_name(ec2: Any, built: Built) -> None:
    found = ec2.describe_subnets(Filters=[{"Name": "cidrBlock", "Values": ["10.87.2.0/24"]}])
    assert [subnet["CidrBlock"] for subnet in found["Subnets"]] == ["10.87.2.0/24"]


def test_a_dry_run_changes_nothing(ec2: Any, built: Built, refusal: Refusal) -> None:
    instance = built[0].instance(built[0].names.server)
    assert instance is not None
    group = built[0]._groups.find(built[0].names.server_group)
    rules = [
        {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 9, "IpRanges": [{"CidrIp": "9.0.0.0/8"}]}
    ]
    vpcs = ec2.describe_vpcs()["Vpcs"]
    for operation, arguments in (
        (ec2.create_vpc, {"CidrBlock": "10.97.0.0/16"}),
        (ec2.create_subnet, {"VpcId": group["VpcId"], "CidrBlock": "10.87.9.0/24"}),
        (ec2.create_route_table, {"VpcId": group["VpcId"]}),
        (ec2.describe_security_groups, {}),
        (
            ec2.authorize_security_group_ingress,
            {"GroupId": group["GroupId"], "IpPermissions": rules},
        ),
        (ec2.delete_key_pair, {"KeyName": built[0].names.key}),
        (ec2.stop_instances, {"InstanceIds": [instance.id]}),
        (ec2.get_console_output, {"InstanceId": instance.id}),
    ):
        assert refusal(operation, DryRun=True, **arguments) == (
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
    assert ec2.describe_vpcs()["Vpcs"] == vpcs
    assert built[0]._groups.find(built[0].names.server_group) == group
    assert built[0].instance(built[0].names.server) == instance
    assert ec2.describe_key_pairs(KeyNames=[built[0].names.key], DryRun=False)["KeyPairs"]
