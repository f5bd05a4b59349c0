"""The rules of a security group: read, opened, closed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from handson.cloud.client import Aws, Refused
from handson.cloud.names import PROJECT
from handson.errors import CloudError, InvalidInput
from handson.i18n import _
from handson.ui.view import Table


@dataclass(frozen=True)
class GroupRule:
    """One rule: `port` is '587', '1000-2000' or 'all'; `source` a CIDR or a group.

    `direction` is 'inbound' or 'outbound'; an outbound rule's `source` is where it lets the
    host go.
    """

    direction: str
    protocol: str
    port: str
    source: str
    description: str

    @property
    def is_inbound(self) -> bool:
        return self.direction == "inbound"

    def lets_out(self, port: int) -> bool:
        """Return whether the rule lets TCP out to that port."""
        return not self.is_inbound and self._holds(port)

    def opens(self, port: int) -> bool:
        """Return whether the rule lets TCP in at that port.

        >>> GroupRule("inbound", "tcp", "500-600", "10.87.0.0/16", "").opens(587)
        True
        """
        return self.is_inbound and self._holds(port)

    def _holds(self, port: int) -> bool:
        if self.protocol not in ("tcp", "all"):
            return False
        first, _dash, last = self.port.partition("-")
        return self.port == "all" or int(first) <= port <= int(last or first)


def covers(source: str, address: str) -> bool:
    """Return whether a CIDR holds an address; a group as a source is not looked into.

    >>> covers("10.87.0.0/16", "10.87.3.20")
    True
    """
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(source)
    except ValueError:
        return False


def inside(source: str, network: str) -> bool:
    """Return whether a source lies within a network; a group's members do.

    >>> inside("10.87.3.0/24", "10.87.0.0/16"), inside("0.0.0.0/1", "10.87.0.0/16")
    (True, False)
    """
    try:
        return ipaddress.IPv4Network(source).subnet_of(ipaddress.IPv4Network(network))
    except ValueError:
        return source.startswith("sg-") or (not source[:1].isdigit() and ":" not in source)


class SecurityGroups:
    """The security groups with the course's tag in one region."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def find(self, name: str) -> dict[str, Any]:
        """Return a group as EC2 describes it; CloudError when there is none of that name."""
        for group in self._all():
            if group["GroupName"] == name:
                return group
        raise CloudError(
            _("There is no security group {name}.").format(name=name),
            _("Make the stacks first: run the notebook 00_start."),
        )

    def rules(self, name: str) -> list[GroupRule]:
        """Return a group's rules, the inbound ones first, by port."""
        names = {group["GroupId"]: group["GroupName"] for group in self._all()}
        group = self.find(name)
        return [
            *_rules("inbound", group["IpPermissions"], names),
            *_rules("outbound", group["IpPermissionsEgress"], names),
        ]

    def open(self, name: str, port: int, source: str, description: str) -> bool:
        """Let TCP in at a port; False when a rule of that source lets it in already."""
        group = self.find(name)
        peer = _peer(source, description)
        if any(_covers(permission, port, source) for permission in group["IpPermissions"]):
            return False
        try:
            self._change("authorize_security_group_ingress", group, port, peer)
        except Refused as error:
            if error.code == "InvalidPermission.Duplicate":
                return False
            raise
        return True

    def close(self, name: str, port: int, source: str) -> bool:
        """Take the rule for just that port and source away; False when there is none.

        `source` may be a group's name, as a `GroupRule` has it.
        """
        if "/" not in source and not source.startswith("sg-"):
            source = str(self.find(source)["GroupId"])
        try:
            self._change("revoke_security_group_ingress", self.find(name), port, _peer(source))
        except Refused as error:
            if error.code == "InvalidPermission.NotFound":
                return False
            raise
        return True

    def _all(self) -> list[dict[str, Any]]:
        filters = [{"Name": "tag:Project", "Values": [PROJECT]}]
        return self.aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)

    def _change(
        self, operation: str, group: dict[str, Any], port: int, peer: dict[str, Any]
    ) -> None:
        if not 1 <= port <= 65535:
            raise InvalidInput(
                _("{port} is not a port.").format(port=port), _("Choose one from 1 to 65535.")
            )
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}
        self.aws.call("ec2", operation, GroupId=group["GroupId"], IpPermissions=[permission])


def rules_table(rules: list[GroupRule], title: str) -> Table:
    """Return the rules as the console shows them; one that lets the world in is marked."""
    words = {"inbound": _("inbound"), "outbound": _("outbound"), "all": _("all")}
    return Table(
        [_("direction"), _("protocol"), _("port"), _("source or destination"), _("description")],
        [[words.get(one, one) for one in astuple(rule)] for rule in rules],
        title=title,
        tones=["warn" if r.is_inbound and r.source == "0.0.0.0/0" else "" for r in rules],
        empty=_("no rules"),
    )


def _rules(
    direction: str, permissions: list[dict[str, Any]], names: dict[str, str]
) -> Iterator[GroupRule]:
    for permission in sorted(permissions, key=lambda p: p.get("FromPort", -1)):
        first, last = permission.get("FromPort"), permission.get("ToPort")
        protocol = permission["IpProtocol"]
        if protocol == "-1" or first in (None, -1):
            port = "all"
        else:
            port = str(first) if first == last else f"{first}-{last}"
        for peer in _peers(permission):
            source = next(peer[key] for key in PEER_KEYS if key in peer)
            yield GroupRule(
                direction,
                "all" if protocol == "-1" else protocol,
                port,
                names.get(source, source),
                peer.get("Description", ""),
            )


# Where the four kinds of peer stand in a permission, and what names the peer there.
PEER_LISTS = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")
PEER_KEYS = ("CidrIp", "CidrIpv6", "GroupId", "PrefixListId")


def _peers(permission: dict[str, Any]) -> list[dict[str, Any]]:
    return [peer for name in PEER_LISTS for peer in permission.get(name, [])]


def _covers(permission: dict[str, Any], port: int, source: str) -> bool:
    protocol = permission["IpProtocol"]
    in_range = protocol == "-1" or (
        protocol == "tcp" and permission["FromPort"] <= port <= permission["ToPort"]
    )
    return in_range and any(source in peer.values() for peer in _peers(permission))


def _peer(source: str, description: str = "") -> dict[str, Any]:
    described = {"Description": description} if description else {}
    if source.startswith("sg-"):
        return {"UserIdGroupPairs": [{"GroupId": source, **described}]}
    try:
        network = ipaddress.ip_network(source)
    except ValueError:
        raise InvalidInput(
            _("“{source}” is not a source for a rule.").format(source=source),
            _("Write a CIDR, as in 10.87.0.0/16, or the id of a security group."),
        ) from None
    if network.version == 6:
        return {"Ipv6Ranges": [{"CidrIpv6": source, **described}]}
    return {"IpRanges": [{"CidrIp": source, **described}]}
