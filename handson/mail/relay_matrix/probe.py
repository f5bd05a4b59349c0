"""Try every way to hand mail to the server, and show who may relay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from handson.cloud.cloud import Cloud
from handson.cloud.security_groups import covers
from handson.errors import HostUnreachable, InvalidInput, NotHere
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.hosts.runner import Runner
from handson.i18n import _
from handson.mail.postfix import Postfix, find_service, without_warnings
from handson.mail.relay_matrix.expected import (
    LOGINS,
    PORTS,
    RECIPIENTS,
    STAGES,
    Cell,
    Origin,
    ServerFacts,
    expect,
    ports_of,
)
from handson.mail.relay_matrix.view import Matrix
from handson.mail.smtp import HELO, Dialogue, Job, ask_all
from handson.secret import Secret
from handson.settings import Settings

__all__ = ["Matrix", "relay_matrix"]

# All dialogues from one place together, and the wait for one answer, in seconds.
SECONDS, PATIENCE = 15.0, 5.0
# Without a pause between dialogues the server's log is given lines faster than syslog takes
# them, and loses some. It costs no time: dropped packets are waited for meanwhile.
PAUSE = 0.03
# The right login comes before those that fail: where anvil(8) counts logins, it still passes.
ORDER = ("right", "none", "wrong", "bare")


class Ground(Protocol):
    """Where the matrix is tried: a step or an observation."""

    @property
    def settings(self) -> Settings: ...
    @property
    def hosts(self) -> Hosts: ...
    @property
    def cloud(self) -> Cloud: ...
    @property
    def password(self) -> Secret | None: ...


@dataclass(frozen=True)
class Place:
    """An origin, what speaks there, and the server's address as seen from it."""

    origin: Origin
    speaker: Runner
    server: str


@dataclass(frozen=True)
class MatrixTry:
    """One cell to be: what it is, and the dialogue to be held for it."""

    port: int
    login: str
    recipient: str
    job: Job


def relay_matrix(ground: Ground, stage: str) -> Matrix:
    """Try all ways to hand mail to the server, and compare with what is right at a stage.

    `stage` is 'start', 'after_login' (as notebook 06 leaves it) or 'hardened'. From the
    client, and from the stranger and the Internet where there are such, each port of the stage is
    asked with each login for each recipient, up to RCPT: no mail is sent. On port 465 TLS comes
    first; elsewhere STARTTLS is used where it is offered, so that a password does not go in clear
    where it need not.

    Takes 3 to 4 s, and some 20 s at most. Raises InvalidInput for another stage,
    HandsonError where a host cannot be asked.
    """
    if stage not in STAGES:
        raise InvalidInput(
            _("“{stage}” is no stage of the course.").format(stage=stage),
            _("Choose one of: {stages}.").format(stages=", ".join(STAGES)),
        )
    server = ground.hosts.server
    there = places(ground)
    facts = read_facts(ground, [place.origin for place in there])
    certificate = read_certificate(server)
    wrong = Secret.generate()
    tries = [
        list(tries_of(ground, place, stage, number, certificate, wrong))
        for number, place in enumerate(there)
    ]
    for place in there:
        if isinstance(place.speaker, Host):
            # Opens the connection: the way of one host leads through another's.
            _name = place.speaker.system.name
    began = read_clock(server)
    with ThreadPoolExecutor(len(there)) as pool:
        held = list(pool.map(hold, there, tries))
    ended = read_clock(server)
    cells = [
        _cell(stage, facts, place.origin, one, dialogue)
        for place, some, dialogues in zip(there, tries, held, strict=True)
        for one, dialogue in zip(some, dialogues, strict=True)
    ]
    return Matrix(stage, facts, cells, began, ended)


def places(ground: Ground) -> list[Place]:
    """Return from where the server is tried: from the client, and whatever else there is.

    Raises HostUnreachable when it has no public address for those on the Internet.
    """
    settings, hosts, names = ground.settings, ground.hosts, ground.cloud.names
    client = Origin("client", settings.client_ip, names.client_group)
    found = [Place(client, hosts.client, settings.server_ip)]
    if hosts.stranger:
        stranger = Origin("stranger", settings.stranger_ip, names.stranger_group)
        found.append(Place(stranger, hosts.stranger, settings.server_ip))
    if not hosts.internet:
        return found
    instance = ground.cloud.instance(names.server)
    if instance is None or not instance.public_ip:
        raise HostUnreachable(
            _("The instance {name} has no public address.").format(name=names.server),
            _("00_start makes it; a stopped one is started in the EC2 console."),
        )
    internet = Origin("internet", settings.own_ip)
    return [*found, Place(internet, hosts.internet, instance.public_ip)]


