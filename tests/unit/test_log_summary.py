"""A log in figures, and the trail of one message, out of files of every kind."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from handson.errors import HandsonError
from handson.mail import log as maillog
from handson.mail import log_refusals, log_summary
from handson.mail.log_summary import LogSummary, Summary, lines_of, summarise, trail

DATA = Path(__file__).parent / "data"
LOGS = sorted(DATA.glob("*.log"))
HEAD = "2026-11-24T03:09:43.528526+00:00 relay postfix/"
LOGIN = "sasl_method=PLAIN, sasl_username="
REJECT = "NOQUEUE: reject: RCPT from a[192.0.2.{n}]: 454 4.7.1 <x{n}@y>: Relay access denied"


def delivered(status: str, relay: str = "mx.example.net[192.0.2.1]:25", said: str = "ok") -> str:
    return (
        f"{HEAD}smtp[5]: 7777777777A: to=<y@example.net>, relay={relay}, delay=1, "
        f"delays=0/0/1/0, tls=may, dsn=2.0.0, status={status} ({said})"
    )


LINES = [
    f"{HEAD}smtpd[1]: connect from a[192.0.2.1]",
    f"{HEAD}submission/smtpd[1]: 7777777777A: client=a[192.0.2.1], {LOGIN}joe@example.com",
    f"{HEAD}smtpd[1]: 7777777777B: client=a[192.0.2.1]",
    f"{HEAD}pickup[2]: 7777777777C: uid=0 from=<root>",
    f"{HEAD}cleanup[3]: 7777777777C: message-id=<: client=x status=sent reject: fatal: @a>",
    delivered("sent"),
    delivered("sent", "local", "forwarded as 7777777777D"),
    delivered("deferred", "none"),
    delivered("bounced").replace("T03:", "T04:"),
    *(f"{HEAD}smtpd[1]: {REJECT.format(n=n)}; from=<> to=<x> proto=ESMTP helo=<a>" for n in "123"),
    f"{HEAD}smtpd[1]: warning: a[192.0.2.1]: SASL PLAIN authentication failed: no, sasl_username=b",
    f"{HEAD}smtpd[1]: warning: hostname a.example.net does not resolve to address 192.0.2.1",
    f"{HEAD}smtpd[1]: warning: hostname b.example.net does not resolve to address 192.0.2.2",
    f"{HEAD}smtpd[1]: fatal: /etc/postfix/main.cf, line 3: bad",
    "2026-11-24T03:09:43+00:00 relay sshd[1]: fatal: no client=x, status=sent",
    "",
]


def test_everything_is_counted() -> None:
    found = Summary().count(LINES)
    assert (found.lines, found.messages) == (len(LINES), 3)
    assert found.deliveries.counts == {"sent": 1, "forwarded": 1, "deferred": 1, "bounced": 1}
    assert found.users.counts == {"joe@example.com": 1}
    assert found.relays.counts == {"mx.example.net": 2, "local": 1, "none": 1}
    assert found.refusals.counts == {"RCPT 454 4.7.1 Relay access denied": 3}
    assert found.logins.counts == {"no": 1}
    assert found.complaints.counts == {
        ("warning", "smtpd", "hostname … does not resolve to address …"): 2,
        ("fatal", "smtpd", "/etc/postfix/main.cf, line … bad"): 1,
    }
    assert set(found.hours) == {"03", "04"}
    hour = found.hours["03"]
    assert (hour.received, hour.sent, hour.deferred, hour.bounced, hour.refused) == (3, 1, 1, 0, 3)
    assert found.hours["04"].bounced == 1


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_figures_are_those_of_the_whole_log_in_memory(log: Path) -> None:
    entries = maillog.parse(log.read_text())
    whole = maillog.messages(entries)
    found = summarise(log)
    tries = [entry for entry in entries if maillog.delivery(entry.text)]
    starts = [entry for entry in entries if entry.text.startswith(("client=", "uid="))]
    assert found.deliveries.total == found.relays.total == len(tries)
    assert found.messages == len(starts) >= len([m for m in whole if m.client])
    assert found.refusals.total + found.logins.total == len(log_refusals.refusals(entries))


def test_traditional_stamps_count_by_the_hour_too() -> None:
    line = delivered("sent").replace("2026-11-24T03:09:43.528526+00:00", "Nov 24 23:09:43")
    assert Summary().count([line]).hours["23"].sent == 1


def test_memory_is_bounded_in_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_summary, "NAMES", 3)
    found = Summary().count(delivered("sent", f"mx{n}[192.0.2.1]:25") for n in range(10))
    assert (len(found.relays.counts), found.relays.others, found.relays.total) == (3, 7, 10)
    assert re.search(r"others +7$", LogSummary(found).text())


# -- files ---------------------------------------------------------------------

TEXT = "".join(f"{line}\n" for line in LINES)
PACKED = {
    "plain": TEXT.encode(),
    "gz": gzip.compress(TEXT[:500].encode()) + gzip.compress(TEXT[500:].encode()),
    "xz": lzma.compress(TEXT.encode()),
    "zst": zstandard.compress(TEXT[:500].encode()) + zstandard.compress(TEXT[500:].encode()),
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_files_are_read_as_plain_ones(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "log.of-any-name"
    file.write_bytes(PACKED[kind])
    read: list[int] = []
    assert list(lines_of(file, read.append)) == LINES
    assert read[-1] == len(PACKED[kind])
    assert read == sorted(read)


@pytest.mark.parametrize("kind", ["gz", "xz", "zst"])
def test_broken_file_is_an_error_with_a_cure(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(PACKED[kind][:-10])
    with pytest.raises(HandsonError, match="cannot be read"):
        summarise(file)
    file.write_bytes(PACKED[kind][:20] + b"x" * 900)
    with pytest.raises(HandsonError, match="cannot be read"):
        summarise(file)


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HandsonError, match="No such file"):
        summarise(tmp_path / "none")
    with pytest.raises(HandsonError, match="directory"):
        summarise(tmp_path)


def test_standard_input() -> None:
    program = "from handson.mail.log_summary import summarise; print(summarise('-').messages)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=PACKED["zst"], capture_output=True, check=True
    )
    assert done.stdout == b"3\n"


def test_line_without_an_end_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"\0" * 3_000_000 + b"\n" + delivered("sent").encode())
    lines = list(lines_of(file))
    assert len(lines) == 2 and len(lines[0]) < 500_000
    assert summarise(file).deliveries["sent"] == 1


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(bytes(range(256)) * 50 + b"\r\n" + delivered("sent").encode() + b"\r\n")
    assert summarise(file).deliveries["sent"] == 1


# -- one message ---------------------------------------------------------------


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_trail_makes_the_same_message_as_the_whole_log(log: Path) -> None:
    text = log.read_text()
    for message in maillog.messages(maillog.parse(text)):
        found = maillog.messages(trail(text.split("\n"), message.queue_id))
        assert message in found
        assert {one.queue_id for one in found} == {message.queue_id}


def test_trail_keeps_little_of_other_processes() -> None:
    def endless() -> Iterator[str]:
        for number in range(20_000):
            yield f"{HEAD}smtpd[{number}]: connect from a[192.0.2.1]"
            yield f"{HEAD}smtp[1]: connect to b[192.0.2.1]:25: Connection refused"
        yield f"{HEAD}smtpd[19999]: 7777777777A: client=a[192.0.2.1]"
        yield f"{HEAD}smtp[1]: 7777777777A: to=<a@b>, relay=none, delay=1, status=deferred (x)"

    found = trail(endless(), "7777777777A")
    assert [entry.text[:8] for entry in found[-2:]] == ["client=a", "to=<a@b>"]
    assert sum(entry.text.startswith("connect from ") for entry in found) == 1
    assert len(found) == log_summary.LINES_OF_PROCESS + 3


# -- how it looks --------------------------------------------------------------


def test_both_faces_show_the_same_figures() -> None:
    view = LogSummary(Summary().count(LINES))
    text, html = view.text(), view.html()
    for word in ("status=deferred", "joe@example.com", "mx.example.net", "Relay access denied"):
        assert word in text and word in html
    assert re.search(r"messages +3\n", text)
    assert text.index("line … bad") < text.index("does not resolve")
    assert '<tr class="bad"><td>fatal</td>' in html


def test_log_without_mail() -> None:
    assert (
        LogSummary(Summary().count(["", "x"])).text()
        == "It has no line of Postfix about a message."
    )


@pytest.mark.slow
def test_a_million_lines_take_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("w") as stream:
        for number in range(1_000_000 // len(LINES)):
            stream.write(TEXT.replace("mx.", f"mx{number}.").replace("joe", f"joe{number}"))
    program = (
        f"from handson.mail.log_summary import summarise; summarise({str(file)!r}); "
        "print(open('/proc/self/status').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert peak and int(peak[1]) < 60 * 1024
