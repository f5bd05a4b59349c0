"""What Postfix is set to and what it does, read with its own tools."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from handson.cloud.security_groups import covers
from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.i18n import _

MAIN_CF, MASTER_CF = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
RELOAD = "sudo postfix reload 2>/dev/null || sudo systemctl restart postfix"
LOOPBACK = ("127.", "[::1]", "[::ffff:127.")


@dataclass(frozen=True)
class Service:
    """One service of master.cf (master(5)); a column that is not set reads '-'.

    `parameters` are what its own `-o` options set.
    """

    name: str
    type: str
    private: str
    unpriv: str
    chroot: str
    wakeup: str
    maxproc: str
    command: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The service's name and type, as postconf(1) writes them: 'submission/inet'."""
        return f"{self.name}/{self.type}"


def read_parameters(text: str) -> dict[str, str]:
    """Return what `postconf -n` printed as a dictionary.

    >>> read_parameters("mynetworks = 127.0.0.0/8\\nrelayhost =")
    {'mynetworks': '127.0.0.0/8', 'relayhost': ''}
    """
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _equals, value in pairs}


def read_services(text: str) -> dict[str, Service]:
    """Return what `postconf -M` printed, each service by its name and type.

    >>> line = "submission inet n - n - - smtpd -o syslog_name=postfix/submission"
    >>> read_services(line)["submission/inet"].parameters
    {'syslog_name': 'postfix/submission'}
    """
    services = {}
    for line in _logical_lines(text):
        columns = line.split(None, 7)
        if len(columns) < 8:
            raise HandsonError(
                _("This line of master.cf has fewer than eight columns: {line}").format(line=line),
                _("Start an option line with spaces, and fill every column, if only with “-”."),
            )
        command, _blank, rest = columns[7].partition(" ")
        name, kind, private, unpriv, chroot, wakeup, maxproc = columns[:7]
        service = Service(
            name, kind, private, unpriv, chroot, wakeup, maxproc, command, _options(rest)
        )
        services[service.key] = service
    return services


# The names that /etc/services has for the ports of the course.
NAMES = {25: ("smtp",), 587: ("submission",), 465: ("submissions", "smtps", "urd")}


def find_service(services: Mapping[str, Service], port: int) -> Service | None:
    """Return the service on a TCP port of the course, by whatever name master.cf gives it.

    >>> line = "10.87.2.44:587 inet n - n - - smtpd"
    >>> find_service(read_services(line), 587).key
    '10.87.2.44:587/inet'
    """
    for service in services.values():
        name = service.name.rpartition(":")[2]
        if service.type in ("inet", "pass") and name in (*NAMES[port], str(port)):
            return service
    return None


def find_submission(services: Mapping[str, Service]) -> Service | None:
    """Return the service on TCP port 587."""
    return find_service(services, 587)


def _logical_lines(text: str) -> list[str]:
    # `postconf -M` without -f prints a service on one line; a master.cf itself, and
    # `postconf -Mf`, go on in lines that start with a space.
    lines: list[str] = []
    for line in without_warnings(text).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines


def _options(text: str) -> dict[str, str]:
    # Postfix 3 also knows `-o { name = value with spaces }`.
    found = re.findall(r"(?:^|\s)-o\s+(?:\{\s*(.*?)\s*\}(?=\s+-|\s*$)|(\S+))", text)
    pairs = ((braced or plain).partition("=") for braced, plain in found)
    return {name.strip(): value.strip() for name, _equals, value in pairs}


def without_warnings(text: str) -> str:
    """Return what postconf(1) printed without its warnings, which come with every call.

    >>> without_warnings("/usr/sbin/postconf: warning: unused parameter: x=y\\nyes")
    'yes'
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not re.match(r"\S*postconf: warning: ", line))


def trusts(networks: Iterable[str], address: str) -> bool:
    """Return whether a list such as mynetworks holds an address; the first entry that fits decides.

    https://www.postfix.org/postconf.5.html#mynetworks

    >>> trusts(["!10.87.3.20", "10.87.0.0/16"], "10.87.3.20")
    False
    """
    for network in networks:
        if covers(network.removeprefix("!"), address):
            return not network.startswith("!")
    return False


def read_sockets(text: str) -> list[tuple[str, int]]:
    """Return address and port of every listening socket that `ss -nlt` printed.

    >>> read_sockets("LISTEN 0 100 127.0.0.1:25 0.0.0.0:*")
    [('127.0.0.1', 25)]
    """
    sockets = []
    for line in text.splitlines():
        columns = line.split()
        if len(columns) >= 4 and columns[0] == "LISTEN":
            address, _colon, port = columns[3].rpartition(":")
            sockets.append((address, int(port)))
    return sockets


class Postfix:
    """Postfix on one host. Everything is read anew at each call; nothing is changed.

    postconf(1), postfix(1), ss(8). `sudo` because Debian keeps postconf out of the path of
    ordinary users.
    """

    def __init__(self, runner: Host) -> None:
        self._runner = runner

    def parameter(self, name: str) -> str:
        """Return the value of a parameter of main.cf, or its default."""
        return without_warnings(self._runner.read("sudo -n postconf -h {name}", name=name)).strip()

    def explicit(self) -> dict[str, str]:
        """Return the parameters that main.cf sets itself."""
        return read_parameters(self._runner.read("sudo -n postconf -n"))

    def services(self) -> dict[str, Service]:
        """Return the services of master.cf, by 'name/type'.

        The options come out of the same listing, for `postconf -P` is newer (Postfix 2.11)
        than the oldest Postfix of the course (2.10).
        """
        return read_services(self._runner.read("sudo -n postconf -M"))

    def service_parameter(self, service: str, name: str) -> str:
        """Return the value that a service goes by: its own `-o`, else the one of main.cf."""
        found = self.services().get(service)
        if found and name in found.parameters:
            return found.parameters[name]
        return self.parameter(name)

    def is_chrooted(self, service: str) -> bool:
        """Return whether a service of master.cf is locked into the queue's folder."""
        column = self.services()[service].chroot
        if column != "-":
            return column == "y"
        # The default turned with Postfix 3.0 (master(5)), except in its backwards
        # compatibility mode, which is that of level 0.
        if int(self.version.split(".")[0]) < 3:
            return True
        return self.parameter("compatibility_level") == "0"

    @property
    def version(self) -> str:
        """The version of Postfix, such as '3.7.11'."""
        return self.parameter("mail_version")

    @property
    def is_running(self) -> bool:
        """Return whether the master process runs.

        Asked of Postfix itself: Debian's unit `postfix.service` stays active without it.
        """
        return self._runner.probe("sudo -n postfix status")[0] == 0

    def sockets(self) -> list[tuple[str, int]]:
        """Return address and port of every IPv4 socket on which the host listens."""
        return read_sockets(self._runner.read("ss -nlt4"))

    def is_listening(self, port: int) -> bool:
        """Return whether other hosts find something at this port: loopback does not count."""
        return any(
            found == port and not address.startswith(LOOPBACK) for address, found in self.sockets()
        )

    @property
    def mynetworks(self) -> list[str]:
        """The networks whose hosts need no login to relay."""
        return shlex.split(self.parameter("mynetworks").replace(",", " "))
