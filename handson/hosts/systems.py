"""What differs between the operating systems of the hosts, in one table.

A notebook says `sudo {install} {sasl_packages}`; the host's own `/etc/os-release` decides
what stands in the braces.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from handson.errors import HandsonError
from handson.i18n import _

Words = str | tuple[str, ...]


@dataclass(frozen=True)
class System:
    """An operating system as the course meets it; every difference is a field of it.

    `release` is its ID and VERSION_ID in os-release, `codename` what a derivative names that
    is made of it. `plain_package` carries the PLAIN mechanism; `smtpd_conf` is where libsasl2
    reads Postfix's settings, `ignored_folder` where it does not and the tutorials of others
    put them. `sasldb_format` is the library that writes the database ('Berkeley DB' or
    'GDBM'), `log_file` the path of the mail log (empty: the log is in the journal only),
    `mail_dialect` the family of the mail client ('heirloom' or 's-nail'). `chroots_smtpd`
    tells whether master.cf comes with a chroot for smtpd.
    """

    id: str
    name: str
    release: tuple[str, str]
    install: tuple[str, ...]
    remove: tuple[str, ...]
    sasl_packages: tuple[str, ...]
    plain_package: str
    mail_packages: tuple[str, ...]
    smtpd_conf: str
    ignored_folder: str
    sasldb: str
    sasldb_format: str
    chroots_smtpd: bool
    log_file: str
    mail_command: str
    mail_dialect: str
    codename: str = ""
    python: str = "python3"

    def is_named_by(self, fields: Mapping[str, str]) -> bool:
        """Return whether an os-release file (its fields) is this system's, or a derivative's."""
        id, version = self.release
        if fields.get("ID") == id:
            return f"{fields.get('VERSION_ID', '')}.".startswith(f"{version}.")
        # A derivative counts its versions as it likes; only the code name tells its origin.
        codename = fields.get(f"{id.upper()}_CODENAME") or fields.get("VERSION_CODENAME")
        is_derived = id in fields.get("ID_LIKE", "").split()
        return is_derived and bool(self.codename) and codename == self.codename

    @property
    def log_command(self) -> tuple[str, ...]:
        """The words of the command that prints the mail log.

        >>> DEBIAN_12.log_command
        ('sudo', 'cat', '/var/log/mail.log')
        """
        if self.log_file:
            return ("sudo", "cat", self.log_file)
        # By the facility mail: what `postfix start` begins in a session is not in the service.
        return ("sudo", "journalctl", "SYSLOG_FACILITY=2", "--no-pager", "-o", "short-iso")

    @property
    def log_source(self) -> str:
        """Where the mail log is, in words for a sentence."""
        return self.log_file or _("the journal")

    def names(self) -> dict[str, Words]:
        """Return the words that a notebook's command may use in braces.

        A tuple stands for several words, each of which is quoted for the shell by itself.

        >>> DEBIAN_12.names()["sasl_packages"]
        ('sasl2-bin', 'libsasl2-modules')
        """
        return {
            "install": self.install,
            "remove": self.remove,
            "sasl_packages": self.sasl_packages,
            "mail_packages": self.mail_packages,
            "smtpd_conf": self.smtpd_conf,
            "sasldb": self.sasldb,
            "mail": self.mail_command,
            "log": self.log_command,
            "python": self.python,
        }


AMAZON_LINUX_2023 = System(
    id="al2023",
    name="Amazon Linux 2023",
    release=("amzn", "2023"),
    install=("dnf", "install", "-y"),
    remove=("dnf", "remove", "-y"),
    sasl_packages=("cyrus-sasl", "cyrus-sasl-lib", "cyrus-sasl-plain"),
    plain_package="cyrus-sasl-plain",
    mail_packages=("mailx",),
    smtpd_conf="/etc/sasl2/smtpd.conf",
    ignored_folder="/etc/postfix/sasl",
    sasldb="/etc/sasl2/sasldb2",
    sasldb_format="GDBM",
    chroots_smtpd=False,
    log_file="",
    # Both packages that this system has, mailx and s-nail, install a `mailx`.
    mail_command="mailx",
    mail_dialect="heirloom",
)

DEBIAN_12 = System(
    id="debian12",
    name="Debian 12",
    release=("debian", "12"),
    # Without the variable debconf tells six lines a package about frontends it cannot use
    # where there is no terminal; sudo takes an assignment before its command. -q leaves
    # out the percentages.
    install=("DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q"),
    # What came with a package as its need goes with it, and so does /etc/sasldb2.
    remove=("DEBIAN_FRONTEND=noninteractive", "apt-get", "purge", "-y", "-q", "--auto-remove"),
    sasl_packages=("sasl2-bin", "libsasl2-modules"),
    plain_package="libsasl2-modules",
    mail_packages=("s-nail",),
    smtpd_conf="/etc/postfix/sasl/smtpd.conf",
    ignored_folder="/etc/sasl2",
    sasldb="/etc/sasldb2",
    sasldb_format="Berkeley DB",
    chroots_smtpd=True,
    log_file="/var/log/mail.log",
    mail_command="s-nail",
    mail_dialect="s-nail",
    codename="bookworm",
)

# As Debian in all that the course touches; its Postfix is 3.8.
UBUNTU_2404 = replace(
    DEBIAN_12,
    id="ubuntu2404",
    name="Ubuntu 24.04",
    release=("ubuntu", "24.04"),
    codename="noble",
)

SYSTEMS = (
    AMAZON_LINUX_2023,
    DEBIAN_12,
    UBUNTU_2404,
)


def anywhere(system: System) -> bool:
    """Say yes to every system: what is the same on all of them."""
    return True


def read_os_release(text: str) -> dict[str, str]:
    """Return the fields of an os-release file (os-release(5)).

    >>> read_os_release('ID="amzn"\\nVERSION_ID="2023"\\n# a comment')
    {'ID': 'amzn', 'VERSION_ID': '2023'}
    """
    fields = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # a quotation mark without its partner
            continue
        fields[key] = words[0] if words else ""
    return fields


def identify(os_release: str) -> System:
    """Return the system whose `/etc/os-release` this is; raise HandsonError for a stranger.

    A derivative that says it is made of one (of Debian 12, say) is taken for that one.

    >>> identify('ID=debian\\nVERSION_ID="12"').name
    'Debian 12'
    """
    fields = read_os_release(os_release)
    for system in SYSTEMS:
        if system.is_named_by(fields):
            return system
    raise HandsonError(
        _("This course does not know the system “{name}”.").format(
            name=fields.get("PRETTY_NAME") or fields.get("ID") or _("without a name")
        ),
        _("Use a host with one of: {systems}.").format(
            systems=", ".join(system.name for system in SYSTEMS)
        ),
    )
