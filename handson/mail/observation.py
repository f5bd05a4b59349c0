"""What the rules look at: the hosts, the cloud and the log, read once for one round of checks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from handson.cloud.cloud import Cloud
from handson.errors import HandsonError, NotHere
from handson.hosts import snapshot
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.hosts.runner import Runner
from handson.i18n import _
from handson.mail import hardening, server_log, smtp
from handson.mail.hardening import Hardening
from handson.mail.log import Entry, Message, messages, moment, parse
from handson.mail.log_refusals import Refusal, complaint, refusals
from handson.mail.mailrc import Mailrc, ProgramTry
from handson.mail.postfix import Postfix
from handson.mail.relay_matrix import probe
from handson.mail.sasl import Database, Sasl
from handson.mail.survey import Survey
from handson.secret import Secret
from handson.settings import Settings

# How long a check waits for a connection, in seconds: TCP asks again after one, so that a
# single lost packet does not count.
CONNECTION = 1.05
LOGIN_HELO = f"login.{smtp.HELO}"
# How long it waits for an answer before it looks whether waiting makes sense.
ANSWER = 0.5
# What a mail program's shortest messages have, in bytes: a server may take none of that size.
SIZE = 500

# What can be read side by side, by the names of an observation's properties. Within a lane one
# goes after the other, for what an earlier one met tells a later one whether to wait.
LANES = (
    ("relay", "relay_login", "strangers", "elsewhere"),
    ("anonymous", "submission", "mailrc", "program"),
    ("submissions", "hardening"),
    ("survey", "sasldb"),
    ("configuration",),
    ("postfix_check",),
)


@dataclass
class Observation:
    """An observation is thrown away after one round of checks, so that nothing in it is old.

    `since` is a moment by the server's clock (ISO 8601): what the log tells of the time
    before does not count. Empty: all counts. `stage` is the stage of the course, as the relay
    matrix has them, by which it is judged who may relay; empty: only port 587 is judged.
    """

    settings: Settings
    hosts: Hosts
    cloud: Cloud
    password: Secret | None
    since: str = ""
    stage: str = ""
    _dialogues: dict[tuple[int, bool], smtp.Dialogue] = field(default_factory=dict, repr=False)

    def read_ahead(self, needs: Iterable[str]) -> None:
        """Read what is named (properties) side by side, for rules to find it there.

        What cannot be read is left to the rule that asks for it.
        """
        wanted = set(needs)
        lanes = [[name for name in lane if name in wanted] for lane in LANES]
        lanes = [lane for lane in lanes if lane]
        if lanes:
            with ThreadPoolExecutor(len(lanes)) as pool:
                list(pool.map(self._read, lanes))

    def _read(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(HandsonError):
                getattr(self, name)

    @property
    def server(self) -> Host:
        return self.hosts.server

    @property
    def client(self) -> Host:
        return self.hosts.client

    @cached_property
    def postfix(self) -> Postfix:
        return Postfix(self.server)

    @cached_property
    def sasl(self) -> Sasl:
        return Sasl(self.server, self.server.system, self.survey.database)

    @cached_property
    def configuration(self) -> dict[str, str]:
        """The settings of smtpd.conf; raises HandsonError where libsasl2 would give it up."""
        # Not `self.sasl`: the survey takes a second where Postfix cannot use its files.
        return Sasl(self.server, self.server.system).configuration()

    @cached_property
    def sasldb(self) -> Database:
        """The password database that smtpd opens, as a file."""
        return self.sasl.database_file()

    @cached_property
    def survey(self) -> Survey:
        """What the diagnosis has to know of the server."""
        return Survey.take(self.server)

    @cached_property
    def mailrc(self) -> Mailrc:
        """The mail program's settings on the client, and how the server answers to them."""
        place = self.settings.server_ip, self.settings.sender, self.settings.recipient
        found = self.submission
        # Known to give no answer, it is not waited for as long a second time.
        patience = ANSWER if found.is_waiting else 5
        return Mailrc.take(self.client, *place, is_silent=found.is_silent, patience=patience)

    @cached_property
    def program(self) -> ProgramTry:
        """What the mail program itself meets with its own settings, up to RCPT."""
        place = self.settings.server_ip, self.settings.sender, self.settings.recipient
        return ProgramTry.make(self.client, self.mailrc, *place)

    # -- the log -------------------------------------------------------------

    @cached_property
    def entries(self) -> list[Entry]:
        """The server's mail log, parsed, as far as it counts."""
        since = datetime.fromisoformat(self.since) if self.since else None
        found = parse(server_log.read(self.server, since))
        return [entry for entry in found if moment(entry, since) >= since] if since else found

    @cached_property
    def log_start(self) -> datetime | None:
        """When the oldest line was logged that is still there; None where there is none."""
        now = datetime.fromisoformat(self.server.read("date --iso-8601=seconds").strip())
        entries = parse(server_log.oldest(self.server))
        return moment(entries[0], now) if entries else None

    def begun(self, slug: str) -> datetime | None:
        """When a step was begun on the server, else the course, as their records tell."""
        if self.since:
            return datetime.fromisoformat(self.since)
        step, start = f"{snapshot.FOLDER}/{slug}", f"{snapshot.FOLDER}/{snapshot.START}"
        status, text = self.server.probe(
            "sudo -n date --iso-8601=seconds -r {step} 2>/dev/null || "
            "sudo -n date --iso-8601=seconds -r {start}",
            step=step,
            start=start,
        )
        return datetime.fromisoformat(text.strip()) if status == 0 else None

    @cached_property
    def messages(self) -> list[Message]:
        return messages(self.entries)

    @cached_property
    def refusals(self) -> list[Refusal]:
        return refusals(self.entries)

    @cached_property
    def recent(self) -> list[Entry]:
        """The log since Postfix last started or reloaded: what went before is of another time.

        Read after the dialogue with the submission port, so that it tells of that too.
        """
        _dialogue = self.submission
        found = parse(server_log.newest(self.server, 400))
        for index in range(len(found) - 1, -1, -1):
            if found[index].program.endswith("/master") and found[index].text.startswith(
                ("daemon started", "reload --")
            ):
                return found[index:]
        return found

    @cached_property
    def postfix_check(self) -> tuple[int, str]:
        """The exit status of `postfix check`, and what it printed.

        Where master.cf cannot be read, the check would need two more seconds to say so.
        """
        status, output = self.server.probe("sudo sh -c 'postconf -M > /dev/null && postfix check'")
        if status and not output.strip():
            # Without a terminal postfix(1) says what is wrong in the log only.
            said = [e for e in parse(server_log.newest(self.server, 20)) if complaint(e)]
            output = said[-1].line if said else ""
        return status, f"postfix check: {status}\n{output}" if status else output

    # -- dialogues -----------------------------------------------------------

    @property
    def relay(self) -> smtp.Dialogue:
        """A dialogue from the client with port 25, without a login."""
        return self.talk(25, login=False)

    @property
    def anonymous(self) -> smtp.Dialogue:
        """A dialogue from the client with port 587, without a login."""
        return self.talk(587, login=False)

    @cached_property
    def relay_login(self) -> smtp.Dialogue:
        """A dialogue from the client with port 25, with a login: under TLS where that is wanted."""
        return self._over_tls(self.talk(25, login=True))

    @cached_property
    def strangers(self) -> smtp.Dialogue:
        """A dialogue of a host that the server has no reason to trust, with port 25."""
        if self.hosts.stranger is None:
            raise NotHere(_("There is no third host from which port 25 could be tried."))
        if self.relay.is_open and self.relay.banner is None:
            return self.relay  # the server says nothing to anybody
        return self._without_login(self.hosts.stranger, self.settings.server_ip)

    @cached_property
    def elsewhere(self) -> dict[str, smtp.Dialogue]:
        """Dialogues with port 25 from each place but the client, without a login."""
        found = {}
        for place in probe.places(self):
            if place.origin.name == "stranger":
                found["stranger"] = self.strangers
            elif place.origin.name != "client":
                found[place.origin.name] = self._without_login(place.speaker, place.server)
        return found

    def _without_login(self, speaker: Runner, server: str) -> smtp.Dialogue:
        patience = ANSWER if self.relay.is_waiting else 5
        to = probe.outside_address(self.settings), self.settings.recipient
        return smtp.ask(speaker, smtp.Job(server, 25, *to, timeout=CONNECTION, patience=patience))

    @cached_property
    def submission(self) -> smtp.Dialogue:
        """A dialogue from the client with port 587: login, sender, recipient, then goodbye.

        Where the server wants TLS before a login, it gets it.
        """
        return self._over_tls(self.talk(587, login=True))

    @cached_property
    def hardening(self) -> Hardening:
        """What a careful postmaster tries."""
        return hardening.take(self)

    @cached_property
    def submissions(self) -> smtp.Dialogue:
        """The same dialogue with port 465, where TLS comes before the first word."""
        return self.talk(465, login=True)

    @property
    def opens_submissions(self) -> bool:
        """Return whether port 465 is opened: by the security group, else by the server itself."""
        try:
            rules = self.cloud.rules(self.cloud.names.server_group)
        except NotHere:
            return self.survey.is_open(465)
        return any(rule.opens(465) for rule in rules)

    def _over_tls(self, plain: smtp.Dialogue) -> smtp.Dialogue:
        if "STARTTLS" in plain.extensions and not plain.mechanisms and self.certificate:
            return self._ask(plain.port, True, certificate=self.certificate)
        return plain

    def talk(self, port: int, login: bool) -> smtp.Dialogue:
        """Hold an SMTP dialogue from the client up to RCPT; no mail is sent by it."""
        key = (port, login)
        if key not in self._dialogues:
            other = self._dialogues.get((port, not login))
            if other and other.is_silent:
                found = replace(other, login=self.settings.login if login else "")
            else:
                found = self._ask(port, login)
            self._dialogues[key] = found
        return self._dialogues[key]

    def _ask(self, port: int, login: bool, certificate: str = "") -> smtp.Dialogue:
        job = smtp.Job(
            self.settings.server_ip,
            port,
            # A hardened server keeps the senders of its own domain for those who log in.
            self.settings.sender if login else probe.outside_address(self.settings),
            self.settings.recipient,
            login=self.settings.login if login else "",
            password=self.password if login else None,
            # The log tells by this name to which try a line belongs.
            name=LOGIN_HELO if login else smtp.HELO,
            certificate=certificate,
            timeout=CONNECTION,
            patience=ANSWER,
            size=SIZE,
            is_check=True,
        )
        found = smtp.ask(self.client, job)
        # Where one dialogue has waited in vain, no other waits as long again.
        has_waited = any(one.is_waiting for one in list(self._dialogues.values()))
        if found.is_open and found.error and not has_waited and not self._has_died():
            # Slow is not broken: a name server that does not answer delays the first word.
            found = smtp.ask(self.client, replace(job, patience=5))
        return found

    def _has_died(self) -> bool:
        """Return whether the server's smtpd ends at its start, so that none will answer."""
        has_died = False
        for entry in parse(server_log.newest(self.server, 100)):
            if entry.text.startswith("daemon started"):
                has_died = False
            elif "smtpd: bad command startup" in entry.text or (
                entry.program.endswith("/smtpd") and entry.text.startswith("fatal:")
            ):
                has_died = True  # and after a reload master(8) still waits for a minute
        return has_died

    @cached_property
    def certificate(self) -> str:
        """The server's own certificate, read on the server itself; '' when it has none."""
        chain = self.survey.value("smtpd_tls_chain_files").replace(",", " ").split()
        files = filter(None, (self.survey.value("smtpd_tls_cert_file"), *chain))
        texts = (self.server.probe("sudo -n cat {path} 2>/dev/null", path=one)[1] for one in files)
        # Not the file as it is: a key may be in it as well.
        return next(filter(None, map(probe.first_certificate, texts)), "")
