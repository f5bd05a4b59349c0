"""The program talks to a small server on loopback, run as it runs on a host."""

from __future__ import annotations

import base64
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from handson.errors import HandsonError, InvalidInput
from handson.mail import Dialogue, Reply, ask, dialogue_program
from handson.secret import Secret

PASSWORD = Secret("canary-tr0ub4dor")
RIGHT = base64.b64encode(b"\0smtp-auth@example.com\0canary-tr0ub4dor").decode()


class Server(socketserver.ThreadingTCPServer):
    """Answers a command (its first word) as told, None: hangs up; keeps what it heard."""

    daemon_threads = True

    def __init__(self, answers: dict[str, str | None]) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.answers = {
            "": "220 mail.example.com ESMTP",
            "EHLO": "250-mail.example.com\n250-PIPELINING\n250-AUTH PLAIN LOGIN\n250 8BITMIME",
            "AUTH": "235 2.7.0 Authentication successful",
            "MAIL": "250 2.1.0 Ok",
            "RCPT": "250 2.1.5 Ok",
            "DATA": "354 End data with <CR><LF>.<CR><LF>",
            ".": "250 2.0.0 Ok: queued as 66857C01110",
            "RSET": "250 2.0.0 Ok",
            "QUIT": "221 2.0.0 Bye",
        } | answers
        self.heard: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        raise AssertionError(self.heard)


class Talk(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        is_data = False
        if not self.answer(""):
            return
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            self.server.heard.append(line)
            if is_data and line != ".":
                continue
            word = line.split(" ")[0]
            if not self.answer(word):
                return
            is_data = word == "DATA"

    def answer(self, word: str) -> bool:
        answer = self.server.answers[word]
        if answer is None:
            return False
        self.wfile.write(answer.replace("\n", "\r\n").encode() + b"\r\n")
        return True


@contextmanager
def serving(**answers: str | None) -> Iterator[Server]:
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Here:
    """This machine as a host."""

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        words = command.replace("python3", sys.executable).split()
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr


def talk(
    port: int, login: str = "", message: str | None = None, password: Secret | None = PASSWORD
) -> Dialogue:
    return ask(
        Here(),
        "127.0.0.1",
        port,
        sender="hello@example.com",
        recipient="friend@example.net",
        login=login,
        password=password if login else None,
        message=message,
    )


def test_right_login_would_relay() -> None:
    with serving() as server:
        dialogue = talk(server.server_address[1], login="smtp-auth@example.com")
    assert dialogue.is_open and dialogue.is_logged_in and dialogue.is_accepted
    assert dialogue.refusal is None
    assert dialogue.mechanisms == ("PLAIN", "LOGIN")
    assert dialogue.extensions["PIPELINING"] == ()
    assert dialogue.data is None
    assert server.heard == [
        "EHLO handson.invalid",
        f"AUTH PLAIN {RIGHT}",
        "MAIL FROM:<hello@example.com>",
        "RCPT TO:<friend@example.net>",
        "RSET",
        "QUIT",
    ]


def test_dialogue_reads_like_one() -> None:
    with serving() as server:
        dialogue = talk(server.server_address[1], login="smtp-auth@example.com")
    assert dialogue.text() == (
        "S: 220 mail.example.com ESMTP\n"
        "C: EHLO handson.invalid\n"
        "S: 250-mail.example.com\n"
        "S: 250-PIPELINING\n"
        "S: 250-AUTH PLAIN LOGIN\n"
        "S: 250 8BITMIME\n"
        "C: AUTH PLAIN ••••••••\n"
        "S: 235 2.7.0 Authentication successful\n"
        "C: MAIL FROM:<hello@example.com>\n"
        "S: 250 2.1.0 Ok\n"
        "C: RCPT TO:<friend@example.net>\n"
        "S: 250 2.1.5 Ok\n"
        "# The server would take a message for friend@example.net."
    )
    assert repr(dialogue) == dialogue.text()
    html = dialogue._repr_mimebundle_()["text/html"]
    assert "&lt;friend@example.net&gt;" in html
    assert "canary" not in html and RIGHT not in html


def test_wrong_password_ends_it() -> None:
    refused = "535 5.7.8 Error: authentication failed: authentication failure"
    with serving(AUTH=refused) as server:
        dialogue = talk(server.server_address[1], login="smtp-auth@example.com")
    assert dialogue.refusal == Reply(535, refused[4:])
    assert not dialogue.is_logged_in
    assert dialogue.mail is None
    assert dialogue.outcome() == f"Refused: {refused}"
    assert server.heard[-1] == "QUIT"


def test_no_login_is_refused_at_the_recipient() -> None:
    with serving(RCPT="554 5.7.1 <c[10.0.0.1]>: Client host rejected: Access denied") as server:
        dialogue = talk(server.server_address[1])
    assert dialogue.auth is None
    assert dialogue.rcpt and dialogue.rcpt.code == 554
    assert not dialogue.is_accepted
    assert not any(line.startswith("AUTH") for line in server.heard)


def test_message_is_sent_with_its_dots() -> None:
    with serving() as server:
        dialogue = talk(server.server_address[1], message="Subject: t\n\n.hidden\nend\n")
    assert dialogue.sent == Reply(250, "2.0.0 Ok: queued as 66857C01110")
    assert dialogue.outcome() == "The message was taken."
    start = server.heard.index("DATA")
    assert server.heard[start:] == ["DATA", "Subject: t", "", "..hidden", "end", ".", "QUIT"]


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        dialogue = talk(port)
    assert dialogue.connected == "refused"
    assert not dialogue.is_open and not dialogue.is_accepted
    assert dialogue.text() == (f"# 127.0.0.1:{port} refuses the connection: nothing listens there.")


def test_dropped_packets_time_out() -> None:
    # A full queue of connections that nobody accepts swallows the next SYN, as a firewall does.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(2)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        program = dialogue_program(
            *full.getsockname(), sender="a@b.example", recipient="c@d.example", timeout=0.3
        )
        dialogue = Dialogue.parse(Here().probe("python3 -", stdin=program)[1])
        for one in waiting:
            one.close()
    assert dialogue.connected == "timed out"
    assert "dropped on the way" in dialogue.outcome()


