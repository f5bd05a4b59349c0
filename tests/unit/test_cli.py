"""The command's words: help, bad input, errors in two lines."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from handson.cli import jupyter, main
from handson.cli import status as standing
from handson.diagnosis.faults import FAULTS
from handson.errors import HandsonError
from handson.lab import state
from handson.workspace import Workspace

COMMANDS = (
    *("up", "build", "down", "status", "ssh", "break", "diagnose", "log"),
    *("undo", "goto", "reset", "run", "lab"),
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see the labs or the workspace of whoever runs it."""
    monkeypatch.setenv("HANDSON_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(state, "home_of", lambda uid: tmp_path / "home")


def handson(*arguments: str) -> int:
    try:
        return main.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("--help") == 0
    lines = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")][: len(COMMANDS)] == [
        *COMMANDS
    ]
    assert not [line for line in lines if line.endswith("...")]  # no sentence is cut off


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("--help") == 0
    help_ = capsys.readouterr().out
    assert handson() == 2
    assert capsys.readouterr().err == help_


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("--version") == 0
    assert capsys.readouterr().out == f"handson, version {version('smtp-auth-handson')}\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_each_command_has_help_with_an_example(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handson(command, option) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: handson {command} ")
    assert re.search(rf"^ +(Example: |sudo )?handson {command}\b", said, re.M)


@pytest.mark.parametrize(
    ("typed", "meant"), [("statsu", "status"), ("diagnos", "diagnose"), ("go", "goto")]
)
def test_the_nearest_command_is_named(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handson(typed) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


def test_a_shell_completes_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("_HANDSON_COMPLETE", "bash_complete"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMP_WORDS", "handson di")
    assert handson() == 0
    assert capsys.readouterr().out == "plain,diagnose\n"


def test_the_faults_are_listed_without_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("break", "--list", "--name", "meadow") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fault", "what", "is", "seen"]
    assert len(lines) == len(FAULTS) + 2
    assert lines[2].startswith(f"{FAULTS[0].id}  ")


def test_help_is_there_at_once() -> None:
    loaded = "import sys; from handson.cli import main; main.main(['--help']); print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", loaded],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(main.__file__).parents[2])},
    )
    heavy = {"boto3", "docker", "fabric", "paramiko", "papermill", "IPython", "rich", "nbformat"}
    assert not heavy & set(answer.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["ssh"],
        ["ssh", "mars"],
        ["undo"],
        ["goto"],
        ["goto", "04", "05"],
        ["reset", "04"],
        ["run", "--target", "moon"],
        ["run", "--cell-timeout", "0"],
        ["run", "--cell-timeout", "soon"],
        ["lab", "--port", "high"],
        ["break", "--list", "--mend"],
    ],
)
def test_what_cannot_be_understood_has_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert handson(*arguments) == 2
    assert "handson" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "down", "status", "lab", "reset"])
