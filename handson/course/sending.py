"""Sending from the client: one dialogue, one message, or every way to relay."""

from __future__ import annotations

from datetime import datetime
from email.utils import formatdate
from secrets import token_hex

from handson.course.workplace import Workplace
from handson.mail import smtp
from handson.mail.received import received
from handson.mail.relay_matrix import probe
from handson.mail.relay_matrix.probe import Matrix
from handson.secret import Secret
from handson.ui.view import View


class Sending(Workplace):
    """What the notebooks of several steps do with the hosts."""

    def talk(
        self,
        port: int,
        login: bool | str = False,
        send: str = "",
        sender: str = "",
        password: Secret | None = None,
    ) -> smtp.Dialogue:
        """Hold an SMTP dialogue from the client with the server.

        `login` is True for the learner's own login, or the name of another one with its
        `password`; then TLS is used where it is offered. `send` is the subject of a message to
        be sent; without it the dialogue ends with the answer to RCPT. `sender` is the envelope
        sender; the header From: always has the learner's.
        """
        job = smtp.Job(
            self.settings.server_ip,
            port,
            sender or self.settings.sender,
            self.settings.recipient,
            login=self.settings.login if login is True else login or "",
            password=(password or self.password) if login else None,
            message=self._message(send) if send else None,
            certificate=probe.read_certificate(self.server) if login else "",
        )
        return smtp.ask(self.client, job)

    def _message(self, subject: str) -> str:
        headers = {
            "From": self.settings.sender,
            "To": self.settings.recipient,
            "Subject": subject,
            "Date": formatdate(),
            # As s-nail writes it: the day and the time, something random, the sender.
            "Message-ID": f"<{datetime.now():%Y%m%d%H%M%S}.{token_hex(4)}%{self.settings.sender}>",
        }
        lines = [f"{name}: {value}" for name, value in headers.items()]
        return "\n".join([*lines, "", "smtp-handson", ""])

    def received(self, subject: str, seconds: float = 15) -> View:
        """Return the newest message of that subject in the recipient's mailbox."""
        return received(self.hosts.mailbox, self.settings.recipient, subject, seconds)

    def relay_matrix(self, stage: str) -> Matrix:
        """Try who may relay, and compare with what is right at a stage of the course.

        `stage` is 'start', 'after_login' or 'hardened'; no message is sent by it.
        """
        return probe.relay_matrix(self, stage)
