"""The shell lines in the prose of the notebooks do what they say, on a server that has a login."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from finished import Finished
from prose import EXERCISE, NOTEBOOKS, RUNS, lines

from handson.course.steps.start import Start
from handson.hosts.host import Host

FOUND = [line for line in RUNS if line in lines()]


@pytest.mark.parametrize("line", [line for line in FOUND if RUNS[line] == "server"])
def test_on_the_server(finished: Finished, line: str) -> None:
    assert finished.step.hosts.server.probe(line)[0] == 0


@pytest.mark.parametrize("line", [line for line in FOUND if RUNS[line] == "here"])
def test_here(finished: Finished, line: str) -> None:
    printed = handson(finished, line)
    _handson, command, *words = line.split()
    if command == "ssh":
        host: Host = getattr(finished.step.hosts, words[0])
        assert host.read("hostname").strip() in printed


def test_an_exercise(finished: Finished) -> None:
    *before, end = [line for line in EXERCISE if line in lines()]
    try:
        for line in before:
            handson(finished, line)
    finally:
        handson(finished, end)
    assert finished.failing() == {}


def handson(finished: Finished, line: str) -> str:
    """Run a line that begins with `handson`, and return what it prints."""
    workspace = finished.step.workspace
    chosen = {"NAME": workspace.name, "WORKSPACE": str(workspace.path)}
    chosen |= {"HEADLESS": "1", "FAULT": "chrooted-smtpd"}
    done = subprocess.run(
        [sys.executable, "-m", "handson.cli.main", *shlex.split(line)[1:]],
        # A login shell ends where its input ends.
        input="hostname\n",
        env={**os.environ, **{f"HANDSON_{key}": value for key, value in chosen.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ssh_by_hand_reaches_the_client_through_its_bastion(
    finished: Finished, tmp_path: Path
) -> None:
    """As printed by 00_start; a learner says yes to the host keys, here they are taken."""
    shown = finished.step.as_step(Start).ssh_by_hand()
    add, ssh = [one.command for one in shown.commands]
    config = tmp_path / "config"
    config.write_text(
        f"Host *\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile {tmp_path}/known\n"
    )
    assert " -J " in ssh
    line = f"{add} && {ssh.replace('ssh ', f'ssh -F {config} ', 1)} hostname"
    done = subprocess.run(
        ["ssh-agent", "sh", "-c", line], capture_output=True, text=True, check=False
    )
    assert done.stdout == finished.step.hosts.client.read("hostname"), done.stderr


def test_the_commands_that_make_the_stacks_have_the_values_they_were_made_with(
    finished: Finished,
) -> None:
    commands = [
        shlex.split(one.command) for one in finished.step.as_step(Start).stacks_by_hand().commands
    ]
    stacks = finished.step.cloud.stacks()
    assert [one[one.index("--stack-name") + 1] for one in commands] == [one.name for one in stacks]
    for command, stack in zip(commands, stacks, strict=True):
        assert command[:3] == ["aws", "cloudformation", "create-stack"]
        given = command[command.index("--parameters") + 1 : command.index("--tags")]
        pairs = [re.fullmatch(r"ParameterKey=(\w+),ParameterValue=([^,]*)", one) for one in given]
        assert {pair[1]: pair[2] for pair in pairs if pair}.items() <= stack.parameters.items()
        assert all(pairs) and pairs
        template = command[command.index("--template-body") + 1].removeprefix("file://")
        assert (NOTEBOOKS.parent / template).is_file()
