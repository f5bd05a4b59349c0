"""The program talks to a small server on loopback, run as it runs on a host."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from speaking import certificate_of, make_chain, serving

from handson.errors import HandsonError, InvalidInput
from handson.mail.smtp import HELO, Dialogue, Job, Reply, ask, ask_all
from handson.secret import Secret

PASSWORD = Secret("canary-tr0ub4dor")
RIGHT = base64.b64encode(b"\0smtp-auth@example.com\0canary-tr0ub4dor").decode()


class Here:
    """This machine as a host."""

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        words = command.replace("python3", sys.executable).split()
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr


def job(port: int, name: str = "m00.handson.invalid", **more: Any) -> Job:
    return Job("127.0.0.1", port, "hello@example.com", "friend@example.net", name=name, **more)


def talk(
    port: int, login: str = "", message: str | None = None, password: Secret | None = PASSWORD
) -> Dialogue:
    more = {"login": login, "password": password if login else None, "message": message}
    return ask(Here(), job(port, HELO, **more))


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
        place = Job(*full.getsockname(), "a@b.example", "c@d.example", timeout=0.3)
        dialogue = ask(Here(), place)
        for one in waiting:
            one.close()
    assert dialogue.connected == "timed out"
    assert "dropped on the way" in dialogue.outcome()


def test_an_address_without_a_way_is_unreachable() -> None:
    place = Job("255.255.255.255", 587, "a@b.example", "c@d.example", timeout=0.3)
    dialogue = ask(Here(), place)
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
        Job("127.0.0.1", 25, "a@b.example", address)


@pytest.mark.parametrize("output", ["", "bash: python3: command not found", "{}", "[1]", "null"])
def test_host_without_python_is_told(output: str) -> None:
    with pytest.raises(HandsonError) as raised:
        Dialogue.parse(output)
    assert "python3 --version" in raised.value.cure


# -- several dialogues by one program ------------------------------------------------------


def test_several_dialogues_are_held_in_their_order() -> None:
    with serving() as server, serving(RCPT="554 5.7.1 no") as other:
        ports = [one.server_address[1] for one in (server, other)]
        jobs = [job(ports[n % 2], f"m{n}.handson.invalid") for n in range(4)]
        held = ask_all(Here(), jobs)
    assert [one.name for one in held] == [one.name for one in jobs]
    assert [one.is_accepted for one in held] == [True, False, True, False]
    assert [line for line in server.heard if line.startswith("EHLO")] == [
        "EHLO m0.handson.invalid",
        "EHLO m2.handson.invalid",
    ]


def test_a_pause_comes_after_each_dialogue() -> None:
    with serving() as server:
        jobs = [job(server.server_address[1])] * 3
        began = time.monotonic()
        ask_all(Here(), jobs, pause=0.2)
    assert time.monotonic() - began > 0.6


def test_a_silent_place_is_waited_for_once() -> None:
    with socket.socket() as silent, serving() as server:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        jobs = [job(silent.getsockname()[1], patience=0.4)] * 4
        held = ask_all(Here(), [*jobs, *[job(server.server_address[1])] * 4])
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # nobody called a second time
            silent.accept()
    assert [one.error for one in held[:4]] == ["no answer"] * 4
    assert all(one.is_open for one in held)
    assert all(one.is_accepted for one in held[4:])


@pytest.mark.slow
def test_dialogues_for_which_no_time_is_left_say_so() -> None:
    with serving() as server:
        held = ask_all(Here(), [job(server.server_address[1])] * 2, seconds=3, pause=3.2)
    assert held[0].is_accepted
    assert held[1].outcome().endswith("cannot be reached: no time was left.")


def test_half_an_answer_is_an_error() -> None:
    class Broken:
        def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
            return 1, "Traceback …"

    with pytest.raises(HandsonError, match="Traceback"):
        ask_all(Broken(), [job(25), job(587)])


def test_a_password_is_not_sent_where_no_login_is_offered() -> None:
    with serving(EHLO="250 mail.example.com") as server:
        port = server.server_address[1]
        [held] = ask_all(
            Here(), [job(port, login="u@example.com", password=PASSWORD, insist=False)]
        )
        assert held.auth is None and held.mail is None and not held.error
        assert not any(line.startswith("AUTH") for line in server.heard)
        ask_all(Here(), [job(port, login="u@example.com", password=PASSWORD)])
    assert any(line.startswith("AUTH") for line in server.heard)


def test_a_job_shows_no_password() -> None:
    assert "canary" not in repr(job(587, login="u@example.com", password=PASSWORD))


# -- under TLS ------------------------------------------------------------------------------

TLS = "250-mail.example.com\n250-STARTTLS\n250 AUTH PLAIN"


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("chains")
    return make_chain(folder, "one"), make_chain(folder, "two")


def test_starttls_is_used_with_the_servers_own_certificate(chains: tuple[Path, Path]) -> None:
    with serving(chains[0], EHLO=TLS) as server:
        [held] = ask_all(
            Here(),
            [
                job(
                    server.server_address[1],
                    login="smtp-auth@example.com",
                    password=PASSWORD,
                    certificate=certificate_of(chains[0]),
                )
            ],
        )
    assert held.is_logged_in and held.is_accepted and not held.error
    assert held.starttls == Reply(220, "2.0.0 Ready to start TLS")
    words = [line.split(" ")[0] for line in server.heard]
    assert words == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"]
    assert "C: STARTTLS\nS: 220" in held.text()


def test_nobody_logs_in_at_a_server_with_another_certificate(chains: tuple[Path, Path]) -> None:
    with serving(chains[0], EHLO=TLS) as server:
        [held] = ask_all(
            Here(),
            [
                job(
                    server.server_address[1],
                    login="smtp-auth@example.com",
                    password=PASSWORD,
                    certificate=certificate_of(chains[1]),
                )
            ],
        )
    assert held.error == "another certificate than the server's"
    assert held.auth is None and held.mail is None
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.heard)


def test_without_a_certificate_starttls_is_left_alone() -> None:
    with serving(EHLO=TLS) as server:
        [held] = ask_all(Here(), [job(server.server_address[1])])
    assert held.starttls is None and held.is_accepted


def test_starttls_that_is_refused_ends_it() -> None:
    with serving(EHLO=TLS, STARTTLS="454 4.7.0 TLS not available") as server:
        [held] = ask_all(
            Here(),
            [
                job(
                    server.server_address[1],
                    certificate="-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                )
            ],
        )
    assert held.refusal == Reply(454, "4.7.0 TLS not available")
    assert held.mail is None


@pytest.fixture
def submissions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], int]]:
    """Take a port for the one where TLS comes first."""
    yield lambda port: monkeypatch.setattr("handson.mail.smtp.IMPLICIT_TLS", port) or port


def test_implicit_tls_comes_before_the_first_word(
    chains: tuple[Path, Path], submissions: Callable[[int], int]
) -> None:
    with serving(chains[0], implicit=True) as server:
        port = submissions(server.server_address[1])
        known = {"login": "u@example.com", "password": PASSWORD}
        held = ask(Here(), job(port, certificate=certificate_of(chains[0]), **known))
        other = ask(Here(), job(port, certificate=certificate_of(chains[1]), **known))
    assert held.is_logged_in and held.is_accepted and held.starttls is None
    assert held.tls == "TLSv1.3"
    assert held.text().startswith("# TLSv1.3, before the first word\nS: 220 ")
    assert other.error == "another certificate than the server's" and other.banner is None
    assert [line.split(" ")[0] for line in server.heard].count("AUTH") == 1


@pytest.mark.parametrize(
    "offer",
    [
        {"version": "TLSv1_1", "ciphers": "ALL:@SECLEVEL=0"},
        {"version": "TLSv1_2", "ciphers": "aNULL:@SECLEVEL=0"},
    ],
)
def test_a_server_of_today_refuses_weak_tls_and_the_next_try_is_made_all_the_same(
    offer: dict[str, str], chains: tuple[Path, Path], submissions: Callable[[int], int]
) -> None:
    with serving(chains[0], implicit=True) as server:
        port = submissions(server.server_address[1])
        weak, right = ask_all(Here(), [job(port, **offer), job(port)])
    assert weak.is_open and not weak.tls and "ALERT" in weak.error
    assert "ALERT" in weak.outcome()
    assert right.tls and right.is_accepted


def test_tls_in_a_place_where_nothing_is_said() -> None:
    with serving(**{"": None}) as server:
        first, second = ask_all(Here(), [job(server.server_address[1])] * 2)
    assert first.error == second.error == "connection closed by the server"


def test_further_commands_are_said_instead_of_mail_and_rcpt() -> None:
    with serving(RCPT="554 5.7.1 no") as server:
        held = ask(
            Here(),
            job(
                server.server_address[1],
                login="u@example.com",
                password=PASSWORD,
                commands=("VRFY root", "MAIL FROM:<>", "RCPT TO:<a@b.example>", "RSET"),
            ),
        )
    assert held.mail is None and not held.is_accepted
    assert held.refused == ["VRFY root", "RCPT TO:<a@b.example>"]
    assert held.refusal == Reply(502, "5.5.1 VRFY command is disabled")
    assert held.text() == (
        "C: AUTH PLAIN ••••••••\n"
        "S: 235 2.7.0 Authentication successful\n"
        "C: VRFY root\n"
        "S: 502 5.5.1 VRFY command is disabled\n"
        "C: MAIL FROM:<>\n"
        "S: 250 2.1.0 Ok\n"
        "C: RCPT TO:<a@b.example>\n"
        "S: 554 5.7.1 no\n"
        "C: RSET\n"
        "S: 250 2.0.0 Ok\n"
        "# The server refused: VRFY root, RCPT TO:<a@b.example>"
    )
    assert server.heard[-1] == "QUIT"


def test_a_login_that_fails_ends_it_before_further_commands() -> None:
    with serving(AUTH="535 5.7.8 no") as server:
        known = {"login": "u@example.com", "password": PASSWORD}
        held = ask(Here(), job(server.server_address[1], commands=("RSET",), **known))
    assert held.said == () and held.outcome() == "Refused: 535 5.7.8 no"


def test_a_command_of_several_lines_is_sent_at_once_with_all_its_answers() -> None:
    with serving() as server:
        held = ask(Here(), job(server.server_address[1], commands=("RSET\nVRFY a\r\nQUIT",)))
    assert [reply.code for reply in held.answers] == [250, 502, 221]
    assert held.outcome() == "The server refused: RSET …"
    assert "C: RSET<LF>\nC: VRFY a\nC: QUIT" in held.text()
    assert server.heard[1:] == ["RSET", "VRFY a", "QUIT"]


def test_a_server_that_hangs_up_amid_several_lines() -> None:
    with serving(VRFY=None) as server:
        held = ask(Here(), job(server.server_address[1], commands=("RSET\r\nVRFY a\r\nQUIT",)))
    assert [reply.code for reply in held.answers][:1] == [250] and not held.error


def test_a_null_sender_is_a_sender() -> None:
    with serving() as server:
        ask(Here(), Job("127.0.0.1", server.server_address[1], "", "friend@example.net"))
    assert "MAIL FROM:<>" in server.heard
