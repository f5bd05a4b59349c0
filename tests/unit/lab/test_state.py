from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from handson.errors import InvalidInput, LabDown, LabError
from handson.lab import processes
from handson.lab import state as states
from handson.lab.lab import check_key, is_left_over
from handson.lab.state import LabState, Maker, lab_folder, labs_folder
from handson.settings import check_name


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(states, "home_of", lambda uid: tmp_path)
    return tmp_path


def state(name: str = "course") -> LabState:
    return LabState(
        name=name,
        endpoint="http://127.0.0.1:1",
        key_id="AKIA0",
        key_secret="never shown",
        pc_port=2222,
        pc_ip="198.51.100.5",
        pc_host_keys=["ssh-ed25519 AAAA"],
        mailbox_ip="198.51.100.25",
        mailbox_host_keys=["ssh-ed25519 BBBB"],
        internet_cidr="198.51.100.0/24",
        vpc_cidr="10.87.0.0/16",
        image="localhost/image:1",
        public_key="ssh-ed25519 CCCC joe",
        maker=Maker("run", 7, "12@3.00", "/home/joe/.handson/course", "/srv/course"),
    )


@pytest.mark.parametrize("name", ["lab", "a", "my-lab2", "a" * 30])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Lab", "2lab", "-lab", "a/b", "..", "a b", "é", "a" * 31, "a\n", ".labs"]
)
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a lab"):
        check_name(name)
    with pytest.raises(InvalidInput):
        lab_folder(name)


def test_the_folder_is_private_whatever_the_umask(home: Path) -> None:
    assert not lab_folder("course").exists()
    before = os.umask(0)
    try:
        folder = lab_folder("course", create=True)
    finally:
        os.umask(before)
    assert folder == home / ".handson" / ".labs" / "course"
    for part in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
    folder.chmod(0o777)
    assert stat.S_IMODE(lab_folder("course", create=True).stat().st_mode) == 0o700


def test_what_is_made_for_somebody_else_has_a_folder_of_its_own() -> None:
    assert lab_folder("course", 4242).name == "course@4242"
    assert lab_folder("course", os.getuid()) == lab_folder("course")


def test_a_folder_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lab_folder("course", create=True)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(LabError, match="belongs to another user"):
        lab_folder("course", create=True)


def test_a_link_is_no_folder(home: Path) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (home / ".handson").symlink_to(elsewhere)
    with pytest.raises(LabError, match="is no folder"):
        labs_folder(create=True)
    assert list(elsewhere.iterdir()) == []


def test_a_home_that_cannot_be_written_to(home: Path) -> None:
    (home / ".handson").write_text("a file")
    with pytest.raises(LabError, match=r"cannot be made|is no folder"):
        lab_folder("course", create=True)


def test_saved_and_loaded() -> None:
    lab_folder("course", create=True)
    before = os.umask(0)
    try:
        state().save()
    finally:
        os.umask(before)
    assert LabState.load("course") == state()
    (file,) = lab_folder("course").iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("lab.json", 0o600)
    assert "never shown" not in repr(state())


def test_a_state_that_cannot_be_written_is_told(home: Path) -> None:
    folder = lab_folder("course", create=True)
    (folder / ".lab.json.new").mkdir()  # in the way, for root too
    with pytest.raises(LabError, match=r"lab\.json cannot be written: Is a directory") as caught:
        state().save()
    assert "df -h" in caught.value.cure


def test_not_there() -> None:
    with pytest.raises(LabDown, match="“course” is not running") as caught:
        LabState.load("course")
    assert "handson up --name course" in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "course"}', '{"unknown": 1}', "7"])
def test_half_a_file_is_none(content: str) -> None:
    lab_folder("course", create=True)
    LabState.file("course").write_text(content)
    with pytest.raises(LabDown):
        LabState.load("course")


def test_a_file_of_an_earlier_version_is_none() -> None:
    lab_folder("course", create=True)
    state().save()
    old = json.loads(LabState.file("course").read_text())
    del old["key_secret"]
    LabState.file("course").write_text(json.dumps(old))
    with pytest.raises(LabDown):
        LabState.load("course")


def test_who_made_it_can_be_read_from_labels() -> None:
    maker = state().maker
    assert maker.labels()["handson.purpose"] == "run"
    assert Maker.of_labels({**maker.labels(), "handson.lab": "course"}) == maker
    assert Maker.of_labels({}).purpose == ""


def test_what_is_left_over() -> None:
    mine = Maker("run", process=processes.identity())
    assert not is_left_over(mine)
    assert is_left_over(replace(mine, process="1@0.00"))
    # A learner's lab goes with no process, and what says nothing of itself is let alone.
    assert not is_left_over(Maker("learner", process="1@0.00"))
    assert not is_left_over(Maker.of_labels({}))
    # What the tests made goes with the tests, whichever program they had make it.
    learners = Maker("learner", process="1@0.00", tests=processes.identity())
    assert not is_left_over(learners)
    assert is_left_over(replace(learners, tests="1@0.00"))


def test_a_lab_of_another_key_says_so() -> None:
    check_key(state(), "ssh-ed25519 CCCC another comment")
    with pytest.raises(LabError, match=r"made from /home/joe/\.handson/course") as caught:
        check_key(state(), "ssh-ed25519 DDDD joe")
    assert "--name" in caught.value.cure
