"""What works and what is refused at this moment, and why: one verdict for checks and command.

It is judged by tries. The first link of the chain at which a try breaks off is where the cause
lies: what the try has passed is in order, and what it has not reached can not be known. Where
no cause is recognised there, the verdict says so, in the server's own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from handson.diagnosis import own_words
from handson.diagnosis.cause import Diagnosis, Link, said
from handson.diagnosis.chain import cause, diagnose
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.log import Entry, delivery, messages, moment
from handson.mail.log_refusals import complaint, refusal
from handson.mail.mailrc import ProgramTry
from handson.mail.observation import LOGIN_HELO, Observation
from handson.mail.smtp import HELO, Dialogue

UNKNOWN = "cause-not-known"
# So long a message may be on its way before it counts that no delivery is in the log.
ON_ITS_WAY = timedelta(seconds=5)


@dataclass(frozen=True)
class Try:
    """One try: what was tried, what came of it, and at which link it broke off (None: well).

    `port` is the one that was tried; `is_leak`: something was taken that has to be refused.
    """

    what: str
    seen: str
    broken: Link | None = None
    port: int = 587
    is_leak: bool = False

    @property
    def is_well(self) -> bool:
        return self.broken is None


@dataclass(frozen=True)
class Verdict:
    """The tries, the cause of the first that went wrong, and what else is recognised.

    `by_port` is the cause of what went wrong at each port.
    """

    tries: tuple[Try, ...]
    cause: Diagnosis | None
    others: tuple[Diagnosis, ...] = ()
    by_port: Mapping[int, Diagnosis] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Try]:
        return [one for one in self.tries if not one.is_well]

    @property
    def is_well(self) -> bool:
        return not self.wrong and self.cause is None


def broken_at(dialogue: Dialogue, login: bool = True) -> Link | None:
    """Return the link at which a dialogue broke off; None where it did not.

    Without a `login`, a refusal is an answer too, where the server is not at fault itself.
    """
    if dialogue.connected == "refused":
        return Link.LISTENS
    if not dialogue.is_open:
        return Link.PACKET
    if not login and dialogue.banner:
        answer = dialogue.refusal or dialogue.rcpt
        return Link.RESTRICTIONS if answer is None or own_words.is_own_fault(answer) else None
    if not dialogue.ehlo or dialogue.ehlo.is_refusal:
        return Link.GREETS
    if "PLAIN" not in dialogue.mechanisms:
        return Link.GREETS
    if not dialogue.is_logged_in:
        return Link.LOGIN
    return None if dialogue.is_accepted else Link.RESTRICTIONS


def judge(observed: Observation) -> Verdict:
    """Try what has to work and what has to be refused, and find the cause of what is wrong.

    Where the observation has a `stage` of the course, port 25 is tried from each place too.
    """
    needs = ["anonymous", "submission", "mailrc", "survey", "relay"]
    observed.read_ahead([*needs, "elsewhere"] if observed.stage else needs)
    tries = _tries(observed)
    causes = diagnose(observed)
    # Along the chain; where two tries broke off at one link, in their order.
    wrong = sorted((one for one in tries if one.broken), key=lambda one: one.broken or 0)
    if not wrong:
        # All that was tried is right: what only a try could show is refuted.
        causes = [one for one in causes if _is_state(one) or _link(one) >= Link.DELIVERY]
        return Verdict(tries, causes[0] if causes else None, tuple(causes[1:]))
    found: dict[str, Diagnosis] = {}
    by_port: dict[int, Diagnosis] = {}
    for one in wrong:
        # One fault has one cause: what breaks off later at a port follows from what did before.
        if one.port in by_port and not one.is_leak:
            continue
        behind = _behind(observed, one, causes)
        if not any(known.id in found for known in behind):
            found |= {known.id: known for known in behind}
        by_port.setdefault(one.port, behind[0])
    first, *others = found.values()
    return Verdict(tries, first, tuple(others), by_port)


def _behind(observed: Observation, wrong: Try, causes: list[Diagnosis]) -> list[Diagnosis]:
    """Return what is recognised behind a try that went wrong, or the server's own words."""
    fitting = [one for one in causes if cause(one.id).port in (0, wrong.port)]
    at_link = [
        one
        for one in fitting
        if _link(one) == wrong.broken and cause(one.id).is_leak is wrong.is_leak
    ]
    before = [one for one in fitting if _link(one) < (wrong.broken or 0) and _is_state(one)]
    found = at_link or (before if not wrong.is_leak else [])
    if found:
        return found
    said = own_words.diagnosis(observed, wrong.seen) if _is_answered(observed, wrong) else None
    return [said or _unknown(observed, wrong)]


def _is_answered(observed: Observation, wrong: Try) -> bool:
    """Return whether the server itself was behind what went wrong, so that its log can tell why."""
    if wrong.broken == Link.PACKET:
        return False  # nothing of it has reached the server
    if wrong.broken == Link.MAIL_PROGRAM:
        return observed.program.is_answered
    return not wrong.is_leak


def _tries(observed: Observation) -> tuple[Try, ...]:
    login, anonymous = observed.submission, observed.anonymous
    tries = [
        Try(_("a login on port 587 relays"), login.outcome(), broken_at(login)),
        _refused(_("without a login port 587 relays for nobody"), anonymous),
        Try(
            _("port 25 answers"),
            observed.relay.outcome(),
            broken_at(observed.relay, login=False),
            port=25,
        ),
    ]
    if observed.opens_submissions:
        implicit = observed.submissions
        what = _("a login on port 465 relays")
        tries.append(Try(what, implicit.outcome(), broken_at(implicit), port=465))
    if observed.stage:
        tries += _from_each_place(observed)
    if observed.mailrc.is_there and broken_at(login) is None:
        program = observed.program
        if program.is_there:
            tries.append(
                Try(
                    _("the mail program relays with its own settings"),
                    _from_where(observed, program),
                    None if program.is_accepted else Link.MAIL_PROGRAM,
                )
            )
    if last := newest_message(observed.recent, observed.settings.client_ip):
        tries.append(last)
    return tuple(tries)


