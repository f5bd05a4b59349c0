"""Who may relay at each stage of the course, and why: what is expected, and what was found.

A cell is one dialogue: from a place, with a port, with or without a login, for a recipient.
Everything here is worked out from facts that were read before; nothing is asked of a host.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from handson.i18n import _
from handson.mail.log import Entry
from handson.mail.postfix import trusts
from handson.mail.smtp import Dialogue

STAGES = ("start", "after_login", "hardened")
PORTS = (25, 587, 465)
LOGINS = ("none", "wrong", "bare", "right")
RECIPIENTS = ("own", "outside")

RELAYS = "relays"
ACCEPTS = "accepts"
REFUSED = "refused"
LOGIN_FAILS = "login fails"
NO_AUTH = "no AUTH"
NO_ANSWER = "no answer"
CLOSED = "connection refused"
BROKEN = "broken off"


def ports_of(stage: str) -> tuple[int, ...]:
    """Return the ports that are tried at a stage: 465 is opened by the hardening."""
    return PORTS if stage == "hardened" else PORTS[:2]


def kind_name(kind: str) -> str:
    """Return how a kind of result is called in the table."""
    return {
        RELAYS: _("relays"),
        ACCEPTS: _("accepts"),
        REFUSED: _("refused"),
        LOGIN_FAILS: _("login fails"),
        NO_AUTH: _("no AUTH offered"),
        NO_ANSWER: _("no answer"),
        CLOSED: _("connection refused"),
        BROKEN: _("broken off"),
    }[kind]


@dataclass(frozen=True)
class Origin:
    """A place from which the server is tried; `name` is 'client', 'stranger' or 'internet'.

    `address` is what the server sees, `group` the name of the place's security group.
    """

    name: str
    address: str
    group: str = ""

    @property
    def title(self) -> str:
        return {
            "client": _("the client"),
            "stranger": _("a stranger in the VPC"),
            "internet": _("the Internet"),
        }[self.name]


@dataclass(frozen=True)
class ServerFacts:
    """What the expectation depends on, as it was read from the server and the cloud.

    `reach` holds the places and ports (`("client", 587)`) that the security group lets in,
    `source` who is meant to reach port 587 ('vpc' or 'anywhere'), `realm` what Cyrus SASL
    adds to a bare user name. `offers_25` tells of the smtpd on port 25, `chroots` are the ports
    whose smtpd is in a chroot.
    """

    mynetworks: tuple[str, ...] = ()
    reach: frozenset[tuple[str, int]] = frozenset()
    source: str = "vpc"
    domain: str = ""
    realm: str = ""
    offers_25: bool = False
    chroots: frozenset[int] = frozenset()

    def trusts(self, address: str) -> bool:
        """Return whether `mynetworks` holds an address."""
        return trusts(self.mynetworks, address)

    @property
    def completes_bare_name(self) -> bool:
        """Return whether a bare user name becomes the right login by the realm added to it."""
        return bool(self.realm) and self.realm == self.domain


@dataclass(frozen=True)
class Cell:
    """One try: where from, how, for whom; what was expected and why, and what happened.

    `explanation` says why it came out otherwise (empty: it did not), `entry` is the line
    that it left in the server's log, where that was looked for and found.
    """

    origin: Origin
    port: int
    login: str
    recipient: str
    dialogue: Dialogue
    expected: str
    reason: str
    is_trusted: bool = False
    explanation: str = ""
    entry: Entry | None = field(default=None, compare=False)

    @property
    def observed(self) -> str:
        """The kind of result, such as 'refused'; its code stands in `label`."""
        dialogue = self.dialogue
        if dialogue.connected != "open":
            kinds = {"refused": CLOSED, "timed out": NO_ANSWER}
            return kinds.get(dialogue.connected, BROKEN)
        if dialogue.auth and dialogue.auth.is_refusal:
            return LOGIN_FAILS
        if dialogue.refusal:
            return REFUSED
        if self.login != "none" and dialogue.extensions and not dialogue.mechanisms:
            return NO_AUTH
        if dialogue.is_accepted:
            return RELAYS if self.recipient == "outside" else ACCEPTS
        return BROKEN

    @property
    def label(self) -> str:
        """The result in a word or two, with the code of a refusal: 'refused 454'."""
        code = f" {self.dialogue.refusal.code}" if self.dialogue.refusal else ""
        return kind_name(self.observed) + code

    @property
    def is_as_expected(self) -> bool:
        return self.observed == self.expected

    @property
    def is_open_relay(self) -> bool:
        """Return whether somebody relays who neither logged in nor is trusted for the address.

        The stranger and the Internet are nobody's to trust, whatever `mynetworks` holds.
        """
        return self._relays_without_login and not (self.origin.name == "client" and self.is_trusted)

    @property
    def is_by_address(self) -> bool:
        """Return whether the client relays for its address alone."""
        return self._relays_without_login and not self.is_open_relay

    @property
    def _relays_without_login(self) -> bool:
        has_password = self.login in ("right", "bare") and self.dialogue.is_logged_in
        return self.observed == RELAYS and not has_password


def expect(
    stage: str, facts: ServerFacts, origin: Origin, port: int, login: str, recipient: str
) -> tuple[str, str]:
    """Return the kind of result that is right at a stage, and the reason in a sentence.

    >>> expect("start", ServerFacts(), Origin("client", "10.87.3.20"), 25, "none", "own")
    ('accepts', 'Mail for its own domain is taken from everybody: port 25 is there for that.')
    """
    if not _reaches(stage, facts, origin, port):
        return NO_ANSWER, _unreached(stage, port)
    if stage == "start" and port != 25:
        return CLOSED, _("The packets get there, and nothing listens yet.")
    if login != "none":
        return _expect_login(stage, facts, port, login, recipient)
    if port != 25:
        return REFUSED, _("The submission port is for those who log in, whomever they write to.")
    if recipient == "own":
        return ACCEPTS, _(
            "Mail for its own domain is taken from everybody: port 25 is there for that."
        )
    if stage == "start" and origin.name == "client":
        return RELAYS, _("mynetworks names its address: it is trusted for that, with no login.")
    return REFUSED, _("Neither its address nor a login is trusted: it may not relay.")


def _reaches(stage: str, facts: ServerFacts, origin: Origin, port: int) -> bool:
    if port == 25:
        return origin.name != "internet"
    if stage == "start" or origin.name == "stranger":
        return (origin.name, port) in facts.reach
    if origin.name == "client":
        return True
    return port == 587 and stage == "after_login" and facts.source == "anywhere"


def _unreached(stage: str, port: int) -> str:
    if port == 25:
        return _("The security group lets in port 25 from the VPC only.")
    if stage == "start":
        return _("No rule of the security group opens port {port} yet.").format(port=port)
    return _("The security group opens port {port} to others only.").format(port=port)


def _expect_login(
    stage: str, facts: ServerFacts, port: int, login: str, recipient: str
) -> tuple[str, str]:
    if port == 25 and (stage != "after_login" or not facts.offers_25):
        return NO_AUTH, _("Port 25 offers no login.")
    if port == 25 and port in facts.chroots:
        return LOGIN_FAILS, _(
            "The smtpd of port 25 is chrooted (master.cf): it offers a login and cannot see "
            "the password database."
        )
    if login == "wrong":
        return LOGIN_FAILS, _("The password is wrong.")
    if login == "bare" and not facts.completes_bare_name:
        return LOGIN_FAILS, _(
            "The bare user name is looked up as user@{realm}, and there is no such user."
        ).format(realm=facts.realm or "$myhostname")
    kind = RELAYS if recipient == "outside" else ACCEPTS
    if login == "bare":
        return kind, _("smtpd_sasl_local_domain makes the bare user name a full one.")
    return kind, _("Whoever logs in may send, to any domain: that is what the login is for.")
