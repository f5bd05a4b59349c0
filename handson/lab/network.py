"""The lab's addresses: which networks are free on this machine, and who has which address."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator

import psutil

from handson.errors import LabError
from handson.i18n import _

# Reserved for documentation (RFC 5737) and for tests of network devices (RFC 2544): no
# real host has such an address, so nothing is ever mistaken for one.
INTERNETS = ["203.0.113.0/24", "198.51.100.0/24"]
INTERNETS += [f"198.18.{number}.0/24" for number in range(32)]
# 10.88.0.0/16 is Podman's own.
VPCS = [f"10.{number}.0.0/16" for number in (87, 89, *range(91, 120))]


def taken() -> list[str]:
    """Return the IPv4 networks that this machine's own interfaces are in."""
    found = []
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and one.netmask:
                found.append(str(ipaddress.IPv4Interface(f"{one.address}/{one.netmask}").network))
    return found


def free(candidates: Iterable[str], used: Iterable[str]) -> Iterator[str]:
    """Yield the candidates that overlap with no used network.

    >>> list(free(["10.0.0.0/24", "10.0.1.0/24"], ["10.0.0.0/25"]))
    ['10.0.1.0/24']
    """
    others = [ipaddress.IPv4Network(cidr) for cidr in used]
    for cidr in candidates:
        if not any(ipaddress.IPv4Network(cidr).overlaps(other) for other in others):
            yield cidr


def first_free(candidates: Iterable[str], used: Iterable[str]) -> str:
    """Return the first candidate that is free; raise LabError when none is."""
    for cidr in free(candidates, used):
        return cidr
    raise LabError(
        _("Every network that the lab could use is taken on this machine."),
        _("Take another lab down (handson down --name NAME), then try again."),
    )


def address(cidr: str, number: int) -> str:
    """Return the address with that number in a network.

    >>> address("203.0.113.0/24", 5)
    '203.0.113.5'
    """
    return str(ipaddress.IPv4Network(cidr).network_address + number)


# Numbers of the hosts on the lab's Internet.
PC, MAILBOX, RESOLVER = 5, 25, 53
FIRST_PUBLIC, LAST_PUBLIC = 100, 250
# Amazon's resolver is always the second address of a VPC.
VPC_RESOLVER = 2
