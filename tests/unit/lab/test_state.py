from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from handson.errors import InvalidInput, LabDown
from handson.lab.state import LabState, alone, check_name, runtime_folder


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def state(name: str = "course") -> LabState:
    return LabState(
        name=name,
        endpoint="http://127.0.0.1:1",
        pc_port=2222,
        pc_ip="198.51.100.5",
        pc_host_keys=["ssh-ed25519 AAAA"],
        mailbox_ip="198.51.100.25",
        mailbox_host_keys=["ssh-ed25519 BBBB"],
        internet_cidr="198.51.100.0/24",
        vpc_cidr="10.87.0.0/16",
        image="localhost/image:1",
    )


@pytest.mark.parametrize("name", ["lab", "a", "my-lab2", "a" * 30])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Lab", "2lab", "-lab", "a/b", "..", "a b", "é", "a" * 31, "a\n"]
)
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a lab"):
        check_name(name)
    with pytest.raises(InvalidInput):
        runtime_folder(name)


def test_the_folder_is_private(runtime: Path) -> None:
    assert not runtime_folder("course").exists()
    folder = runtime_folder("course", create=True)
    assert folder == runtime / f"handson-{os.getuid()}" / "course"
    for part in (folder, folder.parent):
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert stat.S_IMODE(runtime_folder("course", create=True).stat().st_mode) == 0o700


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime_folder("course", create=True).parent.rename(
        runtime_folder("course").parent.with_name("handson-4242")
    )
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(LabDown, match="belongs to another user"):
        runtime_folder("course", create=True)


def test_saved_and_loaded() -> None:
    runtime_folder("course", create=True)
    state().save()
    assert LabState.load("course") == state()
    assert [file.name for file in runtime_folder("course").iterdir()] == ["lab.json"]


def test_not_there() -> None:
    with pytest.raises(LabDown, match="“course” is not running") as caught:
        LabState.load("course")
    assert "handson up --name course" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "course"}', '{"unknown": 1}'])
def test_half_a_file_is_none(content: str) -> None:
    runtime_folder("course", create=True)
    LabState.file("course").write_text(content)
    with pytest.raises(LabDown):
        LabState.load("course")


def test_one_lab_at_a_time_chooses() -> None:
    for name in ("one", "two"):
        runtime_folder(name, create=True)
    order = []

    def choose(name: str) -> None:
        with alone(name):
            order.append(f"{name} begins")
            time.sleep(0.05)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(choose, ("one", "two")))
    first, second = order[0].split()[0], order[2].split()[0]
    assert order == [f"{first} begins", f"{first} ends", f"{second} begins", f"{second} ends"]
