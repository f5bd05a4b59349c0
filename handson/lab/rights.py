"""What a host of the lab may do on this machine, and what the lab's own helpers may.

A host's programs are the learner's to change, so none of them is ever executed with more
rights than the host has: firewalls are loaded and packets captured by helper containers of
the lab's own image, beside the host (capabilities(7)).
"""

from __future__ import annotations

from typing import Any

# As few as systemd, sshd and Postfix need.
HOST = {
    "AUDIT_WRITE": "sshd ends a login that it cannot report to the kernel's audit",
    "CHOWN": "installing packages, sasldb's owner, the mail queue",
    "DAC_OVERRIDE": "root of the host edits files of other users there",
    "FOWNER": "chmod on files of other users",
    "FSETID": "postdrop and postqueue keep their set-group-id bit when they are installed",
    "KILL": "systemd and Postfix's master end processes of other users",
    "NET_BIND_SERVICE": "ports 22, 25 and 587",
    "SETGID": "sshd and Postfix's services change to a user's group",
    "SETPCAP": "systemd takes rights away from a service that it starts",
    "SETUID": "sshd, sudo and Postfix's services change to a user",
    "SYS_CHROOT": "sshd before a login and Postfix's chrooted services",
}
# Owns the host's network: loads its firewall, and nothing else.
INTERFACE = {"NET_ADMIN": "nft and ip change this network, which the host itself cannot"}
CAPTURE = {
    "NET_RAW": "tcpdump reads the packets of this network",
    "SETGID": "tcpdump gives root up before it looks at the first packet",
    "SETUID": "the same",
}


def of(capabilities: dict[str, str]) -> dict[str, Any]:
    """Return the options that leave a container these capabilities and no others.

    >>> of(INTERFACE)
    {'cap_drop': ['ALL'], 'cap_add': ['NET_ADMIN']}
    """
    return {"cap_drop": ["ALL"], "cap_add": list(capabilities)}


# A helper runs programs of the lab's own image, on a file system that nobody can change.
HELPER: dict[str, Any] = {
    "read_only": True,
    "security_opt": ["no-new-privileges"],
    "stop_signal": "SIGKILL",
}


def control_groups(is_podman: bool, version: str) -> dict[str, Any]:
    """Return the options with which systemd has control groups, and nobody else's to write.

    Podman sees that systemd is to run, and does this by itself. Docker has to be told: with
    version 1 systemd needs the named tree alone, in which no resource is controlled; its
    release agent would be run by the machine's root (cgroups(7)). With version 2 only a tree
    of the host's own will do, which Docker gives since version 28.

    >>> control_groups(True, "2")
    {}
    """
    if is_podman:
        return {}
    if version == "2":
        return {"cgroupns": "private", "security_opt": ["writable-cgroups=true"]}
    tree = "/sys/fs/cgroup/systemd"
    return {
        "cgroupns": "host",
        "volumes": [f"{tree}:{tree}:rw", f"/dev/null:{tree}/release_agent:ro"],
    }
