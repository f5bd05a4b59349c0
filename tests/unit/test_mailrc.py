"""The mail program's settings, read by the program that reads them on the client."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from handson.errors import HandsonError
from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12, System
from handson.mail.mailrc import Mailrc

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

    def read(self) -> Mailrc:
        # It is known to be silent: nothing is connected to.
        return Mailrc.take(self, "127.0.0.1", "a@example.com", "b@example.net", is_silent=True)


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
