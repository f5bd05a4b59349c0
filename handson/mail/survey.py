"""All that the diagnosis has to know of the server, read by one command.

One shell script prints a section for each fact; reading them one by one would take a
second where this takes a tenth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from handson.errors import HandsonError
from handson.hosts import script
from handson.hosts.host import Host
from handson.hosts.systems import System
from handson.mail.postfix import LOOPBACK, Service, find_submission, read_parameters, read_services
from handson.mail.postfix import read_sockets as _sockets
from handson.mail.sasl import read_configuration, read_users

# Folders in which a learner may have put smtpd.conf; each system reads one of them.
FOLDERS = ("/etc/sasl2", "/etc/postfix/sasl", "/usr/lib/sasl2", "/usr/lib64/sasl2")


@dataclass(frozen=True)
class Survey:
    """What was found on the server, section by section; each property reads one of them."""

    system: System
    sections: dict[str, str]

    @classmethod
    def take(cls, host: Host) -> Survey:
        """Look at the host. Nothing is changed by it."""
        system = host.system
        words = {
            "conf": system.smtpd_conf,
            "default": system.sasldb,
            "folders": " ".join(FOLDERS),
        }
        commands = script.assign(words) + script.read(__package__, "survey.sh")
        return cls.parse(system, host.probe("sudo -n sh -s", stdin=commands)[1])

    @classmethod
    def parse(cls, system: System, text: str) -> Survey:
        """Return the survey that the script printed.

        >>> from handson.hosts.systems import DEBIAN_12
        >>> Survey.parse(DEBIAN_12, "== users\\na@example.com: userPassword\\n").users
        ['a@example.com']
        """
        parts = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)
        return cls(
            system, dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
        )

    def lines(self, section: str) -> list[str]:
        return self.sections.get(section, "").splitlines()

    # -- Postfix -------------------------------------------------------------

    @cached_property
    def explicit(self) -> dict[str, str]:
        """What main.cf sets itself."""
        return read_parameters(self.sections.get("explicit", ""))

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services of master.cf; none when it cannot be read."""
        try:
            return read_services("" if self.services_error else self.sections.get("services", ""))
        except HandsonError:
            return {}

    @property
    def services_error(self) -> str:
        """Why Postfix cannot read master.cf, or ''. Values are then those of main.cf alone."""
        return next((line for line in self.lines("services") if "fatal: " in line), "")

    @property
    def submission(self) -> Service | None:
        """The service on port 587, by whatever name."""
        return find_submission(self.services)

    def main(self, name: str) -> str:
        """Return the value of a parameter in main.cf, or its default."""
        return self._known.get(name, "")

    @cached_property
    def _known(self) -> dict[str, str]:
        return {**read_parameters(self.sections.get("defaults", "")), **self.explicit}

    def value(self, name: str) -> str:
        """Return what the submission service goes by: its own `-o`, else what main.cf says."""
        own = self.submission.parameters if self.submission else {}
        known = self._known
        found = own.get(name, known.get(name, ""))
        # A value may name another parameter: $mua_client_restrictions, say.
        return re.sub(
            r"\$\{?(\w+)\}?", lambda hit: known.get(hit[1], own.get(hit[1], hit[0])), found
        )

    @property
    def warnings(self) -> list[str]:
        """What postconf warns of: parameters that nothing uses, entries that override others."""
        return [line.partition("warning: ")[2] for line in self.lines("warnings") if ":" in line]

    @cached_property
    def swallowed(self) -> dict[str, str]:
        """Parameters that begin with a space, so that they continue the line before: their lines.

        postconf(5): a line that starts with whitespace continues a logical line.
        """
        found: dict[str, str] = {}
        for line in self.lines("main"):
            number, _colon, text = line.partition(":")
            hit = re.match(r"\s+([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\s*=(?!=)", text)
            if hit:
                found[hit[1]] = f"/etc/postfix/main.cf:{number}: {text}"
        return found

    @property
    def mynetworks(self) -> list[str]:
        """The networks whose hosts need no login to relay."""
        return self.main("mynetworks").replace(",", " ").split()

    @property
    def is_chrooted(self) -> bool:
        """Return whether the submission service is locked into the queue's folder."""
        if self.submission is None:
            return False
        if self.submission.chroot != "-":
            return self.submission.chroot == "y"
        old = self.value("mail_version").startswith("2.")
        return old or self.value("compatibility_level") == "0"

    @property
    def is_running(self) -> bool:
        return self.sections.get("running") == "yes"

    @property
    def map_types(self) -> list[str]:
        return self.lines("types")

    @property
    def addresses(self) -> list[str]:
        """The IPv4 addresses of the host's own interfaces."""
        return self.lines("addresses")

    @property
    def ports(self) -> list[int]:
        """The ports on which the host listens over IPv4."""
        return sorted({port for _address, port in _sockets(self.sections.get("sockets", ""))})

    def sockets(self, port: int) -> list[str]:
        """Return the addresses at which something listens on that port."""
        return [
            address
            for address, found in _sockets(self.sections.get("sockets", ""))
            if found == port
        ]

    def is_open(self, port: int) -> bool:
        """Return whether other hosts find something at that port."""
        return any(not address.startswith(LOOPBACK) for address in self.sockets(port))

    # -- SASL ----------------------------------------------------------------

    @cached_property
    def configuration(self) -> dict[str, str]:
        """The settings of smtpd.conf; none when it is missing or cannot be read."""
        try:
            return read_configuration(self.sections.get("conf", ""))
        except HandsonError:
            return {}

    @property
    def configuration_error(self) -> str:
        """The line of smtpd.conf at which libsasl2 gives up, or ''."""
        try:
            read_configuration(self.sections.get("conf", ""))
        except HandsonError as error:
            return error.what
        return ""

    @property
    def places(self) -> list[str]:
        """Every smtpd.conf on the host, read or not."""
        return self.lines("places")

    @property
    def verifiers(self) -> list[str]:
        """Who is asked whether a password is right (`pwcheck_method`, by default auxprop)."""
        return self.configuration.get("pwcheck_method", "auxprop").split()

    @property
    def mechanisms(self) -> list[str]:
        """The mechanisms that smtpd.conf lists; none where it leaves the choice open."""
        return self.configuration.get("mech_list", "").upper().split()

    @property
    def database(self) -> str:
        """The path of the password database that smtpd opens."""
        return self.configuration.get("sasldb_path", self.system.sasldb)

    @property
    def database_mode(self) -> str:
        """Owner, group and mode, as 'root:postfix 640'; '' when there is no database."""
        return " ".join(self.sections.get("database", "").split()[:2])

    @property
    def database_format(self) -> str:
        """'Berkeley DB', 'GDBM', or '' for something else."""
        magic = self.sections.get("magic", "")
        # The magic numbers of file(1): Berkeley DB's at offset 12, GDBM's at 0.
        if magic[24:32] in ("61150600", "00061561", "62310500", "00053162"):
            return "Berkeley DB"
        return "GDBM" if re.match(r"(c[def]9a5713|13579ac[def])", magic) else ""

    @property
    def can_read_database(self) -> bool:
        """Return whether the user as whom smtpd runs may read the database (tried)."""
        return self.sections.get("reads") == "yes"

    @property
    def users(self) -> list[str]:
        return read_users(self.sections.get("users", ""))

    @property
    def clock(self) -> int:
        """The server's clock, in seconds since 1970."""
        return int(self.sections.get("now") or 0)

    @property
    def changed(self) -> dict[str, int]:
        """When main.cf and master.cf were last changed, in seconds since 1970."""
        pairs = (line.split() for line in self.lines("changed"))
        return {path: int(seconds) for path, seconds in pairs}

    @property
    def has_old_smtpd(self) -> bool:
        """Return whether an smtpd runs that began before smtpd.conf was last changed."""
        edited = self.sections.get("edited", "")
        return bool(edited) and any(int(age) > int(edited) for age in self.lines("ages"))
