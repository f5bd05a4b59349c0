"""What a careful postmaster tries on a server that others log in to; no message is sent by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from handson.mail.relay_matrix import probe
from handson.mail.smtp import IMPLICIT_TLS, Dialogue, Job, Reply, ask_all

LOGIN_PORTS = (587, IMPLICIT_TLS)
# All that an OpenSSL of today still has; its own lists leave the weak ones out.
ANY_CIPHER, NO_CERTIFICATE = "ALL:@SECLEVEL=0", "aNULL:@SECLEVEL=0"
NULL_SENDER = ""


class Ground(probe.Ground, Protocol):
    """Where it is tried: an observation, which has read the server's certificate too."""

    @property
    def certificate(self) -> str: ...


@dataclass(frozen=True)
class Hardening:
    """How the server answered the client, each port for logins in the order of `LOGIN_PORTS`.

    `old_tls` offers nothing newer than TLS 1.1, `no_certificate` only ciphers without one.
    `senders` logs in and names one after the other its own address, another's, and the null
    sender. `spoof` names a sender of the server's own domain on port 25, with no login;
    `vrfy` asks there for a user, `pipelining` does not wait for an answer to EHLO.
    """

    old_tls: tuple[Dialogue, ...]
    no_certificate: tuple[Dialogue, ...]
    senders: tuple[Dialogue, ...]
    spoof: Dialogue
    vrfy: Dialogue
    pipelining: Dialogue

    @property
    def weak_tls(self) -> list[Dialogue]:
        """The dialogues in which the server took what is too old, or has no certificate."""
        return [one for one in (*self.old_tls, *self.no_certificate) if one.tls]


def take(ground: Ground) -> Hardening:
    """Try it all from the client, by one command; on each port for logins it logs in once."""
    settings = ground.settings
    own, root = settings.sender, f"root@{settings.domain}"
    other = f"somebody-else@{settings.domain}"

    def job(port: int, *commands: str, version: str = "", ciphers: str = "") -> Job:
        logs_in = bool(commands) and port in LOGIN_PORTS
        return Job(
            settings.server_ip,
            port,
            other,
            root,
            login=settings.login if logs_in else "",
            password=ground.password if logs_in else None,
            certificate=ground.certificate if port in LOGIN_PORTS else "",
            version=version,
            ciphers=ciphers,
            commands=commands,
            timeout=1.05,
            patience=5,
        )

    recipient = f"RCPT TO:<{settings.recipient}>"
    named = [f"MAIL FROM:<{sender}>" for sender in (own, other, NULL_SENDER)]
    senders = [command for mail in named for command in (mail, recipient, "RSET")]
    jobs = [job(port, version="TLSv1_1", ciphers=ANY_CIPHER) for port in LOGIN_PORTS]
    jobs += [job(port, version="TLSv1_2", ciphers=NO_CERTIFICATE) for port in LOGIN_PORTS]
    jobs += [job(port, *senders) for port in LOGIN_PORTS]
    jobs += [job(25), job(25, "VRFY root"), job(25, PIPELINED)]
    old, old_too, bare, bare_too, first, second, *rest = ask_all(ground.hosts.client, jobs)
    return Hardening((old, old_too), (bare, bare_too), (first, second), *rest)


# EHLO has to be the last command of a group (RFC 2920, 3.1).
PIPELINED = "EHLO handson.invalid\r\nNOOP\r\nQUIT"


def answer_to(dialogue: Dialogue, sender: str) -> Reply | None:
    """Return how the server answered to the recipient of a message from `sender`, or to him."""
    heard: Reply | None = None
    is_asked = False
    for command, replies in dialogue.said:
        if command.startswith("MAIL FROM:"):
            is_asked = command == f"MAIL FROM:<{sender}>"
        if is_asked and command != "RSET" and not (heard and heard.is_refusal):
            heard = replies[0]
    return heard
