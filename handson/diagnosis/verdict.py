"""What works and what is refused at this moment, and why: one verdict for checks and command.

It is judged by tries. The first link of the chain at which a try breaks off is where the cause
lies: what the try has passed is in order, and what it has not reached can not be known. Where
no cause is recognised there, the verdict says so, in the server's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from handson.diagnosis import own_words
from handson.diagnosis.cause import Diagnosis, Link
from handson.diagnosis.chain import cause, diagnose
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.observation import LOGIN_HELO, Scene
from handson.mail.smtp import HELO, Dialogue

UNKNOWN = "cause-not-known"


@dataclass(frozen=True)
class Try:
    """One try: what was tried, what came of it, and at which link it broke off (None: well)."""

    what: str
    seen: str
    broken: Link | None = None

    @property
    def is_well(self) -> bool:
        return self.broken is None


@dataclass(frozen=True)
class Verdict:
    """The tries, the cause of the first that went wrong, and what else is recognised."""

    tries: tuple[Try, ...]
    cause: Diagnosis | None
    others: tuple[Diagnosis, ...] = ()

    @property
    def wrong(self) -> list[Try]:
        return [one for one in self.tries if not one.is_well]

    @property
    def is_well(self) -> bool:
        return not self.wrong and self.cause is None


def broken_at(dialogue: Dialogue) -> Link | None:
    """Return the link at which a dialogue with a login broke off; None where it did not."""
    if dialogue.connected == "refused":
        return Link.LISTENS
    if not dialogue.is_open:
        return Link.PACKET
    if not dialogue.ehlo or dialogue.ehlo.is_refusal or "PLAIN" not in dialogue.mechanisms:
        return Link.GREETS
    if not dialogue.is_logged_in:
        return Link.LOGIN
    return None if dialogue.is_accepted else Link.RESTRICTIONS


def judge(scene: Scene, with_stranger: bool = False) -> Verdict:
    """Try what has to work and what has to be refused, and find the cause of what is wrong.

    `with_stranger` tries port 25 from a host too that the server has no reason to trust.
    """
    scene.read_ahead(("anonymous", "submission", "mailrc", "survey", "relay"))
    tries = _tries(scene, with_stranger)
    wrong = [one.broken for one in tries if one.broken]
    link = min(wrong, default=None)
    causes = diagnose(scene)
    if link is None:
        # All that was tried is right: what only a try could show is refuted.
        causes = [one for one in causes if _is_state(one) or _link(one) >= Link.DELIVERY]
        return Verdict(tries, causes[0] if causes else None, tuple(causes[1:]))
    at_link = [one for one in causes if _link(one) == link]
    before = [one for one in causes if _link(one) < link and _is_state(one)]
    found = at_link or before
    if not found:
        wrong_try = next(one for one in tries if one.broken == link)
        said = own_words.diagnosis(scene, wrong_try.seen)
        found = [said or _unknown(scene, wrong_try)]
    return Verdict(tries, found[0], tuple(found[1:]))


def _tries(scene: Scene, with_stranger: bool) -> tuple[Try, ...]:
    login = scene.submission
    tries = [Try(_("a login on port 587 relays"), login.outcome(), broken_at(login))]
    anonymous = scene.anonymous
    tries.append(
        Try(
            _("without a login port 587 relays for nobody"),
            anonymous.outcome(),
            Link.RESTRICTIONS if anonymous.is_accepted else None,
        )
    )
    if scene.opens_submissions:
        implicit = scene.submissions
        tries.append(Try(_("a login on port 465 relays"), implicit.outcome(), broken_at(implicit)))
    if with_stranger and scene.hosts.stranger:
        tries.append(
            Try(
                _("port 25 relays for no stranger"),
                scene.strangers.outcome(),
                Link.RESTRICTIONS if scene.strangers.is_accepted else None,
            )
        )
    if scene.mailrc.is_there and broken_at(login) is None:
        program = scene.program
        if program.is_there:
            tries.append(
                Try(
                    _("the mail program relays with its own settings"),
                    program.outcome(),
                    None if program.is_accepted else Link.MAIL_PROGRAM,
                )
            )
    return tuple(tries)


def _link(one: Diagnosis) -> Link:
    return cause(one.id).link


def _is_state(one: Diagnosis) -> bool:
    """Tell whether a cause is proven by state alone, whatever a try has met."""
    return cause(one.id).is_state


def _unknown(scene: Scene, wrong: Try) -> Diagnosis:
    lines = [wrong.seen]
    try:
        if wrong.broken == Link.MAIL_PROGRAM:
            lines.append(scene.program.command)
        if line := _line_of(scene, wrong):
            lines.append(line)
    except HandsonError:
        pass
    log = scene.server.fill("{log} | tail -n 40")
    return Diagnosis(
        UNKNOWN,
        "\n".join(dict.fromkeys(lines)),
        _("The cause is not known. Above are the server's own words."),
        _("Read more of them on the server: {command}").format(command=log),
        "https://www.postfix.org/DEBUG_README.html",
    )


def _line_of(scene: Scene, wrong: Try) -> str:
    """Return the newest line of the log about a refusal in this very try, or ''."""
    client = f"[{scene.settings.client_ip}]"
    for entry in reversed(scene.recent):
        if client not in entry.text or not re.search(r"reject|warning:", entry.text):
            continue
        named = re.search(r" helo=<(.*?)>", entry.text)
        is_programs = named is None or not named[1].endswith(HELO)
        is_logins = named is None or named[1] == LOGIN_HELO
        if is_programs if wrong.broken == Link.MAIL_PROGRAM else is_logins:
            return f"{entry.clock} {entry.program}: {entry.text}"
    return ""
