"""Nothing leaves the lab: no route, no packet to this machine, none to anywhere else.

No packet is sent to an address outside to prove it: what listens is this test, on the
addresses that this machine itself has in the lab's networks.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from looking import connect_program, listener, python_on

from handson.course.step import Step
from handson.lab import network
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.lab.state import LabState

HOSTS = ("server", "client", "pc", "mailbox", "resolver")

ASK_UDP = r"""
import json, socket
query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
answered = []
for address, port in TARGETS:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(0.5)
        try:
            one.sendto(query, (address, port))
            one.recvfrom(512)
            answered.append(address)
        except OSError:
            pass
print(json.dumps(answered))
"""


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, step: Step, engine: Engine) -> Any:
    """Each host in turn, as the engine knows it."""
    name = request.param
    if name in ("server", "client"):
        instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-{name}")
        assert instance is not None
        name = instance.id
    found = engine.host(name)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def gateways(lab: Lab, engine: Engine, step: Step) -> list[str]:
    """This machine's own addresses in the lab's networks."""
    found = []
    for net in engine.networks():
        net.reload()
        # Docker does not tell the one that it has taken itself: the first.
        pools = net.attrs["IPAM"]["Config"]
        found += [one.get("Gateway") or network.address(one["Subnet"], 1) for one in pools]
    state = LabState.load(lab.name)
    expected = [state.vpc_cidr, state.internet_cidr]
    assert {cidr.rpartition(".")[0] + ".1" for cidr in expected} < set(found)
    assert len(found) == 3  # the VPC, the Internet, and the one that publishes the pc's port
    return found


def own_addresses() -> list[str]:
    every = [one for addresses in psutil.net_if_addrs().values() for one in addresses]
    return [one.address for one in every if one.family == socket.AF_INET]


def test_no_host_has_a_route_out(host: Any, engine: Engine) -> None:
    assert engine.run(host, "ip -4 route show default; ip -6 route show default") == ""
    for family, address in (("-4", "192.0.2.77"), ("-4", "8.8.8.8"), ("-6", "2001:db8::1")):
        # Only looked up in the host's own table: nothing is sent.
        answer = engine.run(host, f"ip {family} route get {address} 2>&1 || true")
        assert "unreachable" in answer, answer


def test_the_firewall_of_each_host_lets_nothing_else_out(
    host: Any, engine: Engine, lab: Lab
) -> None:
    rules = json.loads(engine.run(engine.interface(host), "nft -j list ruleset"))["nftables"]
    # Docker has chains of its own there, with which its resolver is found.
    chains = {one["chain"]["name"]: one["chain"] for one in rules if "chain" in one}
    chains = {name: one for name, one in chains.items() if one["table"] == "lab"}
    assert {name: chain["policy"] for name, chain in chains.items()} == {
        "input": "drop",
        "output": "drop",
    }
    assert {chain["family"] for chain in chains.values()} == {"inet"}  # IPv4 and IPv6
    text = engine.run(engine.interface(host), "nft list chain inet lab output")
    state = LabState.load(lab.name)
    outside = next(line for line in text.splitlines() if "ip daddr !=" in line)
    assert outside.endswith("drop")
    assert state.vpc_cidr in outside or state.internet_cidr in outside
    everything = next(line for line in text.splitlines() if line.strip().endswith("accept"))
    assert 'oif "lo"' in everything


def test_no_host_reaches_this_machine(host: Any, engine: Engine, gateways: list[str]) -> None:
    with listener() as (port, came):
        targets = [(address, port) for address in {*gateways, *own_addresses()} - {"127.0.0.1"}]
        answers = python_on(engine, host, connect_program(targets, 0.5))
        assert set(answers.values()) <= {"timed out", "unreachable"}, answers
        assert came == []
        # The listener does hear: from here the same addresses answer.
        for address in gateways:
            with socket.create_connection((address, port), timeout=2) as one:
                assert one.recv(1) == b"x"
    assert len(came) == len(gateways)


def test_no_host_asks_this_machine_for_names(
    host: Any, engine: Engine, gateways: list[str]
) -> None:
    docker = "127.0.0.11"  # its resolver within each host
    targets = [(address, 53) for address in [*gateways, docker]]
    assert python_on(engine, host, ASK_UDP.replace("TARGETS", repr(targets))) == []
    with udp_echo() as port:
        program = ASK_UDP.replace("TARGETS", repr([(address, port) for address in gateways]))
        assert python_on(engine, host, program) == []
        here: dict[str, Any] = {}
        exec(program.replace("print(json.dumps(answered))", ""), here)  # it does answer us
        assert here["answered"] == gateways


def test_no_host_reaches_this_machine_by_ipv6(
    host: Any, engine: Engine, gateways: list[str]
) -> None:
    bridges = {
        name: [one.address for one in addresses]
        for name, addresses in psutil.net_if_addrs().items()
        if {one.address for one in addresses} & set(gateways)
    }
    links = [a.partition("%")[0] for found in bridges.values() for a in found if a[:4] == "fe80"]
    assert len(links) == len(gateways)
    names = engine.run(host, "ls /sys/class/net").split()
    with listener(socket.AF_INET6) as (port, came):
        targets = [(f"{link}%{name}", port) for link in links for name in names if name != "lo"]
        answers = python_on(engine, host, connect_program(targets, 1.0))
        assert set(answers.values()) <= {"timed out", "unreachable"}, answers
        assert came == []
        socket.create_connection(("::1", port), timeout=2).close()


@contextmanager
def udp_echo() -> Iterator[int]:
    """Answer each datagram that comes to this machine."""
    import threading

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("", 0))
        one.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    data, peer = one.recvfrom(512)
                    one.sendto(data, peer)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield one.getsockname()[1]
        finally:
            over.set()
            thread.join()
