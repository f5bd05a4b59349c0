"""A small mail server on loopback, which answers as it is told."""

from __future__ import annotations

import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Server(socketserver.ThreadingTCPServer):
    """Answers a command (its first word) as told, None: hangs up; keeps what it heard.

    Where it is `implicit`, TLS comes before the first word.
    """

    daemon_threads = True

    def __init__(
        self, answers: dict[str, str | None], chain: Path | None = None, implicit: bool = False
    ) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.chain, self.implicit = chain, implicit
        self.answers = {
            "": "220 mail.example.com ESMTP",
            "EHLO": "250-mail.example.com\n250-PIPELINING\n250-AUTH PLAIN LOGIN\n250 8BITMIME",
            "AUTH": "235 2.7.0 Authentication successful",
            "MAIL": "250 2.1.0 Ok",
            "RCPT": "250 2.1.5 Ok",
            "DATA": "354 End data with <CR><LF>.<CR><LF>",
            ".": "250 2.0.0 Ok: queued as 66857C01110",
            "STARTTLS": "220 2.0.0 Ready to start TLS",
            "RSET": "250 2.0.0 Ok",
            "VRFY": "502 5.5.1 VRFY command is disabled",
            "QUIT": "221 2.0.0 Bye",
        } | answers
        self.heard: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        raise AssertionError(self.heard)


class Talk(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        if self.server.implicit:
            self.encrypted(self.begin)
        else:
            self.begin()

    def begin(self) -> None:
        if self.answer(""):
            self.converse()

    def encrypted(self, go_on: Callable[[], None]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.server.chain
        context.load_cert_chain(self.server.chain)
        # A client that does not trust the certificate breaks off.
        with (
            suppress(OSError),
            context.wrap_socket(self.request, server_side=True) as self.request,
        ):
            self.setup()
            go_on()

    def converse(self) -> None:
        is_data = False
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            self.server.heard.append(line)
            if is_data and line != ".":
                continue
            word = line.split(" ")[0]
            if not self.answer(word):
                return
            if word == "STARTTLS" and self.server.chain:
                self.encrypted(self.converse)
                return
            is_data = word == "DATA"

    def answer(self, word: str) -> bool:
        answer = self.server.answers[word]
        if answer is None:
            return False
        self.wfile.write(answer.replace("\n", "\r\n").encode() + b"\r\n")
        return True


@contextmanager
def serving(
    chain: Path | None = None, implicit: bool = False, **answers: str | None
) -> Iterator[Server]:
    with Server(answers, chain, implicit) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def make_chain(folder: Path, name: str) -> Path:
    """Make a certificate for a name; return the file that holds it and its key."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    chain = folder / f"{name}.chain"
    chain.write_text(certificate.read_text() + key.read_text())
    return chain


def certificate_of(chain: Path) -> str:
    return chain.read_text().partition("-----BEGIN PRIVATE")[0]
