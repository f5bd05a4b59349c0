"""Security groups as nftables rules: a pure function from rules to text.

The rules are loaded into a host's own network namespace from outside, as a security
group stands outside an instance: root on the host can neither see to it nor change it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

TABLE = "inet lab"


@dataclass(frozen=True)
class FirewallRule:
    """A rule of a security group.

    `protocol` is 'tcp', 'udp', 'icmp' or '-1' (all); ports are inclusive; `peers` are
    IPv4 addresses or CIDRs (a group as a source has been turned into its members).
    """

    protocol: str
    from_port: int | None
    to_port: int | None
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """What the security groups of one host let in and out, taken together."""

    ingress: tuple[FirewallRule, ...]
    egress: tuple[FirewallRule, ...]


EVERYTHING = (FirewallRule("-1", None, None, ("0.0.0.0/0",)),)
OPEN = Policy(EVERYTHING, EVERYTHING)


def render(policy: Policy, inside: Iterable[str], always_out: Iterable[str] = ()) -> str:
    """Return nftables text that lets through what the policy says, and nothing out of the lab.

    `inside` are the lab's networks as CIDRs: nothing leaves for any other address. The first
    address of each is the machine that the lab runs on: nothing leaves for it, and nothing
    comes in from it, since each of its users could send that.
    `always_out` are addresses that no rule closes: EC2's resolver is such a one.

    >>> "tcp dport 25 ip saddr 10.0.0.0/16 accept" in render(
    ...     Policy((FirewallRule("tcp", 25, 25, ("10.0.0.0/16",)),), ()), ["10.0.0.0/16"])
    True
    """
    networks = [ipaddress.IPv4Network(cidr) for cidr in inside]
    lab = ", ".join(str(network) for network in networks)
    machine = ", ".join(str(network.network_address + 1) for network in networks)
    resolver = [f"ip daddr {address} udp dport 53 accept" for address in always_out]
    resolver += [f"ip daddr {address} tcp dport 53 accept" for address in always_out]
    return "\n".join(
        [
            # Declared first so that deleting it never fails; nft loads all or nothing.
            f"table {TABLE} {{}}",
            f"delete table {TABLE}",
            f"table {TABLE} {{",
            *_chain(
                "input",
                ['iif "lo" accept'],
                [f"ip saddr {{ {machine} }} drop"],
                _lines(policy.ingress, "saddr"),
            ),
            *_chain(
                "output",
                # Docker's own resolver, within each host, would ask this machine's.
                ["ip daddr 127.0.0.11 drop", 'oif "lo" accept'],
                [f"ip daddr {{ {machine} }} drop", f"ip daddr != {{ {lab} }} drop", *resolver],
                _lines(policy.egress, "daddr"),
            ),
            "}",
            "",
        ]
    )


def _chain(hook: str, loopback: list[str], first: list[str], rules: list[str]) -> list[str]:
    lines = [
        f"type filter hook {hook} priority 0; policy drop;",
        *loopback,
        "ct state established,related accept",
        *first,
        *rules,
    ]
    return [f"  chain {hook} {{", *[f"    {line}" for line in lines], "  }"]


def _lines(rules: Iterable[FirewallRule], side: str) -> list[str]:
    lines = []
    for rule in rules:
        for peer in rule.peers:
            if rule.protocol in ("tcp", "udp"):
                first = 0 if rule.from_port is None else rule.from_port
                last = 65535 if rule.to_port is None else rule.to_port  # 0 is a port too
                ports = f"{first}" if first == last else f"{first}-{last}"
                match = f"{rule.protocol} dport {ports} "
            elif rule.protocol == "icmp":
                match = "ip protocol icmp "
            elif rule.protocol == "-1":
                match = ""
            else:
                continue  # a protocol that no host of the lab speaks stays closed
            lines.append(f"{match}ip {side} {peer} accept")
    return lines
