"""What a listener makes of the packets that tcpdump printed."""

from __future__ import annotations

from handson.mail.capture import OnHost, Wiretap

HEAD = "04:43:01.{n:06d} eth0  In  IP 10.0.0.1.4 > 10.0.0.2.587: Flags [P.], length {length}\n"
JUNK = "E..4..@.@.2500 AUTH PLAIN....+K.m"


def packet(number: int, sent: str) -> str:
    """Return a packet as tcpdump -A prints it: with CR left out before LF, and headers before."""
    head = HEAD.format(n=number, length=len(sent))
    return head + JUNK + sent.replace("\r\n", "\n") + "\n"


def heard(*sent: str, port: int = 587) -> Wiretap:
    wire = Wiretap(
        port,
        OnHost(str),
        hide=lambda text: text.replace("pw1", "•••").replace("AGpvZQBwdzE=", "•••"),
    )
    wire.read("".join(packet(number, text) for number, text in enumerate(sent)))
    return wire


def test_only_what_was_sent_is_heard() -> None:
    wire = heard("220 mail\r\n", "EHLO me\r\n", "250-mail\r\n250 AUTH PLAIN\r\n", "")
    assert wire.lines == ["220 mail", "EHLO me", "250-mail", "250 AUTH PLAIN"]
    assert wire.login == ""
    assert "No login was sent" in wire.text()


def test_a_login_behind_the_command_is_read_and_masked() -> None:
    wire = heard("AUTH PLAIN AGpvZQBwdzE=\r\n", "235 2.7.0 ok\r\n")
    assert wire.login == "joe •••"
    assert "pw1" not in wire.text() + wire.html()
    assert "AGpvZQBwdzE=" not in wire.text() + wire.html()


def test_a_login_on_a_line_of_its_own_is_read() -> None:
    assert heard("AUTH PLAIN\r\n", "334 \r\n", "AGpvZQBwdzE=\r\n").login == "joe •••"


def test_after_starttls_nothing_is_heard() -> None:
    wire = heard("STARTTLS\r\n", "220 2.0.0 Ready\r\n", "....x.AGpvZQBwdzE=", "....9f")
    assert wire.lines == ["STARTTLS", "220 2.0.0 Ready"]
    assert wire.login == ""
    assert "whose content is encrypted" in wire.text()
    assert "After STARTTLS" in wire.text()


def test_on_port_465_no_word_is_heard() -> None:
    wire = heard("....x.AGpvZQBwdzE=", "AUTH PLAIN AGpvZQBwdzE=", port=465)
    assert wire.lines == [] and wire.login == "" and wire.unreadable == 2
    assert wire.verdict == "Neither the login nor the message can be read: TLS comes before both."
    assert heard(port=465).verdict == "No login was sent."


def test_a_word_that_is_no_login_is_only_a_word() -> None:
    wire = heard("AUTH PLAIN\r\n", "submission\r\n", "c21haWw=\r\n")
    assert wire.login == ""


def test_what_is_encrypted_is_not_taken_for_the_answer_that_was_missed() -> None:
    wire = heard("STARTTLS\r\n", "..=...9.....", "....more....")
    assert (wire.lines, wire.unreadable) == (["STARTTLS"], 2)


def test_packets_that_were_missed_are_told() -> None:
    wire = Wiretap(587, OnHost(str))
    summary = "listening on any\n1 packet captured\n4 packets received by filter\n"
    wire.read(f"{summary}3 packets dropped by kernel\n" + packet(1, "220 mail\r\n"))
    assert (wire.lines, wire.missed) == (["220 mail"], 3)
    assert "(3 packets could not be captured)" in wire.text()
    assert "No login was sent" not in wire.text()
    wire.read(f"{summary}0 packets dropped by kernel\n" + packet(1, "220 mail\r\n"))
    assert wire.missed == 0 and "No login was sent" in wire.text()