def _from_where(observed: Observation, program: ProgramTry) -> str:
    """Return how the mail program's try ended, and with whom it spoke where its settings say so."""
    if program.is_accepted or not observed.mailrc.has_target:
        return program.outcome()
    return f"{observed.mailrc.address}:{observed.mailrc.port}: {program.outcome()}"


def _from_each_place(observed: Observation) -> Iterator[Try]:
    """Try port 25 from where nobody is to relay without a login, at this stage of the course."""
    names = {
        "stranger": _("port 25 relays for no stranger"),
        "internet": _("port 25 relays for nobody on the Internet"),
    }
    for name, dialogue in observed.elsewhere.items():
        yield _refused(names[name], dialogue)
    if observed.stage != "start":
        yield _refused(_("without a login port 25 does not relay for the client"), observed.relay)


def _refused(what: str, dialogue: Dialogue) -> Try:
    """Return the try of what has to be refused; what does not even answer relays for nobody."""
    leak = Link.RESTRICTIONS if dialogue.is_accepted else None
    return Try(what, dialogue.outcome(), leak, dialogue.port, is_leak=True)


def newest_message(entries: list[Entry], client: str) -> Try | None:
    """Return how the newest whole message of a client ended, as the log tells; None: there is none.

    What a server refuses only when it has the whole message, and what becomes of one that it
    took, no try up to the recipient shows.
    """
    own = [
        one
        for one in messages(entries)
        if one.sasl_username and f"[{client}]" in one.client and one.message_id
    ]
    since = entries[entries.index(own[-1].entries[0]) :] if own else entries
    refused = [
        entry
        for entry in since
        if (found := refusal(entry))
        and f"[{client}]" in found.client
        and (found.stage in ("DATA", "END-OF-MESSAGE") or found.stage.islower())
    ]
    # Where a program behind smtpd refuses, the client's answer is not logged, only why.
    begun = {
        entry.queue_id
        for entry in since
        if re.match(rf"client=\S*\[{re.escape(client)}\],.* sasl_username=", entry.text)
    }
    taken = {entry.queue_id for entry in since if "(queue active)" in entry.text}
    refused += [one for one in since if one.queue_id in begun - taken and complaint(one)]
    what = _("the newest message with a login was delivered")
    if refused:
        return Try(what, said(max(refused, key=since.index)), Link.DELIVERY)
    if not own:
        return None
    message = own[-1]
    if not message.deliveries:
        queued, now = message.entries[-1], datetime.now(UTC)
        if moment(entries[-1], now) - moment(queued, now) < ON_ITS_WAY:
            return None
        seen = _("{queue_id}: queued at {time}; no delivery is in the log").format(
            queue_id=message.queue_id, time=queued.clock
        )
        return Try(what, seen, Link.DELIVERY)
    # The newest of the tries to deliver that the log tells of.
    entry = next(one for one in reversed(message.entries) if delivery(one.text))
    blamed = None if message.deliveries[-1].is_sent else Link.DELIVERY
    return Try(what, f"{message.queue_id}: {said(entry)}", blamed)


def _link(one: Diagnosis) -> Link:
    return cause(one.id).link


def _is_state(one: Diagnosis) -> bool:
    """Return whether a cause is proven by state alone, whatever a try has met."""
    return cause(one.id).is_state


def _unknown(observed: Observation, wrong: Try) -> Diagnosis:
    lines = [wrong.seen]
    cure = _("Read more of them on the server: {command}").format(
        command=observed.server.fill("{log} | tail -n 40")
    )
    try:
        if wrong.broken == Link.PACKET:
            # A packet that is dropped leaves no line in any log.
            cure = _("Look at the rules of both security groups, and at firewalls on both hosts.")
            lines.append(_rules(observed))
        if wrong.broken == Link.MAIL_PROGRAM:
            lines.append(observed.program.command)
        if line := _line_of(observed, wrong):
            lines.append(line)
    except HandsonError:
        pass
    return Diagnosis(
        UNKNOWN,
        "\n".join(dict.fromkeys(lines)),
        _("The cause is not known. Above is what was seen.")
        if wrong.broken == Link.PACKET
        else _("The cause is not known. Above are the server's own words."),
        cure,
        "https://www.postfix.org/DEBUG_README.html",
    )


def _rules(observed: Observation) -> str:
    names = observed.cloud.names
    return "\n".join(
        f"{group}: {rule.direction} {rule.port} {rule.source}"
        for group in (names.server_group, names.client_group)
        for rule in observed.cloud.rules(group)
    )


def _line_of(observed: Observation, wrong: Try) -> str:
    """Return the newest line of the log about a refusal in this very try, or ''."""
    if (wrong.broken or 0) < Link.GREETS:
        return ""  # there was nobody to write one
    client = f"[{observed.settings.client_ip}]"
    name = HELO if wrong.port == 25 or wrong.is_leak else LOGIN_HELO
    for entry in reversed(observed.recent):
        # The mail program's own try ends so: an address that no server can take.
        if client not in entry.text or "Illegal address syntax" in entry.text:
            continue
        if not re.search(r"reject|warning:", entry.text):
            continue
        named = re.search(r" helo=<(.*?)>", entry.text)
        is_programs = named is None or not named[1].endswith(HELO)
        is_ours = named is None or named[1] == name
        if is_programs if wrong.broken == Link.MAIL_PROGRAM else is_ours:
            return said(entry)
    return ""
