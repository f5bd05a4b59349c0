"""What the learner chose, validated before anything on a host can change."""

from __future__ import annotations

import base64
import contextlib
import difflib
import ipaddress
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date

import idna

from handson.errors import InvalidInput
from handson.i18n import _
from handson.secret import Secret

# Names only: what each target is stands in handson.cloud.targets, where the images of the
# systems are in handson.cloud.stacks.
TARGETS = ("lab", "aws", "ssh")
SYSTEMS = {"al2023": "Amazon Linux 2023"}
HOSTS = ("server", "client", "stranger")
SOURCES = ("vpc", "anywhere")

HEADLESS = "HANDSON_HEADLESS"  # where it is set, nobody watches: nothing moves, nothing waits
FAULT = "HANDSON_FAULT"  # the fault that an exercise injects
# The variables that make no choice; the last two are those of the tests.
OTHER_VARIABLES = (
    *("HANDSON_NAME", "HANDSON_WORKSPACE", "HANDSON_PASSWORD", HEADLESS, FAULT),
    *("HANDSON_SEED", "HANDSON_LONG", "HANDSON_DRAW"),
)


def check_name(text: str) -> str:
    """Return the name of a lab; raise InvalidInput unless it can name a container.

    >>> check_name("course")
    'course'
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", text):
        raise InvalidInput(
            _("“{text}” cannot name a lab.").format(text=_shown(text)),
            _("Use a small letter first, then up to 29 small letters, digits or hyphens."),
        )
    return text


# A certificate's common name holds 64 characters (RFC 5280, ub-common-name-length), and the
# server's is mail.DOMAIN; a mail address 254 (RFC 5321, 4.5.3.1.3, without angle brackets).
LONGEST_DOMAIN = 64 - len("mail.")
LONGEST_ADDRESS = 254
LONGEST_LEARNER = 20


def check_domain(text: str) -> str:
    """Return the course's mail domain in ASCII (IDNA 2008); raise InvalidInput otherwise.

    >>> check_domain("Example.com"), check_domain("bücher.example")
    ('example.com', 'xn--bcher-kva.example')
    """
    domain = _ascii_domain(text)
    if len(domain) > LONGEST_DOMAIN:
        raise InvalidInput(
            _("“{text}” is too long: it has {length} characters in ASCII.").format(
                text=_shown(text), length=len(domain)
            ),
            _(
                "Use {most} at most: mail.DOMAIN stands in the server's certificate, in a field "
                "of 64 characters."
            ).format(most=LONGEST_DOMAIN),
        )
    return domain


def _ascii_domain(text: str) -> str:
    try:
        # UTS 46 makes a full stop of each sign that stands for one, at the end too.
        encoded = idna.encode(text.strip(), uts46=True, std3_rules=True).decode()
        ascii_form = encoded.removesuffix(".")
    except (idna.IDNAError, UnicodeError):
        ascii_form = ""
    if "." not in ascii_form or ascii_form.rsplit(".", 1)[-1].isdigit():
        raise InvalidInput(
            _("“{text}” is not a mail domain.").format(text=_shown(text)),
            _("Use letters, digits and hyphens with a dot between, as in example.com."),
        )
    return ascii_form


def check_user(text: str) -> str:
    """Return a SASL user name without a realm; raise InvalidInput otherwise."""
    cleaned = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", cleaned):
        raise InvalidInput(
            _("“{text}” is not a user name for this course.").format(text=_shown(text)),
            _(
                "Use 1 to 32 letters, digits, dots, hyphens or underscores, "
                "without @: the domain is added for you."
            ),
        )
    return cleaned


def check_address(text: str) -> str:
    """Return a mail address with its domain in ASCII; raise InvalidInput otherwise."""
    local, at, domain = text.strip().rpartition("@")
    # A mail program takes a leading hyphen for an option, and Postfix parts the entries of an
    # inline table at the first equals sign (DATABASE_README).
    is_usable = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*", local)
    address = f"{local}@{_ascii_domain(domain)}" if at and is_usable else ""
    if not address or len(local) > 64 or len(address) > LONGEST_ADDRESS:
        raise InvalidInput(
            _("“{text}” is not a mail address for this course.").format(text=_shown(text)),
            _(
                "Write it as name@example.com; the name has up to 64 letters, digits and the "
                "signs . _ + -, and begins with a letter, a digit or _."
            ),
        )
    return address


def check_learner(text: str) -> str:
    """Return the name that tells learners of one account apart; raise InvalidInput otherwise."""
    cleaned = text.strip()
    if len(cleaned) > LONGEST_LEARNER or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cleaned):
        raise InvalidInput(
            _("“{text}” cannot stand in the names of resources.").format(text=_shown(text)),
            _("Use up to {most} small letters a to z and digits, with hyphens between.").format(
                most=LONGEST_LEARNER
            ),
        )
    return cleaned


def check_ip(text: str) -> str:
    """Return an IPv4 address; raise InvalidInput otherwise."""
    try:
        return str(ipaddress.IPv4Address(text.strip()))
    except ValueError:
        raise InvalidInput(
            _("“{text}” is not an IPv4 address.").format(text=_shown(text)),
            _("Write four numbers from 0 to 255 with dots between, as in 203.0.113.5."),
        ) from None


def check_network(text: str) -> str:
    """Return an IPv4 network of /16 to /20 as a CIDR; raise InvalidInput otherwise."""
    try:
        network = ipaddress.IPv4Network(text.strip())
    except ValueError:
        network = None
    # Addresses of a host itself, of one link and of groups are nobody's network.
    is_special = network and (network.is_loopback or network.is_link_local or network.is_multicast)
    if network is None or is_special or not 16 <= network.prefixlen <= 20:
        raise InvalidInput(
            _("“{text}” is not a network for a VPC.").format(text=_shown(text)),
            _("Write a CIDR of /16 to /20, as in 10.87.0.0/16."),
        )
    return str(network)


def check_password(text: str) -> str:
    """Return a password that every program of the course can carry; raise otherwise."""
    # The mail client's settings file, the SASL exchange and a terminal all have to
    # carry it unchanged, hence no spaces, quotes, backslashes, '$', '`' or '#'.
    if not re.fullmatch(r"[!%&()*+,./0-9:;<=>?@A-Z\[\]^_a-z{|}~-]{8,64}", text):
        raise InvalidInput(
            _("That password cannot be used."),
            _(
                "Use 8 to 64 letters, digits and signs, without spaces, quotes, "
                "backslash, dollar, backtick or number sign."
            ),
        )
    return text


def check_region(text: str) -> str:
    """Return the code of an AWS region; raise InvalidInput otherwise."""
    cleaned = text.strip().lower()
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", cleaned):
        raise InvalidInput(
            _("“{text}” is not an AWS region.").format(text=_shown(text)),
            _("Write its code, as in ap-northeast-1."),
        )
    return cleaned


def check_date(text: str) -> str:
    """Return a day as YYYYMMDD; raise InvalidInput otherwise."""
    cleaned = text.strip()
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"[0-9]{8}", cleaned):
            date(int(cleaned[:4]), int(cleaned[4:6]), int(cleaned[6:]))
            return cleaned
    raise InvalidInput(
        _("“{text}” is not a day.").format(text=_shown(text)), _("Write it as YYYYMMDD.")
    )


def split_login(text: str) -> tuple[str, str, int]:
    """Return user, address and port of 'user@address' or 'user@address:port'.

    Raises InvalidInput otherwise.

    >>> split_login("admin@192.0.2.10:2222")
    ('admin', '192.0.2.10', 2222)
    """
    found = re.fullmatch(
        r"([A-Za-z_][A-Za-z0-9._-]{0,31})@([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))(?::([0-9]{1,5}))?",
        text.strip(),
    )
    port = int(found[3] or 22) if found else 0
    if not found or not 1 <= port <= 65535:
        raise InvalidInput(
            _("“{text}” does not say where to log in.").format(text=_shown(text)),
            _("Write it as user@address or user@address:port, as in admin@192.0.2.10."),
        )
    return found[1], found[2], port


def check_login(text: str) -> str:
    """Return where to log in, as 'user@address:port'; raise InvalidInput otherwise."""
    user, address, port = split_login(text)
    return f"{user}@{address}" + (f":{port}" if port != 22 else "")


def check_host_key(text: str) -> str:
    """Return the public key of a host as 'TYPE BASE64'; raise InvalidInput otherwise."""
    kind, _space, data = text.strip().partition(" ")
    data = data.split(" ")[0]  # without the comment behind it
    with contextlib.suppress(ValueError):
        # The key begins with the length of its type's name, and that name (RFC 4253, 6.6).
        if base64.b64decode(data, validate=True)[4:].startswith(kind.encode()) and kind:
            return f"{kind} {data}"
    raise InvalidInput(
        _("“{text}” is not the public key of a host.").format(text=_shown(text)),
        _("Write its type and the key, as ssh-keyscan shows them: ssh-ed25519 AAAA…"),
    )


def check_path(text: str) -> str:
    """Return the path of a file, '' for none; raise InvalidInput where it cannot be one."""
    cleaned = text.strip()
    if not cleaned.isprintable():
        raise InvalidInput(
            _("“{text}” cannot be the path of a file.").format(text=_shown(text)),
            _("Write its path without control characters."),
        )
    return cleaned


def _if_any(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: check(text) if text.strip() else ""


def _one_of(choices: Collection[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in choices:
            raise InvalidInput(
                _("“{text}” cannot be chosen here.").format(text=_shown(text)),
                _("Choose one of: {choices}.").format(choices=", ".join(choices)),
            )
        return text

    return check


def _shown(text: str) -> str:
    line = text.replace("\n", "?")
    return line if len(line) <= 60 else line[:59] + "…"


CHECKS: dict[str, Callable[[str], str]] = {
    "target": _one_of(TARGETS),
    "system": _one_of(SYSTEMS),
    "region": check_region,
    "domain": check_domain,
    "user": check_user,
    "sender": check_address,
    "recipient": check_address,
    "own_ip": _if_any(check_ip),
    "vpc_cidr": check_network,
    "date": check_date,
    "learner": _if_any(check_learner),
    "submission_source": _one_of(SOURCES),
    **{name: _if_any(check_login) for name in HOSTS},
    **{f"{name}_host_key": _if_any(check_host_key) for name in HOSTS},
    **{f"{name}_address": _if_any(check_ip) for name in HOSTS},
    "ssh_key": check_path,
}


@dataclass(frozen=True)
class Settings:
    """The choices of one learner. Every field is checked when the object is made.

    `target` is where the course runs (one of `TARGETS`), `system` that of the
    instances on AWS (one of `SYSTEMS`), `own_ip` the learner's own IPv4 address (empty:
    found out by the target), `date` the day in the names of all resources (empty: today),
    `learner` what follows it there where several share an account, `submission_source` who
    may reach port 587 ('vpc' or 'anywhere').

    For hosts that the learner has already: `server`, `client` and, where there is one,
    `stranger` say where to log in ('user@address:port'), `…_host_key` what key the host has
    (empty: as ssh knows it), `…_address` at which IPv4 address the others reach it (empty:
    the one to log in at), `ssh_key` the file of the private key (empty: the workspace's).

    >>> Settings(domain="Example.COM").login
    'smtp-auth@example.com'
    """

    target: str = "lab"
    region: str = "ap-northeast-1"
    system: str = "al2023"
    domain: str = "example.com"
    user: str = "smtp-auth"
    sender: str = "hello@example.com"
    recipient: str = "friend@example.net"
    own_ip: str = ""
    vpc_cidr: str = "10.87.0.0/16"
    date: str = ""
    learner: str = ""
    submission_source: str = "vpc"
    server: str = ""
    client: str = ""
    stranger: str = ""
    server_host_key: str = ""
    client_host_key: str = ""
    stranger_host_key: str = ""
    server_address: str = field(default="", metadata={"variable": "HANDSON_SERVER_IP"})
    client_address: str = field(default="", metadata={"variable": "HANDSON_CLIENT_IP"})
    stranger_address: str = field(default="", metadata={"variable": "HANDSON_STRANGER_IP"})
    ssh_key: str = ""

    def __post_init__(self) -> None:
        if not self.date:
            object.__setattr__(self, "date", date.today().strftime("%Y%m%d"))
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name)))

    @property
    def login(self) -> str:
        """The full name to log in with: the realm is part of it."""
        return f"{self.user}@{self.domain}"

    @property
    def client_ip(self) -> str:
        """The client's private address: fixed, so that `mynetworks` can name it."""
        return self.client_address or self._address(3, 20)

    @property
    def stranger_ip(self) -> str:
        """The private address of the host next to the client that `mynetworks` never names."""
        return self.stranger_address or self._address(3, 30)

    @property
    def server_ip(self) -> str:
        """The server's private address."""
        return self.server_address or self._address(2, 44)

    @property
    def submission_cidr(self) -> str:
        """The source of the rule that opens port 587."""
        return self.vpc_cidr if self.submission_source == "vpc" else "0.0.0.0/0"

    def _address(self, subnet: int, host: int) -> str:
        network = ipaddress.IPv4Network(self.vpc_cidr)
        return str(network.network_address + subnet * 256 + host)

    def with_(self, **changes: str) -> Settings:
        """Return the same choices with some changed and everything checked again."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def check_relayed(chosen: Settings) -> Settings:
    """Return the choices; raise InvalidInput where the server would deliver instead of relay."""
    if chosen.recipient.rpartition("@")[2] == chosen.domain:
        raise InvalidInput(
            _("The recipient {recipient} is in the server's own domain.").format(
                recipient=chosen.recipient
            ),
            _("Choose an address of another domain: a server takes messages to its own anyway."),
        )
    return chosen


def check_apart(password: Secret, chosen: Settings) -> Secret:
    """Return the password; raise InvalidInput where a name that everybody sees holds it."""
    seen = " ".join((chosen.login, chosen.sender, chosen.recipient)).lower()
    if password.reveal().lower() in seen:
        raise InvalidInput(
            _("That password is a part of the login name or of an address, which are no secret."),
            _("Choose another, or have one made."),
        )
    return password


def variables() -> dict[str, str]:
    """Return the variable of each choice, by the choice's name."""
    return {
        one.name: one.metadata.get("variable", f"HANDSON_{one.name.upper()}")
        for one in fields(Settings)
    }


def variable(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a variable of the course, '' where it is not set.

    Raises InvalidInput where a `HANDSON_…` variable is set that the course does not know: it
    would be without effect.

    >>> variable("HANDSON_NAME", {"HANDSON_NAME": "second"})
    'second'
    """
    environ = os.environ if environ is None else environ
    known = {*variables().values(), *OTHER_VARIABLES}
    for unknown in sorted(key for key in environ if key.startswith("HANDSON_")):
        if unknown not in known:
            near = difflib.get_close_matches(unknown, sorted(known), 1, 0)[0]
            raise InvalidInput(
                _("The course knows no variable {name}.").format(name=_shown(unknown)),
                _("Did you mean {near}? Otherwise: unset {name}").format(
                    near=near, name=_shown(unknown)
                ),
            )
    return environ.get(name, "")


def from_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the choices that `HANDSON_…` variables make.

    >>> from_environment({"HANDSON_DOMAIN": "example.org", "HOME": "/root"})
    {'domain': 'example.org'}
    """
    found = {name: variable(key, environ) for name, key in variables().items()}
    return {name: value for name, value in found.items() if value}


def password_from_environment(environ: Mapping[str, str] | None = None) -> Secret | None:
    """Return the password from `HANDSON_PASSWORD`, checked, or None."""
    value = variable("HANDSON_PASSWORD", environ)
    return Secret(check_password(value)) if value else None
