"""What a mail server does, judged from outside: by a mail program and by dialogues of its own.

Nothing of `handson.mail` is used for it: it says what is true, and the diagnosis has to agree.
"""

from __future__ import annotations

import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields

from finished import Finished

from handson.hosts.host import Host
from handson.mail.received import newest_mail
from handson.mail.smtp import HELO

PROGRAM = r"""
import json, smtplib, ssl, threading
given = json.loads(GIVEN)

def talk(port, login):
    found = "dead"
    try:
        with smtplib.SMTP(given["host"], port, given["name"], timeout=30) as server:
            server.ehlo()
            if login and not server.has_extn("auth") and server.has_extn("starttls"):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                server.starttls(context=context)
                server.ehlo()
            if login:
                server.user, server.password = given["login"], given["password"]
                server.auth("PLAIN", server.auth_plain)
                found = "logged in"
            refused = "logged in" if login else "refused"
            if server.mail(given["sender"])[0] >= 400:
                return refused
            return "taken" if server.rcpt(given["recipient"])[0] < 400 else refused
    except (OSError, smtplib.SMTPException) as error:
        return "refused" if isinstance(error, smtplib.SMTPResponseException) else found

answers = {}
def ask(port, login):
    answers[f"{port} {login}"] = talk(port, login)
threads = [threading.Thread(target=ask, args=one) for one in given["tries"]]
for one in threads: one.start()
for one in threads: one.join()
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Truth:
    """What works (a login, the mail program's own mail, its arrival), and what relays without one.

    `answers`: port 25 says who it is.
    """

    logs_in: bool
    relays: bool
    program_sends: bool
    arrives: bool
    answers: bool
    anonymous_relays: bool
    client_relays: bool
    stranger_relays: bool
    said: str = field(default="", compare=False)

    @property
    def differs(self) -> list[str]:
        """What is otherwise than at the end of the course."""
        return [
            one.name
            for one in fields(self)
            if one.name != "said" and getattr(self, one.name) != getattr(GOOD, one.name)
        ]


GOOD = Truth(True, True, True, True, True, False, False, False)


def judge(finished: Finished) -> Truth:
    """Try everything from outside."""
    step = finished.step
    subject = f"outside {secrets.token_hex(4)}"
    client, stranger, mailbox = step.hosts.client, step.hosts.stranger, step.hosts.mailbox
    assert stranger and mailbox
    # As the notebook has the learner do it.
    send = (
        'echo "smtp-handson" | timeout 60 {mail} -s {subject} -S smtp=smtp://{server_ip}:587 '
        "-r {sender} {recipient}"
    )
    with ThreadPoolExecutor(3) as pool:
        of_client = pool.submit(_ask, finished, client, [(587, True), (587, False), (25, False)])
        of_stranger = pool.submit(_ask, finished, stranger, [(25, False)])
        sent = pool.submit(client.probe, send, subject=subject)
        tries, strange, (status, said) = of_client.result(), of_stranger.result(), sent.result()
    login = tries["587 True"]
    return Truth(
        logs_in=login in ("logged in", "taken"),
        relays=login == "taken",
        program_sends=status == 0,
        arrives=status == 0 and _arrives(mailbox, step.settings.recipient, subject),
        answers="dead" not in (tries["25 False"], strange["25 False"]),
        anonymous_relays=tries["587 False"] == "taken",
        client_relays=tries["25 False"] == "taken",
        stranger_relays=strange["25 False"] == "taken",
        said=f"{tries} {strange} {said.strip()[-160:]}",
    )


def _ask(finished: Finished, host: Host, tries: list[tuple[int, bool]]) -> dict[str, str]:
    settings = finished.step.settings
    given = {
        "host": settings.server_ip,
        "name": f"outside.{HELO}",
        "sender": settings.sender,
        "recipient": settings.recipient,
        "login": settings.login,
        "password": finished.step.password.reveal(),
        "tries": tries,
    }
    program = PROGRAM.replace("GIVEN", repr(json.dumps(given)))
    answers: dict[str, str] = json.loads(host.probe("python3 -", stdin=program)[1])
    return answers


def _arrives(mailbox: Host, recipient: str, subject: str, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if newest_mail(mailbox, recipient, subject):
            return True
        time.sleep(0.2)
    return False
