from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from handson.errors import LabError
from handson.lab.temporary import own_folder, sweep


def dead_process() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with own_folder("kernel", str(tmp_path)) as folder:
        assert f"-{os.getpid()}-" in folder.name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    dead = tmp_path / f"handson-kernel-{dead_process()}-a_b1"
    alive = tmp_path / f"handson-nbval-{os.getpid()}-ab"
    other = tmp_path / "handson-kernel-notes"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "kernel.log").touch()
    with own_folder("image", str(tmp_path)):
        pass
    assert sorted(tmp_path.iterdir()) == [other, alive]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(LabError, match="Not a directory") as caught,
        own_folder("image", str(tmp_path / "file")),
    ):
        pass
    assert "df -h" in caught.value.cure


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    link = tmp_path / f"handson-kernel-{dead_process()}-ab"
    link.symlink_to(tmp_path / "home")
    sweep(str(tmp_path))
    assert (tmp_path / "home" / "thesis.txt").exists()


def test_what_belongs_to_another_user_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / f"handson-kernel-{dead_process()}-ab"
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    sweep(str(tmp_path))
    assert folder.exists()
