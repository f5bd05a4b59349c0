from __future__ import annotations

import ipaddress

import pytest

from handson.lab import network


def test_candidates_do_not_overlap() -> None:
    every = [ipaddress.IPv4Network(cidr) for cidr in network.INTERNETS + network.VPCS]
    for number, one in enumerate(every):
        assert not any(one.overlaps(other) for other in every[number + 1 :])
    assert not any(one.overlaps(ipaddress.IPv4Network("10.88.0.0/16")) for one in every)


def test_every_vpc_can_be_chosen() -> None:
    from handson.settings import check_network

    assert [check_network(cidr) for cidr in network.VPCS] == network.VPCS


@pytest.mark.parametrize("used", ["10.87.0.0/16", "10.0.0.0/8", "10.87.3.20/32", "0.0.0.0/0"])
def test_a_used_network_is_not_free(used: str) -> None:
    assert list(network.free(["10.87.0.0/16"], [used])) == []


def test_neighbours_are_free() -> None:
    used = ["10.86.0.0/16", "10.88.0.0/16"]
    assert list(network.free(["10.87.0.0/16"], used)) == ["10.87.0.0/16"]


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("10.50.0.0/16", ""),
        ("192.168.7.0/24", ""),
        ("172.31.0.0/16", ""),
        ("8.8.8.0/24", "belongs to the Internet"),
        ("172.32.0.0/16", "belongs to the Internet"),
        ("100.64.0.0/16", "belongs to the Internet"),
        ("10.60.0.0/16", "holds addresses that this machine uses"),
        ("192.168.1.0/28", "holds addresses that this machine uses"),
    ],
)
def test_where_a_vpc_may_be(cidr: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "taken", lambda: ["10.60.3.53/32", "192.168.0.0/16"])
    if cidr == "192.168.7.0/24":
        monkeypatch.setattr(network, "taken", lambda: ["192.168.1.0/24"])
    assert reason in network.why_not(cidr)
    assert bool(network.why_not(cidr)) is bool(reason)


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t010200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
eth0\t507100CB\t010200C0\t0007\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""


def test_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.byteorder", "little")
    assert network.routes(ROUTES) == ["192.0.2.0/24", "10.0.0.0/8", "203.0.113.80/32"]
    assert network.routes("") == []


def test_names_in_files() -> None:
    text = "# 1.2.3.4.5 nothing\n127.0.0.1 localhost\n::1 localhost\nnameserver 192.0.2.53\n"
    assert network.named(text) == ["127.0.0.1/32", "192.0.2.53/32"]


def test_taken_holds_loopback() -> None:
    assert "127.0.0.0/8" in network.taken()


def test_hosts_have_numbers_of_their_own() -> None:
    numbers = {network.PC, network.MAILBOX, network.RESOLVER}
    assert len(numbers) == 3
    assert not numbers & set(range(network.FIRST_PUBLIC, network.LAST_PUBLIC))
    assert 1 not in numbers  # the machine's