def test_a_bad_name_is_refused_in_two_lines(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert handson(command, "--name", "no lab; rm -rf /") == 1
    said, errors = capsys.readouterr()
    assert said == ""
    assert errors.splitlines() == [
        "“no lab; rm -rf /” cannot name a lab.",
        "→ Use a small letter first, then up to 29 small letters, digits or hyphens.",
    ]
    assert not (tmp_path / "workspace").exists()


def test_ssh_without_a_lab_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("ssh", "--name", "meadow", "server") == 1
    assert capsys.readouterr().err.splitlines() == [
        "The lab “meadow” is not running.",
        "→ Start it in a terminal: handson up --name meadow",
    ]


@pytest.mark.parametrize("command", ["undo", "goto"])
@pytest.mark.parametrize("step", ["nine", "99", "05_master", "x; rm -rf /"])
def test_an_unknown_step_is_refused_and_the_steps_are_named(
    command: str, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handson(command, "--name", "meadow", step) == 1
    said, errors = capsys.readouterr()
    assert said == ""
    first, second = errors.splitlines()
    assert first == f"There is no step “{step}”."
    assert second.startswith("→ The steps are: 00_start, 01_security_group, ")


@pytest.mark.parametrize("step", ["05", "5", "05_master_cf", "master_cf"])
def test_undo_without_a_lab_says_how_to_start_one(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert handson("undo", "--name", "meadow", step) == 1
    assert capsys.readouterr().err.splitlines() == [
        "The lab “meadow” is not running.",
        "→ Start it in a terminal: handson up --name meadow",
    ]


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("status", "--name", "meadow") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The lab “meadow” is not running."
    assert lines[5].split()[0] == "00_start"


def test_status_tells_how_the_steps_stand(capsys: pytest.CaptureFixture[str]) -> None:
    """What was done was done on hosts that are no more: the machine was started anew."""
    workspace = Workspace("meadow")
    workspace.record("00_start", {"passed": True, "checks": []})
    workspace.record("01_security_group", {"passed": False, "checks": []})
    assert handson("status", "--name", "meadow") == 0
    lines = capsys.readouterr().out.splitlines()
    back = next(line for line in lines if line.startswith("00_start"))
    assert back.split()[1:] == ["no", "longer", "passes", workspace.progress()["00_start"]["at"]]
    assert next(line for line in lines if line.startswith("01_")).split()[1:3] == ["not", "yet"]
    assert lines[-1].endswith("To do it again: handson goto 01_security_group --name meadow")


def test_the_name_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDSON_NAME", "alps")
    assert handson("status") == 0
    assert "“alps”" in capsys.readouterr().out


def test_bad_choices_in_the_environment_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDSON_DOMAIN", "example.com; rm -rf /")
    assert handson("status", "--name", "meadow") == 1
    assert "is not a mail domain" in capsys.readouterr().err


def test_run_outside_a_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert handson("run", "--root", str(tmp_path), "--runs", str(tmp_path / "runs")) == 1
    assert "There is no notebook" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_is_one_line_and_status_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(workspace: Workspace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(standing, "status", stop)
    assert handson("status") == 130
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize(
    ("typed", "passed_on"),
    [
        (["client", "--", "uptime"], ["uptime"]),
        (["client", "-v", "--name", "x"], ["-v", "--name", "x"]),
        (["client", "sh", "--", "a"], ["sh", "--", "a"]),
        (["client"], []),
    ],
)
def test_what_follows_the_host_goes_to_ssh(
    typed: list[str], passed_on: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from handson.hosts import ssh

    made: list[object] = []

    def command(host: str, workspace: Workspace, arguments: Sequence[str]) -> list[str]:
        made.extend([host, workspace.name, *arguments])
        raise HandsonError("Far enough.")

    monkeypatch.setattr(ssh, "ssh_command", command)
    assert handson("ssh", "--name", "meadow", *typed) == 1
    assert made == ["client", "meadow", *passed_on]


def test_the_place_of_a_run_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from handson.course.run import runner

    plans: list[runner.Plan] = []
    monkeypatch.setattr(runner, "run_course", lambda plan: plans.append(plan) or 0)
    for said in ("", "aws"):
        monkeypatch.setenv("HANDSON_TARGET", said)
        assert handson("run", "--root", str(tmp_path)) == 0
    assert [(plan.target, plan.name) for plan in plans] == [("lab", "course"), ("aws", "course")]


def test_a_workspace_is_removed_without_what_else_lies_there(tmp_path: Path) -> None:
    workspace = Workspace("meadow", tmp_path / "home")
    assert workspace.public_key
    workspace.save_password()
    workspace.pin("i-1", ["ssh-ed25519 AAAA"])
    workspace.log("server", "true", 0)
    (workspace.path / "thesis.txt").write_text("years of work")
    workspace.unpin()
    assert workspace.pinned("i-1") == []
    workspace.remove()
    assert [path.name for path in workspace.path.iterdir()] == ["thesis.txt"]
    (workspace.path / "thesis.txt").unlink()
    workspace.remove()
    assert not workspace.path.exists()


def test_jupyterlab_is_told_where_to_begin_and_to_ask_nobody(tmp_path: Path) -> None:
    words = jupyter.command(tmp_path, ["--no-browser", "--port=9000"])
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in words
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start.ipynb" in words
    assert "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate" in words
    assert words[-2:] == ["--no-browser", "--port=9000"]
    assert ("--ServerApp.allow_root=True" in words) == (os.geteuid() == 0)
    given = jupyter.environment(Workspace("meadow"), tmp_path)
    assert given["HANDSON_NAME"] == "meadow"
    assert given["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0] == str(tmp_path)


def test_a_program_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from handson.hosts import ssh

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HandsonError, match="There is no ssh program"):
        ssh.ssh_command("server", Workspace("meadow"), [])


def test_a_reader_that_leaves_early_is_no_error() -> None:
    program = "import sys; from handson.cli import main; sys.exit(main.main(['status']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(main.__file__).parents[2])},
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert errors == b""
    assert process.returncode in (0, 1)


@pytest.mark.parametrize(
    ("error", "sentence", "cure"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the output cannot be", "df -h"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b cannot be", "ls -ld"),
    ],
)
def test_a_disk_that_takes_nothing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    sentence: str,
    cure: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("handson.cli.status.status", fail)
    assert handson("status", "--name", "meadow") == 1
    shown = capsys.readouterr().err
    assert sentence in shown and cure in shown and "Traceback" not in shown


def test_another_error_of_the_system_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("handson.cli.status.status", fail)
    with pytest.raises(OSError, match="Input/output error"):
        handson("status", "--name", "meadow")