def test_unknown_host_is_unreachable() -> None:
    program = dialogue_program(
        "256.256.256.256", 587, sender="a@b.example", recipient="c@d.example", timeout=0.3
    )
    dialogue = Dialogue.parse(Here().probe("python3 -", stdin=program)[1])
    assert dialogue.connected == "unreachable"
    assert dialogue.error and dialogue.error in dialogue.outcome()


def test_server_that_hangs_up() -> None:
    with serving(EHLO=None) as server:
        dialogue = talk(server.server_address[1])
    assert dialogue.is_open
    assert dialogue.banner == Reply(220, "mail.example.com ESMTP")
    assert dialogue.error == "connection closed by the server"
    assert "broke off" in dialogue.outcome()
    assert dialogue.mechanisms == ()


def test_password_stands_in_no_face_of_the_dialogue() -> None:
    with serving(AUTH="535 no") as server:
        dialogue = talk(server.server_address[1], login="smtp-auth@example.com")
    for face in (dialogue.text(), dialogue.html(), repr(dialogue), str(vars(dialogue))):
        assert "canary" not in face
        assert RIGHT not in face


def test_odd_signs_in_a_password_arrive() -> None:
    odd = Secret("aA1!%&()*+,./:;<=>?@[]^_{|}~-")
    with serving() as server:
        talk(server.server_address[1], login="u@example.com", password=odd)
    coded = server.heard[1].split(" ")[2]
    assert base64.b64decode(coded).decode() == f"\0u@example.com\0{odd.reveal()}"


@pytest.mark.parametrize("address", ["a@b.example>\r\nDATA", "a\nb@c.example", "<a@b.example"])
def test_address_cannot_carry_a_command(address: str) -> None:
    with pytest.raises(InvalidInput):
        dialogue_program("127.0.0.1", 25, sender="a@b.example", recipient=address)


@pytest.mark.parametrize("output", ["", "bash: python3: command not found", "{}", "[1]", "null"])
def test_host_without_python_is_told(output: str) -> None:
    with pytest.raises(HandsonError) as raised:
        Dialogue.parse(output)
    assert "python3 --version" in raised.value.cure


def test_program_is_old_enough_for_every_host() -> None:
    import ast

    program = dialogue_program("h", 25, sender="a@b.example", recipient="c@d.example")
    ast.parse(program, feature_version=(3, 7))
