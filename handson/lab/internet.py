"""A small Internet: the learner's own place, a resolver, and a mailbox for everybody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from handson.errors import LabError
from handson.i18n import _
from handson.lab import network
from handson.lab.container import File, is_whole
from handson.lab.engine import Engine
from handson.lab.firewall import EVERYTHING, OPEN, FirewallRule, Policy, render
from handson.polling import patience

HOSTS = ("pc", "mailbox", "resolver")
NETWORK = "internet"
OUTSIDE = "outside"
# The network of the course's VPC: there from the beginning, so that nobody else takes it.
VPC = "vpc"
LOGIN_UID = 48221  # as in image/setup.sh
AUTHORIZED_KEYS = "/home/admin/.ssh/authorized_keys"
REMOTE = files("handson.lab") / "remote"


@dataclass(frozen=True)
class Internet:
    """What the hosts of the lab's Internet are made from; addresses are CIDRs."""

    image: str
    cidr: str
    vpc_cidr: str
    public_key: str

    def restore(self, engine: Engine) -> list[str]:
        """Make or start the hosts that do not run, all at once; return which those were.

        Each does its work when this returns. Raises LabError.
        """
        jobs = {"resolver": self._resolver, "pc": self._pc, "mailbox": self._mailbox}
        there = {host.labels["handson.host"]: host for host in engine.hosts()}
        interfaces = engine.interfaces()
        idle = [name for name in jobs if not is_whole(there.get(name), interfaces.get(name))]
        with ThreadPoolExecutor() as pool:
            for future in [pool.submit(jobs[name], engine, there.get(name)) for name in idle]:
                future.result()
        return idle

    def _resolver(self, engine: Engine, host: Any | None) -> None:
        dnsmasq = [
            "dnsmasq",
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            # Every name is the mailbox host's, and there is nothing else about any name.
            f"--address=/#/{network.address(self.cidr, network.MAILBOX)}",
            "--local=/#/",
            f"--synth-domain=compute.internal,{self.vpc_cidr},ip-",
        ]
        places = [
            (engine.full(NETWORK), network.address(self.cidr, network.RESOLVER)),
            (engine.full(VPC), network.address(self.vpc_cidr, network.VPC_RESOLVER)),
        ]
        self._have(engine, host, "resolver", places, command=dnsmasq)

    def _pc(self, engine: Engine, host: Any | None) -> None:
        # Only an ordinary network can publish a port; what it could lead to is closed.
        places = [
            (engine.full(OUTSIDE), ""),
            (engine.full(NETWORK), network.address(self.cidr, network.PC)),
        ]
        # In the network that publishes its port the machine is a neighbour: there, ssh alone.
        neighbours = FirewallRule("-1", None, None, (self.cidr, self.vpc_cidr))
        ssh = FirewallRule("tcp", 22, 22, ("0.0.0.0/0",))
        policy = Policy((neighbours, ssh), EVERYTHING)
        host = self._have(engine, host, "pc", places, policy, files=[self._key], publish=22)
        self._settle(engine, host)

    def _mailbox(self, engine: Engine, host: Any | None) -> None:
        places = [(engine.full(NETWORK), network.address(self.cidr, network.MAILBOX))]
        host = self._have(engine, host, "mailbox", places, files=[self._key])
        self._settle(engine, host)
        engine.run(host, (REMOTE / "mailbox.sh").read_text("utf-8"))

    def _have(
        self,
        engine: Engine,
        host: Any | None,
        name: str,
        places: list[tuple[str, str]],
        policy: Policy = OPEN,
        **more: Any,
    ) -> Any:
        """Start a host, or make it where there is none or its interface is gone."""
        # Within the lab these hosts talk to everybody, and to nobody else.
        rules = render(policy, [self.cidr, self.vpc_cidr])
        if host is not None and name in engine.interfaces():
            engine.start_host(host, rules)
            return host
        engine.remove_host(name)
        return engine.create_host(name, self.image, places, rules, **more)

    def _settle(self, engine: Engine, host: Any) -> None:
        use_resolver(engine, host, network.address(self.cidr, network.RESOLVER))
        wait_for_ssh(engine, host)

    @property
    def _key(self) -> File:
        return File(AUTHORIZED_KEYS, self.public_key + "\n", 0o600, LOGIN_UID)


def use_resolver(engine: Engine, host: Any, address: str) -> None:
    # Written in place: the engine has mounted a file of its own there.
    engine.run(host, f"printf 'nameserver {address}\\noptions timeout:2\\n' > /etc/resolv.conf")


def wait_for_ssh(engine: Engine, host: Any) -> None:
    """Wait until sshd has its host keys and listens."""
    engine.run(host, (REMOTE / "wait_for_ssh.sh").read_text("utf-8"), timeout=60)


def host_keys(engine: Engine, host: Any) -> list[str]:
    """Return the host's public keys, a line each, as seen from outside over the engine.

    Raises LabError when there are not two, as each host has: what is pinned has to be whole.
    """
    keys: list[str] = []
    # On a busy machine an engine may lose what a command printed: then it is asked again.
    for _gone in patience(20, first=0.1):
        text = engine.run(host, "cat /etc/ssh/ssh_host_*_key.pub")
        keys = [" ".join(line.split()[:2]) for line in text.splitlines() if line.strip()]
        if len(keys) == 2:
            return keys
    raise LabError(
        _("The SSH host keys of {host} cannot be read: {count} of 2.").format(
            host=host.name, count=len(keys)
        ),
        _("Run `handson down`, then `handson up`."),
    )


def published_port(engine: Engine, host: Any) -> int:
    """Return the port on 127.0.0.1 behind which the host's ssh port lies."""
    interface = engine.interface(host)
    for _gone in patience(60, 0.05, 0.5):
        interface.reload()
        if bindings := interface.ports.get("22/tcp"):
            return int(bindings[0]["HostPort"])
    raise LabError(
        _("The engine published no port for {host}.").format(host=host.name),
        _("Run `handson down`, then `handson up`."),
    )
