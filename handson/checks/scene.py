"""What the rules look at: the hosts, the cloud and the log, read once for one round of checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from handson import mail
from handson.cloud import Cloud
from handson.host import Host
from handson.hosts import Hosts
from handson.maillog import Entry, Message, Refusal, messages, parse, refusals
from handson.postfix import Postfix
from handson.sasl import Sasl
from handson.secret import Secret
from handson.settings import Settings


@dataclass
class Scene:
    """A scene is thrown away after one round of checks, so that nothing in it is old."""

    settings: Settings
    hosts: Hosts
    cloud: Cloud
    password: Secret | None

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
        return Sasl(self.server, self.server.system)

    @cached_property
    def entries(self) -> list[Entry]:
        """The server's mail log, parsed."""
        return parse(self.server.probe("{log}")[1])

    @cached_property
    def messages(self) -> list[Message]:
        return messages(self.entries)

    @cached_property
    def refusals(self) -> list[Refusal]:
        return refusals(self.entries)

    @cached_property
    def submission(self) -> mail.Dialogue:
        """A dialogue from the client with port 587: login, sender, recipient, then goodbye."""
        return self.talk(587, login=True)

    def talk(self, port: int, login: bool) -> mail.Dialogue:
        """Hold an SMTP dialogue from the client up to RCPT; no mail is sent by it."""
        return mail.ask(
            self.client,
            self.settings.server_ip,
            port,
            sender=self.settings.sender,
            recipient=self.settings.recipient,
            login=self.settings.login if login else "",
            password=self.password if login else None,
        )
