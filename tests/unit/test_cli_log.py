"""`handson log`: of a file, of standard input and of the server."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handson.cli.log import SIZE, when
from handson.cli.main import main
from handson.errors import InvalidInput
from handson.hosts.systems import DEBIAN_12

LOG = Path(__file__).parent / "data" / "debian12-messages.log"
NOW = datetime.fromisoformat("2026-11-24T03:16:00+09:00")


class Server:
    """A server that tells the recorded log, and remembers what it was asked."""

    system = DEBIAN_12

    def __init__(self) -> None:
        self.text, self.asked = LOG.read_text(), {}

    def bulk(self, command: str, **values: object) -> tuple[int, str]:
        self.asked = values
        return 0, self.text

    def read(self, command: str) -> str:
        assert command == "date --iso-8601=seconds"
        return "2026-11-24T03:16:00+00:00\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def log(file: str = "", message: str = "", since: str = "") -> int:
    given = {"--file": file, "--message": message, "--since": since}
    words = [word for option, value in given.items() if value for word in (option, value)]
    return main(["log", "--name", "mine", *words])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    there = Server()

    def begin(slug: str, workspace: Any) -> Any:
        assert (slug, workspace.name) == ("07_log_check", "mine")
        return SimpleNamespace(hosts=SimpleNamespace(server=there, close=lambda: None))

    monkeypatch.setattr("handson.course.begin.begin", begin)
    return there


def test_file_in_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert log(str(LOG)) == 0
    shown = capsys.readouterr().out
    assert f"Reading {LOG}: done" in shown
    assert "status=sent" in shown and "By hour of the day" in shown


def test_message_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    log(str(LOG), message="8383F23A121")
    shown = capsys.readouterr().out
    assert "Message 8383F23A121" in shown
    assert "sasl_username" in shown and "4jYSch" not in shown


def test_lines_of_no_message_are_shown_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    file.write_text("Oct 21 02:21:15 relay postfix/smtpd[9]: 66857C01110: client=a[192.0.2.1]\n")
    log(str(file), message="66857C01110")
    assert "Lines of 66857C01110 that belong to no message" in capsys.readouterr().out


def test_message_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert log(str(LOG), message="66857C01110") == 1
    assert "no line about a message 66857C01110" in capsys.readouterr().err


def test_since_leaves_out_what_is_older(capsys: pytest.CaptureFixture[str]) -> None:
    log(str(LOG), since="2026-11-24T03:15:00+00:00")
    assert "The mail log from 2026-11-24T03:15:" in capsys.readouterr().out
    log(str(LOG), since="2027-01-01")
    assert "It has no line of Postfix about a message." in capsys.readouterr().out


def test_server_sends_only_what_counts(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    log(since="90s")
    since = datetime.fromisoformat("2026-11-24T03:14:30+00:00")
    assert server.asked["since"] == int(since.timestamp())
    assert server.asked["size"] == SIZE
    shown = capsys.readouterr().out
    assert "The mail log from 2026-11-24T03:15:" in shown and "Only the newest" not in shown


def test_server_that_has_more_says_so(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.text *= SIZE // len(server.text) + 1
    log()
    assert server.asked["since"] == 0
    assert "Only the newest 32 MiB of /var/log/mail.log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24 03:00", "2026-11-24T03:00:00+09:00"),
        ("2026-11-24", "2026-11-24T00:00:00+09:00"),
        ("2026-11-24T03:00:00Z", "2026-11-24T03:00:00+00:00"),
        ("03:00", "2026-11-24T03:00:00+09:00"),
        ("03:00:05", "2026-11-24T03:00:05+09:00"),
        ("1d", "2026-11-23T03:16:00+09:00"),
        ("0s", "2026-11-24T03:16:00+09:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    assert when(text, NOW) == datetime.fromisoformat(expected)
    assert when("2w", NOW) == NOW - timedelta(days=14)
    assert when("", NOW) is None


@pytest.mark.parametrize("text", ["yesterday", "2x", "25:00", "999999w", "2026-02-30", ":"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time"):
        when(text, NOW)
