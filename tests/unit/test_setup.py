"""The set-up, as far as it can be tried without installing anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "setup.sh"
TOOLS = ("sh", "dirname", "id", "cat", "grep", "ls", "find", "head", "dpkg-query", "timeout")
NOBODY = 65534
SOCKETS = ("/run/podman/podman.sock",)


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as another user")
@pytest.mark.skipif(any(map(os.path.exists, SOCKETS)), reason="Podman listens on this machine")
@pytest.mark.parametrize("more", [(), ("apt-get",)])
def test_without_root_and_without_an_engine_one_sentence_says_what_to_install(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    checkout = copy(tmp_path)
    answer = subprocess.run(
        ["/bin/sh", "scripts/setup.sh"],
        cwd=checkout,
        env={"PATH": str(tools(tmp_path, *TOOLS, *more))},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert "install Podman (sudo apt-get install podman) or Docker" in line
    assert line.count(".") == 1 and line.endswith(".")
    assert not (checkout / ".venv").exists()


def test_the_script_is_sound() -> None:
    subprocess.run(["/bin/sh", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_alone_lists_every_command() -> None:
    answer = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert {"course", "test", "unit", "learn", "lint", "format", "record", "setup"} <= set(targets)
    for target in targets:
        assert f"  make {target} " in answer.stdout


@pytest.mark.parametrize("file", ["scripts/setup.sh", "Makefile", "environment.yml", ".ci/run"])
def test_no_address_of_a_package_source_is_named(file: str) -> None:
    assert "://" not in (ROOT / file).read_text()
