"""The lab's addresses: which networks are free on this machine, and who has which address."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from handson.errors import LabError
from handson.i18n import _

# Reserved for documentation (RFC 5737) and for tests of network devices (RFC 2544): no
# host on the real Internet has such an address, so nothing is ever mistaken for one. The
# last is the one that machines built for demonstration tend to use themselves.
INTERNETS = ["198.51.100.0/24", *[f"198.18.{number}.0/24" for number in range(32)]]
INTERNETS += ["203.0.113.0/24"]
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")  # RFC 1918
# 10.88.0.0/16 is Podman's own.
VPCS = [f"10.{number}.0.0/16" for number in (87, 89, *range(91, 120))]
VPCS += [f"172.{number}.0.0/16" for number in range(20, 32)]


def taken() -> list[str]:
    """Return the IPv4 networks and addresses that this machine needs for itself.

    These are the networks of its interfaces and routes, its resolvers, and what
    /etc/hosts names: a lab there would come between the machine and them.
    """
    found = []
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and one.netmask:
                found.append(str(ipaddress.IPv4Interface(f"{one.address}/{one.netmask}").network))
    found += routes(_read("/proc/net/route"))
    return found + named(_read("/etc/hosts")) + named(_read("/etc/resolv.conf"))


def routes(table: str) -> list[str]:
    """Return the networks in a table of routes as in /proc/net/route, save the default.

    >>> routes("Iface Destination Gateway Flags RefCnt Use Metric Mask\\n"
    ...        "tun0 0000570A 01C0A8C0 0003 0 0 0 0000FFFF")
    ['10.87.0.0/16']
    """
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        # Each is a number of 32 bits in hexadecimal, in the byte order of the machine.
        address, mask = (int(word, 16).to_bytes(4, sys.byteorder) for word in (words[1], words[7]))
        if any(mask):
            one = f"{ipaddress.IPv4Address(address)}/{ipaddress.IPv4Address(mask)}"
            found.append(str(ipaddress.IPv4Network(one, strict=False)))
    return found


def named(text: str) -> list[str]:
    """Return the IPv4 addresses that stand as words of their own in a file's text.

    >>> named("nameserver 192.0.2.53\\nsearch example.com")
    ['192.0.2.53/32']
    """
    found = []
    for word in text.split():
        with contextlib.suppress(ValueError):
            found.append(str(ipaddress.IPv4Network(word)))
    return found


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


def free(candidates: Iterable[str], used: Iterable[str]) -> Iterator[str]:
    """Yield the candidates that overlap with no used network.

    >>> list(free(["10.0.0.0/24", "10.0.1.0/24"], ["10.0.0.0/25"]))
    ['10.0.1.0/24']
    """
    others = [ipaddress.IPv4Network(cidr) for cidr in used]
    for cidr in candidates:
        if not any(ipaddress.IPv4Network(cidr).overlaps(other) for other in others):
            yield cidr


def why_not(cidr: str) -> str:
    """Return why the lab must not make a network of that block on this machine, or ''.

    What the machine sends to such addresses would end in the lab. AWS has no such reason:
    there a VPC comes between nobody and the Internet.

    >>> why_not("8.8.8.0/24")
    '8.8.8.0/24 belongs to the Internet: choose a private block, as in 10.50.0.0/16'
    """
    block = ipaddress.IPv4Network(cidr)
    if not any(block.subnet_of(ipaddress.IPv4Network(private)) for private in PRIVATE):
        return _(
            "{cidr} belongs to the Internet: choose a private block, as in 10.50.0.0/16"
        ).format(cidr=cidr)
    if not list(free([cidr], taken())):
        return _("{cidr} holds addresses that this machine uses: choose another block").format(
            cidr=cidr
        )
    return ""


def none_is_free() -> LabError:
    return LabError(
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
