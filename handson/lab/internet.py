"""A small Internet: the learner's own place, a resolver, and a mailbox for everybody."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from handson.errors import LabError
from handson.i18n import _
from handson.lab import network
from handson.lab.engine import Engine, File
from handson.lab.firewall import OPEN, render

NETWORK = "internet"
OUTSIDE = "outside"
LOGIN_UID = 1000
AUTHORIZED_KEYS = "/home/admin/.ssh/authorized_keys"

# Accepts mail for any address of any domain into one Maildir, each mail marked with the
# address it came for (virtual(8) refuses to make up folders from addresses).
MAILBOX_SETUP = r"""
install -d -o admin -g admin /srv/mail
postconf -e 'myhostname = mailbox.lab' 'mydestination =' 'inet_interfaces = all' \
  'inet_protocols = ipv4' 'virtual_mailbox_domains = static:all' \
  'virtual_mailbox_base = /srv/mail' \
  'virtual_mailbox_maps = static:received/' \
  'virtual_uid_maps = static:1000' 'virtual_gid_maps = static:1000'
systemctl restart postfix
until ss -Hlnt | grep -q ':25 '; do sleep 0.05; done
"""


def start(engine: Engine, image: str, cidr: str, vpc_cidr: str, public_key: str) -> None:
    """Start the hosts of the Internet, all at once, and wait until each does its work."""
    inside = [cidr, vpc_cidr]
    internet = f"{engine.name}-{NETWORK}"
    key = File(AUTHORIZED_KEYS, public_key + "\n", 0o600, LOGIN_UID)
    resolver_ip = network.address(cidr, network.RESOLVER)
    mailbox_ip = network.address(cidr, network.MAILBOX)

    def resolver() -> None:
        dnsmasq = [
            "dnsmasq",
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            # Every name is the mailbox host's, and there is nothing else about any name.
            f"--address=/#/{mailbox_ip}",
            "--local=/#/",
            f"--synth-domain=compute.internal,{vpc_cidr},ip-",
        ]
        host = engine.create_host("resolver", image, [(internet, resolver_ip)], command=dnsmasq)
        shut(engine, host, inside)

    def pc() -> None:
        host = engine.create_host(
            "pc",
            image,
            # Only an ordinary network can publish a port; what it could lead to is shut.
            [(f"{engine.name}-{OUTSIDE}", ""), (internet, network.address(cidr, network.PC))],
            files=[key],
            publish=22,
        )
        shut(engine, host, inside)
        # Nothing may be looked up or reached by way of the machine that the lab runs on.
        engine.run(host, "while ip route del default 2>/dev/null; do :; done", privileged=True)
        use_resolver(engine, host, resolver_ip)
        wait_for_ssh(engine, host)

    def mailbox() -> None:
        host = engine.create_host("mailbox", image, [(internet, mailbox_ip)], files=[key])
        shut(engine, host, inside)
        use_resolver(engine, host, resolver_ip)
        wait_for_ssh(engine, host)
        engine.run(host, MAILBOX_SETUP)

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(job) for job in (resolver, pc, mailbox)]:
            future.result()


def authorize(engine: Engine, public_key: str) -> None:
    """Let the holder of this key, and nobody else, into the learner's place and the mailbox."""
    for name in ("pc", "mailbox"):
        if host := engine.host(name):
            engine.put(host, [File(AUTHORIZED_KEYS, public_key + "\n", 0o600, LOGIN_UID)])


def shut(engine: Engine, host: Any, inside: list[str]) -> None:
    """Let a host talk within the lab and to nobody else."""
    load(engine, host, render(OPEN, inside))


def load(engine: Engine, host: Any, rules: str) -> None:
    """Load nftables text into a host's network; the host is stopped if that fails."""
    try:
        engine.run(host, f"nft -f - <<'RULES'\n{rules}RULES\n", privileged=True)
    except LabError:
        host.stop(timeout=3)  # better no host than one without its security group
        raise


def use_resolver(engine: Engine, host: Any, address: str) -> None:
    # Written in place: the engine has mounted a file of its own there.
    engine.run(host, f"printf 'nameserver {address}\\noptions timeout:2\\n' > /etc/resolv.conf")


# What is the matter with a host that does not get there stands in its journal.
WAIT_FOR_SSH = """
end=$(($(date +%s) + 50))
until [ -s /etc/ssh/ssh_host_ecdsa_key.pub ] && ss -Hlnt | grep -q ':22 '; do
    if [ $(date +%s) -gt $end ]; then
        echo "$(systemctl is-system-running), $(systemctl list-jobs --no-legend | wc -l) jobs"
        journalctl -b -n 4 --no-pager
        exit 1
    fi
    sleep 0.05
done
"""


def wait_for_ssh(engine: Engine, host: Any) -> None:
    """Wait until sshd has its host keys and listens."""
    engine.run(host, WAIT_FOR_SSH, timeout=60)


def host_keys(engine: Engine, host: Any) -> list[str]:
    """Return the host's public keys, a line each, as seen from outside over the engine."""
    text = engine.run(host, "cat /etc/ssh/ssh_host_*_key.pub")
    return [" ".join(line.split()[:2]) for line in text.splitlines() if line.strip()]


def published_port(host: Any) -> int:
    """Return the port on 127.0.0.1 behind which the host's ssh port lies."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        host.reload()
        if bindings := host.ports.get("22/tcp"):
            return int(bindings[0]["HostPort"])
        time.sleep(0.05)
    raise LabError(
        _("The engine published no port for {host}.").format(host=host.name),
        _("Run `handson down`, then `handson up`."),
    )
