"""The set-up, as far as it can be tried without installing anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "setup.sh"
TOOLS = ("sh", "dirname", "id", "cat", "grep", "ls", "find", "head", "dpkg-query", "cmp")
NOBODY = 65534
SOCKETS = ("/run/podman/podman.sock", "/var/run/docker.sock")


def copy(folder: Path) -> Path:
    """Return a checkout that anybody may read, with the script and nothing else."""
    checkout = folder / "course"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, checkout / "scripts")
    return checkout


def tools(folder: Path, *names: str) -> Path:
    """Return a folder for PATH with these programs only."""
    path = folder / "bin"
    path.mkdir()
    for name in names:
        if found := shutil.which(name):
            (path / name).symlink_to(found)
    return path


def open_to_all(folder: Path) -> None:
    for one in (folder, *folder.parents[:-2]):
        one.chmod(one.stat().st_mode | 0o055)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another user")
@pytest.mark.skipif(any(map(os.path.exists, SOCKETS)), reason="Podman listens on this machine")
@pytest.mark.parametrize("more", [(), ("apt-get",)])
def test_without_root_and_without_an_engine_one_sentence_says_what_to_install(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    open_to_all(tmp_path)
    checkout = copy(tmp_path)
    answer = as_nobody(checkout, tools(tmp_path, *TOOLS, *more))
    assert answer.returncode == 1
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert "install Podman (sudo apt-get install podman) or Docker" in line
    assert line.count(".") == 1 and line.endswith(".")
    assert not (checkout / ".venv").exists()


def as_nobody(checkout: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run the set-up as a user without any rights, who has these programs."""
    return subprocess.run(
        ["/bin/sh", "scripts/setup.sh"],
        cwd=checkout,
        env={"PATH": str(path)},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another user")
@pytest.mark.parametrize("status", [1, 2])
def test_what_the_lab_says_of_engines_is_said_in_one_line(tmp_path: Path, status: int) -> None:
    """With no `timeout` in the PATH, as on a Mac."""
    open_to_all(tmp_path)
    checkout = copy(tmp_path)
    path = tools(tmp_path, *TOOLS)
    program(path / "docker", "exit 1")
    # A virtual environment that is complete, and a lab that finds no engine.
    python = f'[ "$1" != -m ] || {{ echo "No engine. Start one." >&2; exit {status}; }}'
    program(checkout / ".venv/bin/python", python)
    (checkout / "pyproject.toml").touch()
    (checkout / ".venv/pyproject.toml").touch()
    (checkout / ".venv/place").write_text(f"{checkout}\n")
    (checkout / ".venv").chmod(0o777)
    answer = as_nobody(checkout, path)
    assert answer.stderr == "No engine. Start one.\n"
    assert (answer.returncode, answer.stdout) == (1, "")


def test_windows_itself_is_refused_in_one_line(tmp_path: Path) -> None:
    checkout = copy(tmp_path)
    path = tools(tmp_path, *TOOLS)
    program(path / "uname", "echo MINGW64_NT-10.0")
    environment = {"PATH": str(path)}
    answer = subprocess.run(
        ["/bin/sh", "scripts/setup.sh"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    code = "import sys; sys.platform = 'win32'; import handson"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    for done in (answer, imported):
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "WSL2" in line


def test_the_script_is_sound() -> None:
    for script in (SCRIPT, SCRIPT.with_name("test-docker.sh")):
        subprocess.run(["/bin/sh", "-n", str(script)], check=True)
        assert os.access(script, os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_alone_lists_every_command() -> None:
    answer = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert {
        "course",
        "test",
        "test-docker",
        "unit",
        "learn",
        "lint",
        "format",
        "record",
        "setup",
    } <= set(targets)
    for target in targets:
        assert f"  make {target} " in answer.stdout


@pytest.mark.parametrize("file", ["scripts/setup.sh", "Makefile", "environment.yml", ".ci/run"])
def test_no_address_of_a_package_source_is_named(file: str) -> None:
    assert "://" not in (ROOT / file).read_text()
