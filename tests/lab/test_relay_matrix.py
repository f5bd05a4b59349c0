"""Who may relay, tried on a lab of its own: at the start, after the login, with faults injected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from solving import at_start, solve
from waiting import own

from handson.course.begin import begin
from handson.course.outline import steps
from handson.course.step import Step

pytestmark = pytest.mark.slow(minutes=3)

STEPS = steps()

NAME = own("mxtests")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    """A lab with 00_start done, and that step."""
    with at_start(NAME, tmp_path_factory.mktemp("home")) as step:
        yield step


@pytest.fixture(scope="module")
def finished(course: Step) -> Step:
    """The same lab with the notebooks up to 06 done."""
    for info in STEPS[1:7]:
        solve(info.slug)
    return begin("07_log_check")


def test_at_the_start_the_clients_address_is_trusted(course: Step) -> None:
    matrix = course.relay_matrix("start")
    assert matrix.is_as_expected, matrix.text()
    cell = matrix.cell("client", 25, "none", "outside")
    assert cell.label == "relays" and cell.is_by_address
    assert matrix.open_relays == []
    assert matrix.cell("stranger", 25, "none", "outside").label == "refused 454"
    assert matrix.cell("internet", 25, "none", "own").label == "no answer"
    assert "not an open relay" in matrix.text()


def test_the_start_is_not_taken_for_the_end(course: Step) -> None:
    matrix = course.relay_matrix("after_login")
    assert not matrix.is_as_expected and not matrix.open_relays
    assert matrix.cell("client", 25, "none", "outside").explanation.startswith("mynetworks holds")
    right = matrix.cell("client", 587, "right", "outside")
    assert "no rule of the security group" in right.explanation


def test_after_the_login_only_the_login_relays(finished: Step) -> None:
    matrix = finished.relay_matrix("after_login")
    assert matrix.is_as_expected, matrix.text()
    relaying = {
        (cell.origin.name, cell.port, cell.login)
        for cell in matrix.cells
        if cell.observed == "relays"
    }
    assert relaying == {("client", 587, "right"), ("stranger", 587, "right")}
    assert matrix.cell("client", 25, "right", "own").label == "login fails 535", "chrooted"


def test_the_log_tells_of_every_try(finished: Step) -> None:
    matrix = finished.relay_matrix("after_login")
    matrix = matrix.with_log(finished.observe().entries)
    reached = [cell for cell in matrix.cells if cell.dialogue.is_open]
    assert len(reached) == 32
    found = [cell for cell in reached if cell.entry]
    assert len(found) >= 30, matrix.text()  # a log may lose a line, not many
    for cell in found:
        assert f"[{cell.origin.address}]" in cell.entry.text
        if "helo=<" in cell.entry.text:
            assert f"helo=<{cell.dialogue.name}>" in cell.entry.text
    # No mail was made by it: all that was accepted was taken back.
    assert "m00.handson.invalid" not in finished.server.read("sudo postqueue -p")


def test_no_face_shows_the_password(finished: Step) -> None:
    matrix = finished.relay_matrix("after_login").with_log(finished.observe().entries)
    secret = finished.password.reveal()
    for face in (matrix.text(), matrix.html(), str(vars(matrix))):
        assert secret not in face


def test_587_open_to_anywhere_lets_the_internet_log_in_and_nothing_else(finished: Step) -> None:
    workspace = finished.workspace
    chosen = workspace.settings()
    finished.cloud.open_port(587, "0.0.0.0/0")
    try:
        matrix = finished.relay_matrix("after_login")
        assert [c.origin.name for c in matrix.differing] == ["internet"] * 8
        assert "lets" in matrix.differing[0].explanation
        workspace.save(chosen.with_(submission_source="anywhere"))
        matrix = begin("07_log_check").relay_matrix("after_login")
        assert matrix.is_as_expected, matrix.text()
        assert matrix.cell("internet", 587, "right", "outside").label == "relays"
        assert matrix.cell("internet", 587, "none", "outside").label == "refused 554"
    finally:
        workspace.save(chosen)
        finished.cloud.close_port(587, "0.0.0.0/0")


def test_an_open_relay_is_found_and_named(finished: Step) -> None:
    server = finished.server
    server.run("sudo postconf -e 'mynetworks = 0.0.0.0/0'", "sudo postfix reload")
    try:
        matrix = finished.relay_matrix("after_login")
    finally:
        server.run("sudo postconf -e 'mynetworks = 127.0.0.0/8'", "sudo postfix reload")
    assert [(c.origin.name, c.port, c.login) for c in matrix.open_relays] == [
        ("stranger", 25, "none")
    ]
    assert "OPEN RELAY for a stranger in the VPC" in matrix.text()
    assert "mynetworks holds 0.0.0.0/0" in matrix.text()
    assert 'class="bad"' in matrix.html()


def test_a_server_that_does_not_answer_costs_little_time(finished: Step) -> None:
    server = finished.server
    server.run("sudo postfix stop")
    try:
        matrix = finished.relay_matrix("after_login")
    finally:
        server.run("sudo systemctl restart postfix")
    assert {c.observed for c in matrix.cells if c.origin.name == "client"} == {"connection refused"}
    assert "Postfix does not run" in matrix.text()


def test_a_service_that_hangs_costs_little_time(finished: Step) -> None:
    # Without a mechanism smtpd dies before its greeting, and master waits before the next.
    server = finished.server
    server.run("sudo postconf -e 'smtpd_sasl_security_options = noanonymous, noplaintext'")
    server.run("sudo postfix reload")
    try:
        matrix = finished.relay_matrix("after_login")
    finally:
        server.run("sudo postconf -X smtpd_sasl_security_options")
        server.run("sudo systemctl restart postfix")
    assert not matrix.is_as_expected
    assert matrix.cell("client", 587, "right", "outside").label == "broken off"


def test_hardened_the_login_needs_tls(finished: Step) -> None:
    server = finished.server
    server.run(
        "sudo openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=mail.{domain} "
        "-keyout /etc/postfix/key.pem -out /etc/postfix/cert.pem 2>/dev/null",
        "sudo postconf -e smtpd_tls_security_level=may smtpd_tls_auth_only=yes "
        "smtpd_tls_cert_file=/etc/postfix/cert.pem smtpd_tls_key_file=/etc/postfix/key.pem "
        "smtpd_sasl_auth_enable=no smtpd_client_auth_rate_limit=6",
        "sudo postconf -P submission/inet/smtpd_sasl_auth_enable=yes",
        'sudo postconf -M smtps/inet="$(sudo postconf -M submission/inet | '
        "sed 's/^submission/smtps/') -o smtpd_tls_wrappermode=yes\"",
        "sudo postfix reload",
    )
    source = f"{finished.settings.client_ip}/32"
    before = finished.relay_matrix("hardened")
    assert {(c.origin.name, c.port) for c in before.differing} == {("client", 465)}
    assert before.cell("client", 465, "right", "own").label == "no answer"
    finished.cloud.open_port(465, source)
    server.run("sudo postfix reload")
    matrix = finished.relay_matrix("hardened")
    assert matrix.is_as_expected, matrix.text()
    implicit = matrix.cell("client", 465, "right", "outside")
    assert implicit.label == "relays" and implicit.dialogue.tls and not implicit.dialogue.starttls
    assert matrix.cell("stranger", 465, "right", "outside").label == "no answer"
    right = matrix.cell("client", 587, "right", "outside")
    assert right.label == "relays" and right.dialogue.starttls is not None
    assert matrix.cell("client", 25, "right", "own").label == "no AUTH offered"
    # The counts of the first round are not over: guessing is slowed down, and told as such.
    again = finished.relay_matrix("hardened")
    late = again.cell("client", 587, "right", "outside")
    assert late.label == "login fails 450" and "anvil(8)" in late.explanation
