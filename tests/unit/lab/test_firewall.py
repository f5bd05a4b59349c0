"""From a security group's rules to nftables text, and what nft makes of it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from handson.lab.firewall import EVERYTHING, OPEN, FirewallRule, Policy, render

VPC = "10.87.0.0/16"
FROM_THE_MACHINE = "ip saddr { 10.87.0.1 } drop"


def chain(text: str, hook: str) -> list[str]:
    """Return the lines of one chain."""
    lines = [line.strip() for line in text.splitlines()]
    start = lines.index(f"chain {hook} {{")
    return lines[start + 1 : lines.index("}", start)]


def test_nothing_is_let_in_without_a_rule() -> None:
    lines = chain(render(Policy((), ()), [VPC]), "input")
    assert lines == [
        "type filter hook input priority 0; policy drop;",
        'iif "lo" accept',
        "ct state established,related accept",
        FROM_THE_MACHINE,
    ]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (FirewallRule("tcp", 587, 587, (VPC,)), "tcp dport 587 ip saddr 10.87.0.0/16 accept"),
        (
            FirewallRule("udp", 1000, 2000, ("0.0.0.0/0",)),
            "udp dport 1000-2000 ip saddr 0.0.0.0/0 accept",
        ),
        (FirewallRule("icmp", -1, -1, (VPC,)), "ip protocol icmp ip saddr 10.87.0.0/16 accept"),
        (FirewallRule("-1", None, None, (VPC,)), "ip saddr 10.87.0.0/16 accept"),
        (FirewallRule("tcp", None, None, (VPC,)), "tcp dport 0-65535 ip saddr 10.87.0.0/16 accept"),
    ],
)
def test_a_rule_is_a_line(rule: FirewallRule, line: str) -> None:
    text = render(Policy((rule,), ()), [VPC])
    assert chain(text, "input")[4:] == [line]
    assert line not in chain(text, "output")


def test_port_0_is_one_port_and_not_all() -> None:
    text = render(Policy((FirewallRule("tcp", 0, 0, ("10.0.0.0/8",)),), ()), ["10.87.0.0/16"])
    assert "tcp dport 0 ip saddr 10.0.0.0/8 accept" in text
    assert "65535" not in text


def test_each_member_of_a_group_is_a_line() -> None:
    rule = FirewallRule("tcp", 25, 25, ("10.87.3.20", "10.87.3.21"))
    assert len(chain(render(Policy((rule,), ()), [VPC]), "input")) == 6


def test_a_group_without_members_opens_nothing() -> None:
    assert len(chain(render(Policy((FirewallRule("tcp", 25, 25, ()),), ()), [VPC]), "input")) == 4


def test_an_unknown_protocol_stays_closed() -> None:
    assert (
        len(chain(render(Policy((FirewallRule("gre", None, None, (VPC,)),), ()), [VPC]), "input"))
        == 4
    )


def test_egress_is_a_chain_of_its_own() -> None:
    text = render(Policy((), (FirewallRule("tcp", 25, 25, (VPC,)),)), [VPC])
    assert chain(text, "output")[-1] == "tcp dport 25 ip daddr 10.87.0.0/16 accept"
    assert len(chain(text, "input")) == 4


def test_the_lab_is_left_by_no_rule() -> None:
    lines = chain(render(OPEN, [VPC, "198.51.100.0/24"]), "output")
    everything = lines.index("ip daddr 0.0.0.0/0 accept")
    # Before any rule: not to the machine that the lab runs on, not to anywhere else.
    assert lines.index("ip daddr { 10.87.0.1, 198.51.100.1 } drop") < everything
    assert lines.index("ip daddr != { 10.87.0.0/16, 198.51.100.0/24 } drop") < everything


def test_the_resolver_needs_no_rule() -> None:
    lines = chain(render(Policy((), ()), [VPC], always_out=["10.87.0.2"]), "output")
    assert "ip daddr 10.87.0.2 udp dport 53 accept" in lines
    assert "ip daddr 10.87.0.2 tcp dport 53 accept" in lines
    assert lines.index("ip daddr { 10.87.0.1 } drop") < len(lines) - 2


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
@pytest.mark.parametrize("policy", [Policy((), ()), OPEN, Policy(EVERYTHING * 2, EVERYTHING)])
def test_nft_takes_it(policy: Policy) -> None:
    text = render(policy, [VPC, "198.51.100.0/24"], always_out=["10.87.0.2"])
    found = subprocess.run(
        ["nft", "--check", "--file", "-"], input=text, capture_output=True, text=True
    )
    if "Operation not permitted" in found.stderr:
        pytest.skip("only root may ask nft")
    assert (found.returncode, found.stderr) == (0, "")


def test_dockers_resolver_within_a_host_is_closed() -> None:
    lines = chain(render(OPEN, [VPC]), "output")
    assert lines.index("ip daddr 127.0.0.11 drop") < lines.index('oif "lo" accept')
