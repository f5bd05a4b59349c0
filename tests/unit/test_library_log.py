"""What libraries log goes into the workspace's file, and never onto a learner's page."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from handson import workspace as workspaces
from handson.errors import InvalidInput
from handson.hosts import library_log
from handson.lab.users import acting_as
from handson.workspace import FILES, Workspace

FILE = workspaces.LIBRARY_LOG
# A transport whose other side talks nonsense: paramiko tells of it in a thread of its own.
FAIL = """
import socket, paramiko
ours, theirs = socket.socketpair()
theirs.sendall(b"nonsense\\n" * 200)
transport = paramiko.Transport(ours)
try:
    transport.start_client(timeout=30)
except paramiko.SSHException:
    transport.join()
"""


def run(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program with that folder as the workspace."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HANDSON_WORKSPACE": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize("way", ["from handson import begin", "import handson.cli.main"])
def test_a_library_that_fails_in_a_thread_writes_into_the_file(tmp_path: Path, way: str) -> None:
    assert "nonsense" in run(FAIL, tmp_path / "other").stderr  # as it would be without us
    done = run(way + FAIL, tmp_path / "home")
    assert (done.stdout, done.stderr) == ("", "")
    file = tmp_path / "home" / FILE
    assert "paramiko.transport" in file.read_text() and "nonsense" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_any_library_is_meant_in_the_workspace_that_was_opened_last(tmp_path: Path) -> None:
    # What is logged by an installed package's own file, and by one of Python's own.
    code = """
import asyncio, pathlib, botocore
from handson.workspace import Workspace
Workspace("meadow", pathlib.Path(%r))
def log(file, *words):
    source = "import logging; logging.getLogger('meadow.x').warning(*words)"
    exec(compile(source, file, "exec"), {"words": words})
log(botocore.__file__, "a %%s", "warning")
log(asyncio.__file__, "another")
log(botocore.__file__, "%%d", "no number")
"""
    folder = tmp_path / "opened"
    done = run(code % str(folder), tmp_path / "home")
    assert done.stderr == ""  # a record that cannot be put into words is no learner's either
    assert "WARNING meadow.x: a warning\n" in (folder / FILE).read_text()
    assert "WARNING meadow.x: another\n" in (folder / FILE).read_text()
    assert not (tmp_path / "home").exists()


def test_a_learners_own_log_stays_where_it_is(tmp_path: Path) -> None:
    code = "import logging, handson; logging.getLogger('mine').warning('hello')"
    assert run(code, tmp_path).stderr == "hello\n"
    code = "import logging, handson; logging.basicConfig(format='%(name)s!')"
    assert "paramiko.transport!" in run(code + FAIL, tmp_path).stderr


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_log, "BYTES", 1000)
    for number in range(100):
        library_log.write(tmp_path, f"line {number}")
    text = (tmp_path / FILE).read_text()
    assert len(text) <= 1000 and text.endswith("line 99\n")


def test_it_is_one_of_the_workspaces_files(tmp_path: Path) -> None:
    workspace = Workspace("meadow", tmp_path / "home")
    library_log.write(workspace.path, "a line")
    assert FILE in FILES
    workspace.remove()
    assert not workspace.path.exists()
    library_log.write(workspace.path, "a late line")
    assert not workspace.path.exists()


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder of the user nobody, which that user can reach."""
    if os.getuid():
        pytest.skip("only root can act as another user")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o711)
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    yield home
    shutil.rmtree(folder)


def test_root_writes_nothing_where_a_user_has_put_a_link(
    nobodys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = nobodys.with_name("precious")
    precious.write_text("root's")
    monkeypatch.setattr(Workspace, "last_opened", None)
    with acting_as(pwd.getpwnam("nobody").pw_uid):
        path = Workspace("meadow", nobodys / "meadow").path
        (path / FILE).symlink_to(precious)
    assert Workspace.last_opened is None
    with pytest.raises(OSError, match="symbolic links"):
        library_log.write(path, "a warning")
    assert precious.read_text() == "root's"


def test_a_workspace_that_leads_into_roots_folder(nobodys: Path) -> None:
    precious = nobodys.with_name("precious")
    precious.mkdir(mode=0o755)
    (nobodys / "meadow").symlink_to(precious)
    with (
        acting_as(pwd.getpwnam("nobody").pw_uid),
        pytest.raises(InvalidInput, match="cannot be made: Permission denied"),
    ):
        Workspace("meadow", nobodys / "meadow")
    assert list(precious.iterdir()) == []
