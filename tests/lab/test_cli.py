"""The command `handson` against real labs: up, status, ssh, down, and a run that is stopped."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import NEVER, own

from handson.cli import main
from handson.course.begin import begin
from handson.course.step import Step
from handson.lab.lab import Lab
from handson.settings import Settings
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=2)

NAME, RUN = own("cli-test"), own("cli-run")
ROOT = Path(main.__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    yield Workspace(NAME, tmp_path_factory.mktemp("cli") / "workspace")
    Lab(NAME).down()


def environment(workspace: Path) -> dict[str, str]:
    ours = {"HANDSON_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDSON_")}
    return {**kept, **ours}


def handson(
    workspace: Workspace, command: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "handson.cli.main", command, "--name", NAME, *arguments],
        env=environment(workspace.path),
        capture_output=True,
        text=True,
        timeout=NEVER,
        check=False,
    )


def make_hosts(workspace: Workspace) -> Step:
    step = begin("00_start", workspace)
    step.save(step.form())
    step.create()
    return step


def test_from_up_to_down(workspace: Workspace) -> None:
    first = handson(workspace, "up")
    assert first.returncode == 0, first.stderr
    assert f"The lab “{NAME}” is up. AWS API: http://127.0.0.1:" in first.stdout

    second = handson(workspace, "up")
    assert second.returncode == 0, second.stderr
    assert f"The lab “{NAME}” is up already." in second.stdout

    # No hosts of the course yet: one sentence, no traceback.
    early = handson(workspace, "ssh", "server")
    assert early.returncode == 1
    assert "smtp-handson-server is not there." in early.stderr
    assert len(early.stderr.splitlines()) == 2

    step = make_hosts(workspace)
    step.hosts.close()
    try:
        look_around(workspace, step.settings)
    finally:
        gone = handson(workspace, "down")
    assert gone.returncode == 0, gone.stderr
    assert gone.stdout.splitlines()[-1] == f"The lab “{NAME}” is removed."
    assert Lab(NAME).left_over() == []
    # The choices stay; what was done on hosts that are no more does not.
    assert json.loads((workspace.path / "choices.json").read_text())["domain"] == "example.com"
    assert workspace.progress() == {}
    assert not (workspace.path / "pins.json").exists()

    again = handson(workspace, "down", "--forget")
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == f"There was no lab “{NAME}”."
    assert not workspace.path.exists()


def look_around(workspace: Workspace, settings: Settings) -> None:
    state = handson(workspace, "status")
    assert state.returncode == 0, state.stderr
    assert f"The lab “{NAME}” is up" in state.stdout
    server = next(line for line in state.stdout.splitlines() if "smtp-handson-server" in line)
    assert "running" in server and settings.server_ip in server and "MiB" in server

    for host, address in (("server", settings.server_ip), ("client", settings.client_ip)):
        answer = handson(workspace, "ssh", host, "--", "hostname")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.strip().startswith("ip-" + address.replace(".", "-"))
    assert handson(workspace, "ssh", "mailbox", "hostname").stdout.strip() == "mailbox"
    assert handson(workspace, "ssh", "client", "--", "exit 7").returncode == 7
    config = workspace.path / "ssh_config"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600

    # A host that shows another key than the pinned one is not let in.
    pins = json.loads((workspace.path / "pins.json").read_text())
    first, *others = pins.values()
    swapped = dict(zip(pins, [*others, first], strict=True))
    (workspace.path / "pins.json").write_text(json.dumps(swapped))
    strange = handson(workspace, "ssh", "server", "--", "hostname")
    assert strange.returncode == 255
    assert "Host key verification failed" in strange.stderr
    assert strange.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    words = ["run", "--name", RUN, "--root", str(ROOT), "--runs", str(tmp_path / "runs")]
    process = subprocess.Popen(
        [sys.executable, "-m", "handson.cli.main", *words],
        env=environment(tmp_path / "unused"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        for line in process.stdout:
            if "00_start" in line:
                break
        process.send_signal(number)
        said, errors = process.communicate(timeout=NEVER)
    finally:
        process.kill()
        process.wait()
        left = Lab(RUN).left_over()
        Lab(RUN).down()
    assert process.returncode == 128 + number, errors
    assert "The lab is torn down: nothing is left." in said.splitlines()
    assert left == []
    assert errors.splitlines()[-1] == "Stopped."
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert (folder / "report.html").is_file()
    assert not (folder / "workspace" / "key").exists()
    assert not (folder / "workspace" / "password").exists()
