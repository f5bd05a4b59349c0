"""The mail log of a host: files and programs of this machine stand in for the host's."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from handson.errors import CommandFailed
from handson.hosts.host import Host
from handson.hosts.systems import DEBIAN_12
from handson.mail import server_log
from handson.secret import Secret

NOW = datetime.now().astimezone().replace(microsecond=0)


class ThisMachine(Host):
    """A host whose commands run here; `sent` is how many characters came back last."""

    def __init__(self, log_file: str, **more: Any) -> None:
        super().__init__("server", lambda: None, **more)  # type: ignore[arg-type,return-value]
        self._system = replace(DEBIAN_12, log_file=log_file)
        self.sent = 0

    def _send(self, line: str, stdin: str | Secret = "") -> tuple[int, str]:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        self.sent = len(done.stdout)
        return done.returncode, done.stdout


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs that come before the machine's own, with a sudo in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder / "sudo", 'exec "$@"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


ISO, OLD = "%Y-%m-%dT%H:%M:%S.000000+00:00", "%b %e %H:%M:%S"


def lines(style: str, *hours: float) -> str:
    """Lines of so many hours ago."""
    text = ""
    for ago in hours:
        when = NOW - timedelta(hours=ago)
        text += f"{when.strftime(style)} relay postfix/qmgr[1]: 7777777777A: {ago}\n"
    return text


def write(file: Path, text: str, ago: float = 0, pack: Any = bytes) -> None:
    file.write_bytes(pack(text.encode()))
    moment = (NOW - timedelta(hours=ago)).timestamp()
    os.utime(file, (moment, moment))


def read(log: Path, ago: float | None = None, size: int = server_log.SIZE) -> list[str]:
    """What each line that comes says of its own age."""
    since = None if ago is None else NOW - timedelta(hours=ago)
    text = server_log.read(ThisMachine(str(log)), since, size)
    return [line.rpartition(" ")[2] for line in text.splitlines()]


@pytest.mark.parametrize("style", [ISO, OLD])
def test_what_is_older_is_left_on_the_host(style: str, log: Path) -> None:
    write(log, lines(style, 90, 9, 3.5, 2.5, 0.5, 0.1))
    assert read(log) == ["90", "9", "3.5", "2.5", "0.5", "0.1"]
    # An hour more than asked for, since a clock may have been put back.
    assert read(log, 2) == ["2.5", "0.5", "0.1"]
    assert read(log, 3) == ["3.5", "2.5", "0.5", "0.1"]


def test_zone_of_the_moment_does_not_matter(log: Path) -> None:
    write(log, lines(ISO, 9, 2.5, 0.1))
    since = (NOW - timedelta(hours=2)).astimezone(timezone(timedelta(hours=9)))
    text = server_log.read(ThisMachine(str(log)), since)
    assert text.count("\n") == 2


def test_day_that_is_still_to_come_was_one_of_the_past(log: Path) -> None:
    later = NOW + timedelta(days=40)
    line = f"{later.strftime('%b %e')} 12:00:00 relay postfix/qmgr[1]: 7777777777A: old\n"
    write(log, line + lines(OLD, 0.1))
    assert read(log, 24) == ["0.1"]


def test_line_without_a_stamp_is_kept_and_decides_nothing(log: Path) -> None:
    write(log, "\0\0 binary -\n" + lines(ISO, 50) + "<22>x -\n" + lines(ISO, 0.1))
    assert read(log, 1) == ["-", "-", "0.1"]


def test_rotated_files_come_first(log: Path) -> None:
    write(log.with_name("mail.log.3.xz"), lines(ISO, 300), 290, lzma.compress)
    write(log.with_name("mail.log.2.gz"), lines(ISO, 100), 90, gzip.compress)
    write(log.with_name("mail.log.1"), lines(ISO, 80, 20), 10)
    write(log.with_name("mail.log.bak"), lines(ISO, 80, 20), 10)
    write(log, lines(ISO, 5, 0.1))
    assert read(log) == ["300", "100", "80", "20", "5", "0.1"]
    assert read(log, 30) == ["20", "5", "0.1"]
    assert read(log, 6) == ["5", "0.1"]


def test_log_that_was_rotated_just_now(log: Path) -> None:
    write(log.with_name("mail.log-20261124"), lines(ISO, 4, 1), 0.5)
    write(log, "")
    assert read(log, 2) == ["1"]
    newest = server_log.newest(ThisMachine(str(log)), 1)
    assert newest.endswith(": 1")


def test_no_more_than_asked_for_is_sent(log: Path) -> None:
    noise = "".join(lines(ISO, n / 10_000) for n in range(20_000, 0, -1))
    write(log.with_name("mail.log.1"), noise, 1)
    write(log, noise)
    host = ThisMachine(str(log))
    text = server_log.read(host, size=100_000)
    assert len(text) == 100_000
    assert host.sent < 20_000
    assert text.endswith(noise[-1000:])
    assert len(server_log.newest(host, 30).split("\n")) == 30


def test_log_that_is_not_there_is_empty(log: Path) -> None:
    assert read(log) == read(log, 1) == []


def test_journal_is_read_from_its_end(programs: Path) -> None:
    program(programs / "journalctl", 'echo "$@"')
    since = datetime.fromtimestamp(1_800_000_000).astimezone()
    asked = server_log.read(ThisMachine(""), since, 200_000)
    journal = "SYSLOG_FACILITY=2 --no-pager -q -o short-iso"
    assert asked.strip() == f"{journal} --since @1800000000 -n 1333"
    assert server_log.oldest(ThisMachine("")).strip() == journal


# -- how it travels ------------------------------------------------------------


def test_bulk_is_what_probe_returns(log: Path) -> None:
    host = ThisMachine(str(log))
    assert host.bulk("printf 'a\\n\\n'") == (0, "a\n\n")
    assert host.bulk("echo {word}; exit 3", word="a b") == (3, "a b\n")
    assert host.bulk("ls /nowhere")[0] == 2
    assert "No such file" in host.bulk("ls /nowhere")[1]
    assert host.bulk("printf ''") == (0, "")


def test_what_is_read_is_no_other_for_a_password_that_stands_in_it(log: Path) -> None:
    # One letter is in every base64 there is.
    host = ThisMachine(str(log), hidden=lambda: (Secret("e"), ()))
    for _status, output in (host.bulk("echo hello"), host.probe("echo hello")):
        assert output == "hello\n" and str(output) == "h••••••••llo\n"
    assert host.read("echo hello").strip() == "hello"
    for view in (host.run("echo hello"), host.run("echo hello").commands[0]):
        assert "hello" not in view.text().split("\n", 1)[1] and "hello" not in view.output
    with pytest.raises(CommandFailed) as failed:
        host.read("echo hello; exit 1")
    assert "hello" not in str(failed.value)


def test_bulk_says_when_the_host_cannot_pack(programs: Path, log: Path) -> None:
    program(programs / "gzip", "echo no gzip here >&2; exit 1")
    with pytest.raises(CommandFailed):
        ThisMachine(str(log)).bulk("echo hello")
