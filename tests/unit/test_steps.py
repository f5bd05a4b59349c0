"""What belongs to single steps: rules about refusals, commands to be typed, the log in figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from handson.cloud.targets import Endpoint, of
from handson.course import outline
from handson.course.begin import begin
from handson.course.checks import Finding
from handson.course.steps import log_check, start
from handson.mail.log_refusals import Refusal
from handson.settings import Settings
from handson.workspace import Workspace

REFUSED = Refusal(
    time="2025-01-01T10:00:00+00:00",
    client="client[10.87.3.20]",
    port_service="smtpd",
    code="554",
    dsn="5.7.1",
    reason="Client host rejected: Access denied",
    sender="hello@example.com",
    recipient="friend@example.net",
    stage="RCPT",
    sasl_username="",
    logged_in=False,
    helo="client",
)
# What 05_master_cf shows: with smtpd_delay_reject=no, nobody gets as far as a login.
AT_THE_GREETING = replace(REFUSED, stage="CONNECT", sender="", recipient="", helo="")
OF_A_CHECK = replace(REFUSED, helo="m03.handson.invalid")


def look(slug: str, id: str, *refusals: Refusal) -> Finding:
    system = SimpleNamespace(log_source="/var/log/mail.log")
    observed: Any = SimpleNamespace(
        refusals=refusals,
        entries=[],
        server=SimpleNamespace(system=system),
        begun=lambda slug: None,
        log_start=None,
    )
    return next(rule for rule in outline.step(slug).rules if rule.id == id).look(observed)


@pytest.mark.parametrize(
    ("slug", "id"),
    [("06_mailx_test", "refused-without-login"), ("07_log_check", "refusals-found")],
)
def test_only_a_refused_message_of_the_learner_counts(slug: str, id: str) -> None:
    assert look(slug, id, REFUSED).ok
    assert not look(slug, id).ok
    assert not look(slug, id, AT_THE_GREETING, OF_A_CHECK).ok


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace("meadow", tmp_path / "workspace")


def begun(slug: str, workspace: Workspace) -> Any:
    """A step on hosts of the learner's own: there is no AWS API."""
    key = paramiko.ECDSAKey.generate()
    line = f"{key.get_name()} {key.get_base64()}"
    choices = {"server_host_key": line, "client_host_key": line}
    known = Settings(target="ssh", server="me@192.0.2.10", client="me@192.0.2.20:2222", **choices)
    step: Any = begin(slug, workspace)
    step.target = of(known, workspace)
    step.settings = step.target.apply(known)
    return step


def test_a_host_of_ones_own_is_reached_without_a_bastion(workspace: Workspace) -> None:
    shown = begun("00_start", workspace).ssh_by_hand()
    assert [one.command for one in shown.commands] == [
        f"ssh-add {workspace.key_file}",
        "ssh -p 2222 me@192.0.2.20",
    ]


def test_a_bastion_is_named_as_ssh_takes_it() -> None:
    assert start._in_url(Endpoint("192.0.2.1", 22, "me", ())) == "me@192.0.2.1"
    assert start._in_url(Endpoint("2001:db8::1", 2222, "me", ())) == "me@[2001:db8::1]:2222"


def test_without_an_aws_api_no_command_of_its_is_shown(workspace: Workspace) -> None:
    stacks = begun("00_start", workspace).stacks_by_hand()
    console = begun("00_start", workspace).console_by_hand()
    group = begun("01_security_group", workspace).open_by_hand("10.87.0.0/16")
    for shown in (stacks, console, group):
        assert "aws " not in shown.text() and "no AWS" in shown.text()


def test_the_whole_log_is_summed_up(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "2025-01-01T10:00:00+00:00 mail postfix/smtpd[7]: 66857C01110: client=c[10.87.3.20]"
    monkeypatch.setattr(log_check.server_log, "read", lambda server, since, size: f"{line}\n")
    step = begun("07_log_check", workspace)
    step.__dict__["server"] = SimpleNamespace(name="server")
    assert step.log_summary().summary.messages == 1
