"""What differs between the operating systems of the hosts, in one table.

A notebook says `sudo {install} {sasl_packages}`; the host's own `/etc/os-release` decides
what stands in the braces.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from handson.errors import HandsonError
from handson.i18n import _

Words = str | tuple[str, ...]


@dataclass(frozen=True)
class System:
    """An operating system as the course meets it.

    `release` is what its `/etc/os-release` says: ID, and VERSION_ID as a whole or up to its
    first dot.
    `sasldb_format` is the library that writes the database ('Berkeley DB' or 'GDBM'),
    `smtpd_chroot` the chroot column that the system's master.cf gives to smtpd ('y' or
    'n'), `log_file` the path of the mail log (empty: the log is in the journal only),
    `mail_dialect` the family of the mail client ('heirloom' or 's-nail'), `mailrc_lines`
    what `~/.mailrc` needs beside the login so that the client waits for the server's answer.
    """

    id: str
    name: str
    release: tuple[str, str]
    login_user: str
    install: tuple[str, ...]
    remove: tuple[str, ...]
    sasl_packages: tuple[str, ...]
    mail_packages: tuple[str, ...]
    smtpd_conf: str
    sasldb: str
    sasldb_format: str
    smtpd_chroot: str
    log_file: str
    mail_command: str
    mail_dialect: str
    mailrc_lines: tuple[str, ...]
    python: str = "python3"

    @property
    def log_command(self) -> tuple[str, ...]:
        """The words of the command that prints the mail log.

        >>> DEBIAN_12.log_command
        ('sudo', 'cat', '/var/log/mail.log')
        """
        if self.log_file:
            return ("sudo", "cat", self.log_file)
        return ("sudo", "journalctl", "-u", "postfix", "--no-pager", "-o", "short-iso")

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


AMAZON_LINUX_2 = System(
    id="al2",
    name="Amazon Linux 2",
    release=("amzn", "2"),
    login_user="ec2-user",
    install=("yum", "install", "-y"),
    remove=("yum", "remove", "-y"),
    sasl_packages=("cyrus-sasl", "cyrus-sasl-lib", "cyrus-sasl-plain"),
    mail_packages=("mailx",),
    smtpd_conf="/etc/sasl2/smtpd.conf",
    sasldb="/etc/sasldb2",
    sasldb_format="Berkeley DB",
    smtpd_chroot="n",
    log_file="/var/log/maillog",
    mail_command="mail",
    mail_dialect="heirloom",
    mailrc_lines=("set sendwait",),
)

AMAZON_LINUX_2023 = System(
    id="al2023",
    name="Amazon Linux 2023",
    release=("amzn", "2023"),
    login_user="ec2-user",
    install=("dnf", "install", "-y"),
    remove=("dnf", "remove", "-y"),
    sasl_packages=("cyrus-sasl", "cyrus-sasl-lib", "cyrus-sasl-plain"),
    mail_packages=("mailx",),
    smtpd_conf="/etc/sasl2/smtpd.conf",
    sasldb="/etc/sasl2/sasldb2",
    sasldb_format="GDBM",
    smtpd_chroot="n",
    log_file="",
    # Both packages that this system has, mailx and s-nail, install a `mailx`.
    mail_command="mailx",
    mail_dialect="heirloom",
    mailrc_lines=("set sendwait",),
)

DEBIAN_12 = System(
    id="debian12",
    name="Debian 12",
    release=("debian", "12"),
    login_user="admin",
    # Without the variable debconf tells six lines a package about frontends it cannot use
    # where there is no terminal; sudo takes an assignment before its command. -q leaves
    # out the percentages.
    install=("DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q"),
    # What came with a package as its need goes with it, and so does /etc/sasldb2.
    remove=("DEBIAN_FRONTEND=noninteractive", "apt-get", "purge", "-y", "-q", "--auto-remove"),
    sasl_packages=("sasl2-bin", "libsasl2-modules"),
    mail_packages=("s-nail",),
    smtpd_conf="/etc/postfix/sasl/smtpd.conf",
    sasldb="/etc/sasldb2",
    sasldb_format="Berkeley DB",
    smtpd_chroot="y",
    log_file="/var/log/mail.log",
    mail_command="s-nail",
    mail_dialect="s-nail",
    mailrc_lines=("set sendwait",),
)

SYSTEMS = (
    AMAZON_LINUX_2,
    AMAZON_LINUX_2023,
    DEBIAN_12,
)
ALL = tuple(system.id for system in SYSTEMS)


def read_os_release(text: str) -> dict[str, str]:
    """Return the fields of an os-release file (os-release(5)).

    >>> read_os_release('ID="amzn"\\nVERSION_ID="2"\\n# a comment')
    {'ID': 'amzn', 'VERSION_ID': '2'}
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

    A derivative that says it is made of Debian 12 is taken for Debian 12.

    >>> identify('ID=debian\\nVERSION_ID="12"').name
    'Debian 12'
    """
    fields = read_os_release(os_release)
    version = fields.get("VERSION_ID", "")
    releases = [(fields.get("ID", ""), text) for text in (version, version.split(".")[0])]
    for system in SYSTEMS:
        if system.release in releases:
            return system
    codename = fields.get("DEBIAN_CODENAME") or fields.get("VERSION_CODENAME")
    # A derivative counts its versions as it likes; only the code name tells its origin.
    if "debian" in fields.get("ID_LIKE", "").split() and codename == "bookworm":
        return DEBIAN_12
    raise HandsonError(
        _("This course does not know the system “{name}”.").format(
            name=fields.get("PRETTY_NAME") or fields.get("ID") or _("without a name")
        ),
        _("Use a host with one of: {systems}.").format(
            systems=", ".join(system.name for system in SYSTEMS)
        ),
    )
