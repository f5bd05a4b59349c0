"""The rules of security groups: what AWS takes for one, and which two are the same.

"EC2" is the EC2 API reference: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import InvalidParameterValue
from moto.ec2.models import EC2Backend, security_groups
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses.security_groups import SecurityGroups

from handson.lab.patches.patch import Patch
from handson.lab.patches.security_groups import (
    TEXT,
    TEXT_IN_WORDS,
    group_named,
    group_of_request,
    group_with_id,
    other_network,
)
from handson.lab.patches.templates import Json

_moto_add_source_group = EC2Backend._add_source_group
_moto_authorize_egress = SecurityGroups.authorize_security_group_egress
_moto_authorize_ingress = SecurityGroups.authorize_security_group_ingress
_moto_iterate_security_rules = EC2Backend._iterate_security_rules
_moto_rules_of_request = SecurityGroups._process_rules_from_querystring


def rules_of_request(self: Any) -> Iterator[Json]:
    group = group_of_request(self)
    for rule in _moto_rules_of_request(self):
        yield {**rule, "group_name_or_id": group.id}


PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}


def iterate_rules(
    self: Any,
    ip_protocol: Any,
    group_id: str,
    from_port: Any,
    to_port: Any,
    ip_ranges: list[Any],
    source_groups: list[Any],
    prefix_list_ids: list[Any],
    **rest: Any,
) -> Iterator[Any]:
    # moto takes any protocol, port and description, and dies of a port that is missing.
    peers = [*ip_ranges, *source_groups, *prefix_list_ids]
    if peers:
        from_port, to_port = _ports(ip_protocol, from_port, to_port)
    for peer in peers:
        if not TEXT.fullmatch(peer.get("Description") or ""):
            raise InvalidParameterValue(
                f"Invalid rule description. Valid descriptions are {TEXT_IN_WORDS}"
            )
    for block in ip_ranges:
        _make_canonical(block)
    for peer in source_groups:
        _check_network(self, group_id, peer.get("GroupId", group_id))
    return _moto_iterate_security_rules(
        self,
        ip_protocol,
        group_id,
        from_port,
        to_port,
        ip_ranges,
        source_groups,
        prefix_list_ids,
        **rest,
    )


def _ports(protocol: Any, first: Any, last: Any) -> tuple[Any, Any]:
    # EC2: API_IpPermission.html says when ports are needed. The sentences are those of
    # https://github.com/hashicorp/terraform-provider-aws/issues/1793 (protocol),
    # https://github.com/aws/aws-sdk-go-v2/issues/1203 (a port is missing),
    # https://github.com/aws/aws-cli/issues/1066 (out of range).
    # A range from high to low would be no rule of the lab's firewall at all.
    if not protocol:
        raise InvalidParameterValue(
            "Invalid value 'null' for protocol. "
            "VPC security group rules must specify protocols explicitly."
        )
    name = str(protocol).lower()
    name = PROTOCOLS.get(name, name)
    is_missing = first is None or last is None
    if name in ("tcp", "udp"):
        if is_missing:
            raise InvalidParameterValue(
                "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange."
            )
        for end, port in (("from", first), ("to", last)):
            if not 0 <= int(port) <= 65535:
                raise InvalidParameterValue(f"TCP/UDP ({end}) port ({port}) out of range")
        if int(first) > int(last):
            raise InvalidParameterValue(f"Invalid TCP/UDP port range ({first}:{last})")
    elif name == "icmp" and is_missing:
        raise InvalidParameterValue("For tcp, udp, and icmp, you must specify a port range.")
    elif name not in ("icmp", "icmpv6", "-1") and not name.isdigit():
        raise InvalidParameterValue(
            f"Invalid value '{protocol}' for IP protocol. Unknown protocol."
        )
    return (-1, -1) if is_missing else (first, last)


def malformed_block(cidr: Any) -> Exception:
    # moto shows what it has in hand. AWS: https://github.com/aws/aws-cli/issues/2846
    block = next(iter(cidr.values()), "") if isinstance(cidr, dict) else cidr
    return InvalidParameterValue(f"CIDR block {block} is malformed")


def _make_canonical(block: Json) -> None:
    # moto keeps a block with bits set beyond its mask as it is, and does not see that it is
    # the duplicate of another. EC2: API_IpRange.html.
    kinds = {"CidrIp": ipaddress.IPv4Network, "CidrIpv6": ipaddress.IPv6Network}
    for key in kinds.keys() & block.keys():
        try:
            address, bits = block[key].split("/")
            block[key] = str(kinds[key]((address, int(bits)), strict=False))
        except ValueError:
            raise malformed_block(block[key]) from None


def same_rule(self: Any, other: Any) -> bool:
    # moto takes a source group with another description for another rule: it can be added
    # twice, and not be revoked. EC2: API_RevokeSecurityGroupIngress.html, and
    # https://github.com/londonaicentre/FLIP/pull/886
    return _identity(self) == _identity(other)


def _identity(rule: Any) -> tuple[Any, ...]:
    return (
        rule.ip_protocol,
        rule.from_port,
        rule.to_port,
        rule.cidr_ipv4,
        rule.cidr_ipv6,
        rule.source_group.get("GroupId"),
        rule.prefix_list_id,
    )


def add_source_group(self: Any, source_groups: list[Any] | None, vpc_id: str | None) -> Any:
    # https://github.com/boto/boto3/issues/569
    for peer in source_groups or []:
        if "GroupName" in peer:
            try:
                peer["GroupId"] = group_named(self, peer.pop("GroupName")).id
            except ServiceException:
                raise other_network() from None
        elif "GroupId" in peer:
            group_with_id(self, peer["GroupId"])
    return _moto_add_source_group(self, source_groups, vpc_id)


def _check_network(backend: Any, group_id: str, peer_id: str) -> None:
    # moto takes a group of any VPC for a source. AWS takes one of the same VPC or of its
    # peer: https://github.com/ansible/ansible/pull/28876
    vpcs = {backend.get_security_group_from_id(group).vpc_id for group in (group_id, peer_id)}
    peered = [
        {pcx.vpc.id, pcx.peer_vpc.id}
        for pcx in backend.vpc_pcxs.values()
        if pcx._status.code == "active"
    ]
    if len(vpcs) > 1 and vpcs not in peered:
        raise other_network()


def authorize(answer: Callable[[Any], Any], rules: str) -> Callable[[Any], Any]:
    # moto adds the rules of a request up to the one that it refuses. AWS refuses them all,
    # and has a word for two alike in one request:
    # https://github.com/hashicorp/terraform-provider-aws/issues/29492
    def authorize_security_group(self: Any) -> Any:
        group = group_of_request(self)
        before = list(getattr(group, rules))
        asked: list[Any] = []
        for rule in self._process_rules_from_querystring():
            sources = self.ec2_backend._add_source_group(rule["source_groups"], None)
            made = self.ec2_backend._iterate_security_rules(
                rule["ip_protocol"],
                group.id,
                rule["from_port"],
                rule["to_port"],
                rule["ip_ranges"],
                sources,
                rule["prefix_list_ids"],
            )
            for new in made:
                if new in asked:
                    raise InvalidParameterValue(
                        "The same permission must not appear multiple times"
                    )
                asked.append(new)
        try:
            return answer(self)
        except ServiceException:
            setattr(group, rules, before)
            raise

    return authorize_security_group


PATCHES = (
    Patch(SecurityGroups, "_process_rules_from_querystring", rules_of_request),
    Patch(
        SecurityGroups,
        "authorize_security_group_ingress",
        authorize(_moto_authorize_ingress, "ingress_rules"),
    ),
    Patch(
        SecurityGroups,
        "authorize_security_group_egress",
        authorize(_moto_authorize_egress, "egress_rules"),
    ),
    Patch(EC2Backend, "_iterate_security_rules", iterate_rules),
    Patch(EC2Backend, "_add_source_group", add_source_group),
    Patch(security_groups, "InvalidCIDRSubnetError", malformed_block),
    Patch(SecurityGroupRule, "__eq__", same_rule),
)
