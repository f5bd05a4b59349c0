"""What was there before a step: recorded on the host itself, so that any later kernel finds it.

Taken when a step is begun, and once when the hosts are made ('start'). A dated backup tells
how one file was; this tells the rest: which packages there were, who owned sasldb, what
main.cf said when 06_mailx_test began.
"""

from __future__ import annotations

from handson.hosts import script
from handson.hosts.host import Host

FOLDER = "/var/lib/smtp-handson/before"
START = "start"


def take(host: Host, *names: str) -> None:
    """Record what is there on a host under these names; a record that is there is kept."""
    system = host.system
    files = ("/etc/postfix/main.cf", "/etc/postfix/master.cf", system.smtpd_conf)
    known = {
        "names": " ".join(names),
        "files": " ".join(files),
        "database": system.sasldb,
        "folder": FOLDER,
    }
    script.run(host, script.read(__package__, "record.sh"), known)


def settle(host: Host) -> None:
    """Let a package manager that is at work come to its end, and complete what broke off."""
    script.run(host, script.read(__package__, "settle.sh"), {})


def forget(host: Host, slug: str) -> None:
    """Remove what was recorded before a step."""
    host.read("sudo -n rm -rf {folder}", folder=f"{FOLDER}/{slug}")


def has(host: Host, name: str, file: str = "") -> bool:
    """Return whether there is a record of that name, and that file in it."""
    return bool(host.facts.file(f"{FOLDER}/{name}/{file}").exists)


def added(host: Host, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of these packages that are there now and were not at the start."""
    if not has(host, START):
        return ()
    old = host.facts.text(f"{FOLDER}/{START}/packages").split()
    return tuple(n for n in names if n not in old and host.facts.package(n).is_installed)
