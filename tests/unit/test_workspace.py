"""The folder that remembers: what is in it may be damaged, and is never lost."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from waiting import LONG

from handson import begin
from handson.cli import main
from handson.course import log_window, progress
from handson.course.run.result import find_unmet
from handson.course.run.runner import new_folder
from handson.course.steps.start import Start
from handson.diagnosis.exercise import NOTE, Exercise
from handson.errors import HandsonError, InvalidInput
from handson.hosts import library_log
from handson.secret import Secret
from handson.settings import Settings
from handson.workspace import FILES, LAB, Workspace, private_file

# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
CHECK = {"id": "a", "sentence": "It is so.", "ok": True, "applies": True}
PIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return filled(tmp_path / "meadow")


def filled(path: Path) -> Workspace:
    """Return a workspace in which every file is there."""
    found = Workspace("meadow", path)
    found.save(Settings(domain="alps.example", date="20251124"))
    found.save_password(Secret("tr0ub4dor"))
    assert found.public_key
    found.pin("i-1", [PIN])
    found.record("00_start", {"passed": True, "checks": [CHECK]})
    found.note("since 00_start", "2025-11-24T10:00:00+00:00")
    found.note(NOTE, '{"id": "port-closed", "started": 1.5}')
    found.log("server", "ls", 0)
    library_log.write(found.path, "a warning")
    return found


# -- who may read and write it ------------------------------------------------------------


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_all_of_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    workspace = filled(tmp_path / "far" / "away" / "meadow")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in workspace.path.iterdir()}
    written = {*FILES} - {"key.pub", "ssh_config", "known_hosts"}
    assert found == dict.fromkeys(written, 0o600)
    for folder in (workspace.path, workspace.path.parent, workspace.path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder = new_folder(tmp_path / "runs")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent)] == [0o700] * 2


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_workspace_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(InvalidInput, match="Other users may write") as refused:
        Workspace("meadow", folder)
    assert f"chmod go-w {folder}" in refused.value.cure
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    assert Workspace("meadow", folder).path == folder


def test_the_public_key_is_that_of_the_private_one(workspace: Workspace) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    stranger = other.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    before = workspace.public_key
    (workspace.path / "key.pub").write_text(f"{stranger} smtp-handson\n")
    assert workspace.public_key == before != f"{stranger} smtp-handson"


def test_no_name_leads_out_of_the_home_folder() -> None:
    for name in ("../../etc", "/etc", "a/b", ".", "Lab"):
        with pytest.raises(InvalidInput, match="cannot name a lab"):
            Workspace(name)


# -- what cannot be written ---------------------------------------------------------------


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (workspace.path / "choices.json").read_text()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(private_file.os, "replace", full)
    with pytest.raises(HandsonError, match="No space left") as refused:
        workspace.save(Settings(domain="example.org"))
    assert "df -h" in refused.value.cure
    assert (workspace.path / "choices.json").read_text() == before
    assert {path.name for path in workspace.path.iterdir()} <= {*FILES}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_stop_in_the_moment_after_the_write_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def stopped(draft: str, path: Path) -> None:
        replace(draft, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(private_file.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        private_file.write(tmp_path / "file", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_a_command_log_on_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HandsonError, match="No space left"):
        private_file.append(Path("/dev/full"), "a line\n")


def test_a_folder_that_cannot_be_written_is_one_sentence(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> tuple[int, str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(private_file.tempfile, "mkstemp", denied)
    with pytest.raises(HandsonError, match="Permission denied") as refused:
        workspace.note("a", "b")
    assert f"ls -ld {workspace.path / 'notes.json'}" in refused.value.cure


def test_a_workspace_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="Not a directory"):
        Workspace("meadow", tmp_path / "file" / "meadow")


# -- what is damaged ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("choices.json", text) for text in ("[]", "1", "{", '{"domain": 1}', '{"colour": "x"}')),
        ("choices.json", '{"sender": "a=b@x.com"}'),
        ("choices.json", '{"domain": "\\ud800.example"}'),
        ("choices.json", "[" * 100_000),
        *(("progress.json", text) for text in ("[]", '{"00_start": []}', '{"00_start": {}}')),
        ("progress.json", '{"00_start": {"passed": true, "checks": [1]}}'),
        ("progress.json", '{"00_start": {"passed": 1, "checks": []}}'),
        ("progress.json", '{"00_start": {"passed": true, "checks": [], "at": "\\ud800"}}'),
        ("pins.json", '{"i-1": ["ssh-ed25519 %"]}'),
        ("notes.json", '{"since 00_start": "yesterday"}'),
        ("notes.json", '{"since 00_start": "2025-11-24T10:00:00"}'),
        *(("notes.json", json.dumps({"exercise": one})) for one in ("x", "[]", '{"id": "a"}')),
        ("notes.json", '{"exercise": "{\\"id\\": \\"port-closed\\", \\"started\\": []}"}'),
        ("password", ""),
        ("key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"),
    ],
)
def test_a_damaged_file_is_named_and_kept(workspace: Workspace, name: str, text: str) -> None:
    path = workspace.path / name
    path.write_text(text)
    with pytest.raises(HandsonError, match=f"{path} cannot be used") as refused:
        for use in USES:
            use(workspace)
    assert f"mv {path} {path}.bad" in refused.value.cure
    assert len(str(refused.value).splitlines()) == 2
    assert path.read_text() == text
    path.rename(f"{path}.bad")
    for use in USES:
        use(workspace)


def test_choices_of_an_earlier_version_lack_some(workspace: Workspace) -> None:
    (workspace.path / "choices.json").write_text('{"domain": "alps.example"}')
    assert workspace.settings().login == "smtp-auth@alps.example"


USES: tuple[Callable[[Workspace], Any], ...] = (
    lambda found: found.settings(),
    lambda found: found.password,
    lambda found: found.public_key,
    lambda found: found.pinned("i-1"),
    lambda found: progress.recorded(found),
    lambda found: find_unmet(found.progress(), "00_start"),
    lambda found: Exercise(found, pytest.fail)._attempt() if found.noted(NOTE) else None,
    lambda found: log_window.counts_since(found, "00_start"),
    lambda found: found.record("01_security_group", {"passed": False, "checks": []}),
    lambda found: found.note("since 01_security_group", ""),
    lambda found: found.pin("i-2", [PIN]),
    lambda found: found.log("server", "ls \udcff", 0),
    lambda found: "".join(map(str, found.progress().values())).encode(),
    lambda found: begin("00_start", found).workspace.settings(),
    lambda found: Workspace("meadow", found.path),
    lambda found: found.forget("01_security_group"),
)
VALUES = (
    *(None, True, 0, -1.5, 10**400, "", "x", "\0", "\ud800", "9" * 16, "a" * 5000, [], {}),
    *([None], {"x": None}, [[[]]], {"passed": True}, {"passed": True, "checks": [{}]}),
)


def damage(draw: random.Random, folder: Path) -> str:
    """Damage one file at random, as a disk, another version or a hand may; return how."""
    path = folder / draw.choice([LAB, *FILES])
    text = path.read_bytes() if path.is_file() else b""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        path.rmdir()
    how = draw.choice(["cut", "bits", "bytes", "json", "json", "json", "folder", "link", "gone"])
    if how == "cut":
        path.write_bytes(text[: draw.randrange(len(text) + 1)])
    elif how == "bits" and text:
        place = draw.randrange(len(text))
        flipped = bytes([text[place] ^ 1 << draw.randrange(8)])
        path.write_bytes(text[:place] + flipped + text[place + 1 :])
    elif how == "bytes":
        path.write_bytes(draw.randbytes(draw.randrange(300)))
    elif how == "json":
        path.write_text(json.dumps(changed(draw, text)))
    elif how == "folder":
        path.unlink(missing_ok=True)
        path.mkdir()
    elif how == "link":
        path.unlink(missing_ok=True)
        path.symlink_to(draw.choice(["nowhere", "/dev/null", path.name, "/"]))
    else:
        path.unlink(missing_ok=True)
    return f"{path.name}: {how}"


def changed(draw: random.Random, text: bytes) -> Any:
    """Return what a JSON file holds with one value in it replaced, removed or added."""
    try:
        found = place = json.loads(text)
    except ValueError:
        return draw.choice(VALUES)
    while isinstance(place, dict | list) and place:
        key = draw.choice(list(place)) if isinstance(place, dict) else draw.randrange(len(place))
        if isinstance(place[key], dict | list) and draw.random() < 0.7:
            place = place[key]
            continue
        place[key] = draw.choice(VALUES)
        if isinstance(place, dict) and draw.random() < 0.5:
            place[draw.choice(["x", "", "00_start", "domain", "passed"])] = place.pop(key)
        return found
    return draw.choice(VALUES)


def test_no_damage_ends_in_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Damage 1,000 workspaces (a part of them normally): each works, or tells what is wrong."""
    print(f"HANDSON_SEED={SEED}")
    draw = random.Random(SEED)
    whole = filled(tmp_path / "whole").path
    refused = 0
    for number in range(1000 if LONG else 60):
        folder = tmp_path / "meadow"
        shutil.copytree(whole, folder, symlinks=True)
        how = [damage(draw, folder) for _ in range(draw.choice([1, 1, 1, 2, 4]))]
        for use in USES:
            try:
                use(Workspace("meadow", folder))
            except HandsonError as error:
                refused += 1
                assert error.what and error.cure, how
                assert len(str(error).splitlines()) == 2, (how, str(error))
                str(error).encode()
            except Exception as error:
                raise AssertionError(f"draw {number} of seed {SEED}: {how}") from error
        shutil.rmtree(folder)
    assert refused > 20


def test_the_command_says_it_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDSON_WORKSPACE", str(workspace.path))
    (workspace.path / "progress.json").write_text("[]")
    assert main.main(["status"]) == 1
    assert "progress.json cannot be used" in capsys.readouterr().err
    monkeypatch.setenv("HANDSON_WORKSPACE", "~nobody-of-that-name/x")
    assert main.main(["status"]) == 1
    assert "no such home folder" in capsys.readouterr().err
    monkeypatch.setenv("HANDSON_WORKSPAC", "x")
    assert main.main(["status"]) == 1
    assert "Did you mean HANDSON_WORKSPACE?" in capsys.readouterr().err


# -- the password ---------------------------------------------------------------------------


def test_a_kept_password_that_a_new_name_gives_away_is_refused(workspace: Workspace) -> None:
    workspace.save_password(Secret("meadow.example"))
    step = begin("00_start", workspace)
    assert isinstance(step, Start)
    form = step.form()
    form.make_password.value = False
    form.fields["domain"].value = "meadow.example"
    before = workspace.settings()
    with pytest.raises(InvalidInput, match="no secret"):
        step.save(form)
    assert workspace.settings() == before
