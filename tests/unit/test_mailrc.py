"""The mail program's settings, read by the program that reads them on the client."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from speaking import make_chain, serving

import handson.mail
from handson.errors import HandsonError
from handson.hosts.local import Here
from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12, System
from handson.mail.mailrc import Mailrc, ProgramTry
from handson.mail.smtp import Job, ask

OLD = "set smtp-auth=plain\nset smtp-auth-user=u@example.com\nset smtp-auth-password=secret12\n"


@dataclass
class Home:
    """This machine as the client, with a home folder of its own and no server anywhere."""

    path: Path
    system: System = DEBIAN_12
    said: str = field(default="", init=False)

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        assert command == "python3 -"
        run = subprocess.run(
            [sys.executable, "-"],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(self.path)},
            check=False,
        )
        self.said = run.stdout + run.stderr
        return run.returncode, self.said

    def write(self, name: str, text: str, mode: int = 0o600) -> None:
        (self.path / name).write_text(text)
        (self.path / name).chmod(mode)

    def read(self, is_silent: bool = True) -> Mailrc:
        # It is known to be silent: nothing is connected to.
        return Mailrc.take(self, "127.0.0.1", "a@example.com", "b@example.net", is_silent)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_nothing_there(home: Home) -> None:
    found = home.read()
    assert not found.is_there
    assert found.user == found.secret_mode == ""


def test_old_form(home: Home) -> None:
    home.write(".mailrc", OLD, 0o640)
    found = home.read()
    assert (found.user, found.mechanism, found.source) == ("u@example.com", "PLAIN", "~/.mailrc")
    assert found.secret_mode == "0640"
    assert found.dialogue is not None and found.dialogue.connected == "timed out"


def test_password_stays_on_the_client(home: Home) -> None:
    home.write(".mailrc", OLD)
    home.read()
    assert "secret12" not in home.said


def test_unset_takes_back(home: Home) -> None:
    home.write(".mailrc", OLD + "unset smtp-auth-password\n")
    assert home.read().user == ""


def test_without_mechanism(home: Home) -> None:
    home.write(".mailrc", OLD.replace("set smtp-auth=plain\n", ""))
    assert home.read().user == ""  # s-nail does not log in then
    home.system = AMAZON_LINUX_2023
    assert home.read().mechanism == "LOGIN"  # Heirloom mailx does, by LOGIN


def test_v15_ignores_the_old_variables(home: Home) -> None:
    home.write(".mailrc", "set v15-compat\n" + OLD)
    found = home.read()
    assert found.is_v15 and found.user == ""
    assert found.old_names == ["smtp-auth-user", "smtp-auth-password"]


def test_heirloom_knows_no_v15(home: Home) -> None:
    home.system = AMAZON_LINUX_2023
    home.write(".mailrc", "set v15-compat\n" + OLD)
    assert home.read().user == "u@example.com"


def test_v15_url(home: Home) -> None:
    home.write(".mailrc", "set v15-compat mta=smtp://u%40example.com:secret12@127.0.0.1:587\n")
    found = home.read()
    assert (found.user, found.port, found.mechanism) == ("u@example.com", 587, "PLAIN")


@pytest.mark.parametrize(("mode", "user"), [(0o600, "u@example.com"), (0o644, "")])
def test_netrc(home: Home, mode: int, user: str) -> None:
    home.write(".mailrc", "set v15-compat mta=smtp://127.0.0.1:587 netrc-lookup\n", 0o644)
    home.write(".netrc", "machine 127.0.0.1 login u@example.com password secret12\n", mode)
    found = home.read()
    assert found.user == user
    assert found.secret_mode == ("0600" if user else "")


def test_tls_settings(home: Home) -> None:
    home.write(".mailrc", "set smtp-use-starttls tls-verify=ignore tls-ca-file=~/ca.pem\n")
    found = home.read()
    assert found.uses_tls and not found.verifies
    assert found.ca_file == f"{home.path}/ca.pem"


def test_line_that_cannot_be_parsed_is_passed_over(home: Home) -> None:
    home.write(".mailrc", 'set x="open\n' + OLD)
    assert home.read().user == "u@example.com"


def test_program_that_did_not_run() -> None:
    with pytest.raises(HandsonError, match="python3: not found"):
        Mailrc.parse("sh: python3: not found\n")


# -- what a server answers to them ----------------------------------------------------------

TLS = "250-mail.example.com\n250-STARTTLS\n250 AUTH PLAIN"


def settings(port: int, *more: str) -> str:
    return OLD + "".join(f"set {line}\n" for line in (f"smtp=smtp://127.0.0.1:{port}", *more))


def test_the_login_is_tried_up_to_the_recipient(home: Home) -> None:
    with serving() as server:
        home.write(".mailrc", settings(server.server_address[1]))
        talk = home.read(is_silent=False).dialogue
    assert talk and talk.is_logged_in and talk.is_accepted and not talk.error
    plain = base64.b64encode(b"\0u@example.com\0secret12").decode()
    assert server.heard[:4] == [
        "EHLO handson.invalid",
        f"AUTH PLAIN {plain}",
        "MAIL FROM:<a@example.com>",
        "RCPT TO:<b@example.net>",
    ]
    assert server.heard[-1] == "QUIT"


def test_the_size_is_announced_where_the_server_knows_it() -> None:
    for ehlo, said in (("250-mail.example.com\n250 SIZE 400", " SIZE=500"), ("250 mail", "")):
        with serving(EHLO=ehlo) as server:
            job = Job("127.0.0.1", server.server_address[1], "a@example.com", "b@x", size=500)
            ask(Here(), job)
        assert f"MAIL FROM:<a@example.com>{said}" in server.heard


def test_login_by_the_mechanism_login(home: Home) -> None:
    coded = [base64.b64encode(word).decode() for word in (b"u@example.com", b"secret12")]
    answers = {coded[0]: "334 UGFzc3dvcmQ6", coded[1]: "235 2.7.0 ok"}
    with serving(AUTH="334 VXNlcm5hbWU6", **answers) as server:
        home.write(".mailrc", settings(server.server_address[1], "smtp-auth=login"))
        talk = home.read(is_silent=False).dialogue
    assert talk and talk.is_logged_in and talk.is_accepted
    assert server.heard[1:4] == ["AUTH LOGIN", *coded]


def test_mechanism_login_that_is_refused_gives_away_nothing(home: Home) -> None:
    with serving(AUTH="535 5.7.8 no mechanism available") as server:
        home.write(".mailrc", settings(server.server_address[1], "smtp-auth=login"))
        talk = home.read(is_silent=False).dialogue
    assert talk and talk.refusal and talk.refusal.code == 535 and talk.mail is None
    assert server.heard[1:] == ["AUTH LOGIN", "QUIT"]


@pytest.mark.parametrize("more", [(), ("tls-ca-file=~/other.pem",)])
def test_certificate_that_nobody_vouches_for(
    home: Home, tmp_path: Path, more: tuple[str, ...]
) -> None:
    make_chain(tmp_path, "other")
    with serving(make_chain(tmp_path, "one"), EHLO=TLS) as server:
        port = server.server_address[1]
        home.write(".mailrc", settings(port, "smtp-use-starttls", *more))
        talk = home.read(is_silent=False).dialogue
    assert talk and talk.starttls and "certificate" in talk.error and talk.auth is None
    assert server.heard == ["EHLO handson.invalid", "STARTTLS"]


def test_certificate_that_is_not_looked_at(home: Home, tmp_path: Path) -> None:
    with serving(make_chain(tmp_path, "one"), EHLO=TLS) as server:
        port = server.server_address[1]
        home.write(".mailrc", settings(port, "smtp-use-starttls", "tls-verify=ignore"))
        talk = home.read(is_silent=False).dialogue
    assert talk and talk.is_logged_in and not talk.error
    assert server.heard[:3] == ["EHLO handson.invalid", "STARTTLS", "EHLO handson.invalid"]


def test_certificate_for_another_name(home: Home, tmp_path: Path) -> None:
    chain = make_chain(tmp_path, "one")
    with serving(chain, EHLO=TLS) as server:
        port = server.server_address[1]
        home.write(".mailrc", settings(port, "smtp-use-starttls", "tls-ca-file=~/one.pem"))
        talk = home.read(is_silent=False).dialogue
    assert talk and "mismatch" in talk.error and talk.auth is None


@pytest.mark.parametrize("verify", ["strict", "ignore"])
def test_an_address_with_smtps_begins_with_tls(home: Home, tmp_path: Path, verify: str) -> None:
    with serving(make_chain(tmp_path, "one"), implicit=True) as server:
        text = settings(server.server_address[1], f"tls-verify={verify}")
        home.write(".mailrc", text.replace("smtp://", "smtps://"))
        found = home.read(is_silent=False)
    talk = found.dialogue
    assert found.uses_tls and talk and talk.is_open and talk.starttls is None
    if verify == "strict":
        assert "certificate" in talk.error and talk.banner is None
    else:
        assert talk.tls and talk.is_logged_in and talk.is_accepted


def test_smtps_without_a_port_means_465(home: Home) -> None:
    home.write(".mailrc", "set v15-compat mta=smtps://u:p@127.0.0.1 smtp-auth=plain\n")
    assert home.read(is_silent=True).port == 465


def test_nothing_listens(home: Home) -> None:
    with serving() as server:
        port = server.server_address[1]
    home.write(".mailrc", settings(port))
    talk = home.read(is_silent=False).dialogue
    assert talk and talk.connected == "refused"


@pytest.mark.parametrize(
    ("status", "output", "ok"),
    [
        (4, "s-nail: SMTP server: 501 5.1.3 Bad recipient address syntax", True),
        (4, "s-nail: SMTP server: 504 5.5.2 <handson-1@a..b>: Recipient address rejected", True),
        (4, "s-nail: SMTP server: 554 5.7.1 <x>: Client host rejected: Access denied", False),
        # The program itself would not have it: the server was never asked.
        (4, "s-nail: handson-1@a..b contains invalid characters\ns-nail: ... not sent", False),
        (127, "sh: 1: s-nail: not found", False),
    ],
)
def test_only_an_answer_of_the_server_counts(status: int, output: str, ok: bool) -> None:
    found = ProgramTry("s-nail …", status, output, "handson-1")
    assert found.is_accepted is ok
    assert ("would take a message" in found.outcome()) is ok
    assert found.is_there is (status != 127)


def test_settings_of_the_whole_system(tmp_path: Path) -> None:
    """The file that sets the password counts, and the later file of two."""
    program = (Path(handson.mail.__file__).parent / "remote/mailrc.py").read_text()
    system = tmp_path / "s-nail.rc"
    system.write_text(OLD)
    (tmp_path / ".mailrc").write_text("set smtp-auth-user=v@example.com\n")
    names: dict[str, Any] = {}
    exec(program, names)
    names["FILES"] = (str(system), str(tmp_path / ".mailrc"))
    known, origin = names["read_settings"]()
    assert known["smtp-auth-user"] == "v@example.com"
    assert origin["smtp-auth-password"] == str(system)
    assert origin["smtp-auth-user"] == str(tmp_path / ".mailrc")