def tries_of(
    ground: Ground, place: Place, stage: str, row: int, certificate: str, wrong: Secret
) -> Iterator[MatrixTry]:
    """Return all tries from one place, in the order in which they are made.

    They go by names such as m00 in EHLO, numbered in the order of the table; `row` is the
    place's own number in it.
    """
    settings = ground.settings
    names = {"none": "", "wrong": settings.login, "bare": settings.user, "right": settings.login}
    passwords = {"wrong": wrong, "bare": ground.password, "right": ground.password}
    outside = outside_address(settings)
    recipients = {"own": f"root@{settings.domain}", "outside": outside}
    ports = ports_of(stage)
    columns = len(ports) * len(RECIPIENTS)
    for port in ports:
        for login in ORDER:
            # Without a login the sender is of another domain, as of a message that comes in:
            # a server may keep the names of its own for those who log in.
            sender = outside if login == "none" else settings.sender
            for recipient in RECIPIENTS:
                number = (row * len(LOGINS) + LOGINS.index(login)) * columns
                number += ports.index(port) * len(RECIPIENTS) + RECIPIENTS.index(recipient)
                job = Job(
                    place.server,
                    port,
                    sender,
                    recipients[recipient],
                    login=names[login],
                    password=passwords.get(login),
                    name=f"m{number:02d}.{HELO}",
                    certificate=certificate,
                    insist=False,
                    patience=PATIENCE,
                )
                yield MatrixTry(port, login, recipient, job)


def outside_address(settings: Settings) -> str:
    """Return a mail address of another domain: the recipient's, where that is one.

    >>> outside_address(Settings(recipient="me@example.com"))
    'someone@example.org'
    """
    if settings.recipient.rpartition("@")[2] != settings.domain:
        return settings.recipient
    return "someone@example.net" if settings.domain == "example.org" else "someone@example.org"


def hold(place: Place, tries: list[MatrixTry]) -> list[Dialogue]:
    """Hold the dialogues of one place, all by one command."""
    return ask_all(place.speaker, [one.job for one in tries], SECONDS, PAUSE)


def _cell(
    stage: str, facts: ServerFacts, origin: Origin, one: MatrixTry, dialogue: Dialogue
) -> Cell:
    expected, reason = expect(stage, facts, origin, one.port, one.login, one.recipient)
    return Cell(
        origin,
        one.port,
        one.login,
        one.recipient,
        dialogue,
        expected,
        reason,
        is_trusted=facts.trusts(origin.address),
    )


# -- what the expectation depends on --------------------------------------------------------


def read_facts(ground: Ground, origins: list[Origin]) -> ServerFacts:
    """Read from the server and the cloud what the expectation depends on."""
    postfix = Postfix(ground.hosts.server)
    services = postfix.services()
    found = {port: find_service(services, port) for port in PORTS}
    offers = "smtp/inet" in services and postfix.service_parameter(
        "smtp/inet", "smtpd_sasl_auth_enable"
    )
    printed = ground.hosts.server.read("sudo -n postconf -xh smtpd_sasl_local_domain myhostname")
    local_domain, hostname = without_warnings(printed).splitlines()
    return ServerFacts(
        mynetworks=tuple(postfix.mynetworks),
        reach=_reach(ground, origins),
        source=ground.settings.submission_source,
        domain=ground.settings.domain,
        realm=local_domain.strip() or hostname.strip(),
        offers_25=offers == "yes",
        chroots=frozenset(
            port for port, one in found.items() if one and postfix.is_chrooted(one.key)
        ),
    )


def _reach(ground: Ground, origins: list[Origin]) -> frozenset[tuple[str, int]]:
    """Return which places the security group lets in at which ports; all, where there is none."""
    everywhere = frozenset((origin.name, port) for origin in origins for port in PORTS)
    try:
        rules = ground.cloud.rules()
    except NotHere:
        return everywhere
    by_name = {origin.name: origin for origin in origins}
    return frozenset(
        (name, port)
        for name, port in everywhere
        for rule in rules
        if rule.opens(port)
        and (rule.source == by_name[name].group or covers(rule.source, by_name[name].address))
    )


def read_certificate(server: Host) -> str:
    """Return the server's own certificate in PEM, as it lies there; empty where there is none."""
    # Where Postfix cannot read its files, postconf says why instead.
    printed = server.probe("sudo -n postconf -xh smtpd_tls_cert_file")[1]
    path = without_warnings(printed).strip()
    if not path.startswith("/"):
        return ""
    return first_certificate(server.probe("sudo -n cat {path}", path=path)[1])


def first_certificate(text: str) -> str:
    """Return the first certificate of a PEM file, without the key or chain that may be in it."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    return found[0] + "\n" if found else ""


def read_clock(server: Host) -> datetime:
    """Return the time of day on the server, with its zone."""
    return datetime.fromisoformat(server.read("date +%Y-%m-%dT%H:%M:%S.%6N%:z").strip())
