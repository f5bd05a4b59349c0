"""What the course made in the cloud and what is still there, with what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from handson.cloud.client import Aws
from handson.cloud.names import PROJECT, Names
from handson.i18n import _
from handson.ui.view import Table


@dataclass(frozen=True)
class Resource:
    """Something that the course made and that is still there, and what it costs."""

    kind: str
    id: str
    name: str
    costs: str


def tagged(aws: Aws, names: Names) -> list[Resource]:
    """Return all but instances and stacks that has the course's tag; not another learner's."""
    filters = [{"Name": "tag:Project", "Values": [PROJECT]}]
    found = []
    for kind, operation, key, id_key, costs in _kinds():
        for item in aws.pages("ec2", operation, key, Filters=filters):
            if item.get("State") not in ("deleting", "deleted"):
                tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
                made_by = tags.get("CreatedBy")
                if made_by is None or names.own(made_by):
                    name = tags.get("Name", item[id_key])
                    found.append(Resource(kind, item[id_key], name, costs))
    return found


def table(left: list[Resource]) -> Table:
    """Return it as a table; what costs money is marked."""
    return Table(
        [_("kind"), _("name"), _("id"), _("costs")],
        [[item.kind, item.name, item.id, item.costs] for item in left],
        title=_("Still there"),
        tones=["" if item.costs.startswith(_("nothing")) else "warn" for item in left],
        empty=_("Nothing is left."),
    )


def _kinds() -> list[tuple[str, str, str, str, str]]:
    # What it is, EC2's operation, where the answer holds it, its id there, what it costs.
    nothing = _("nothing")
    stored = _("by size and month until it is deleted")
    held = _("US$0.005 an hour until it is released")
    return [
        (_("volume"), "describe_volumes", "Volumes", "VolumeId", stored),
        (_("address"), "describe_addresses", "Addresses", "AllocationId", held),
        (_("key pair"), "describe_key_pairs", "KeyPairs", "KeyName", nothing),
        (_("endpoint"), "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", nothing),
        (_("security group"), "describe_security_groups", "SecurityGroups", "GroupId", nothing),
        (_("subnet"), "describe_subnets", "Subnets", "SubnetId", nothing),
        (_("route table"), "describe_route_tables", "RouteTables", "RouteTableId", nothing),
        (
            _("internet gateway"),
            "describe_internet_gateways",
            "InternetGateways",
            "InternetGatewayId",
            nothing,
        ),
        (_("VPC"), "describe_vpcs", "Vpcs", "VpcId", nothing),
    ]
