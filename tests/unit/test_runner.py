"""The course by itself, with small notebooks in real kernels."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import small_notebooks as small
from waiting import wait_until

from handson.cloud.targets.aws import AwsTarget
from handson.cloud.targets.lab import LabTarget
from handson.course import outline
from handson.course.outline import steps
from handson.course.run import runner
from handson.course.run.kernel import run_notebook
from handson.course.run.runner import Plan, kernel_environment, run_course
from handson.errors import HandsonError
from handson.lab.lock import hold
from handson.settings import Settings
from handson.workspace import Workspace

STEPS = steps()

CANARY = "Canary-7f3a9c"
# Another run of the tests beside this one has a lock of its own.
NAME = f"meadow-{os.getpid()}"


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of two steps; its notebooks pass unless a test writes others."""
    monkeypatch.setattr(outline, "steps", lambda: STEPS[:2])
    for step in STEPS[:2]:
        path = tmp_path / "notebooks" / f"{step.slug}.ipynb"
        small.write(path, "print('hello')", small.record(step.slug))
    return tmp_path


def run(root: Path, place: small.Meadow | None = None, **more: object) -> int:
    plan = Plan(root, root / "runs", name=NAME, **more)  # type: ignore[arg-type]
    return run_course(plan, place or meadow(root))


def meadow(root: Path, refuse: str = "") -> small.Meadow:
    return small.Meadow(Workspace(NAME, root / "workspace"), refuse)


def made(root: Path) -> Path:
    (folder,) = [path for path in (root / "runs").iterdir() if path.is_dir()]
    return folder


@pytest.mark.slow
def test_a_course_that_passes(
    course: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDSON_PASSWORD", CANARY)
    place = meadow(course)
    assert run(course, place) == 0
    said, errors = capfd.readouterr()
    assert place.is_torn_down
    assert errors == ""
    lines = said.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("✔ 0")] == [
        ["✔", "00_start"],
        ["✔", "01_security_group"],
    ]
    assert "1 of 1 checks passed" in lines[0]
    assert "It is so in 01_security_group." in said
    assert "The meadow is empty." in lines
    assert lines[-1].startswith("Passed: 2 of 2 notebooks, 2 of 2 checks passed;")
    files = sorted(path.name for path in made(course).iterdir())
    assert files == ["00_start.ipynb", "01_security_group.ipynb", "report.html"]
    for file in files:
        assert CANARY not in (made(course) / file).read_text()


def test_a_cell_that_fails(course: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small.write(
        course / "notebooks" / "00_start.ipynb",
        "1",
        "from handson.errors import HandsonError\n"
        "raise HandsonError('The <disk> is full.', 'Delete old runs.')",
        small.record("00_start"),
    )
    place = meadow(course)
    assert run(course, place) == 1
    said, errors = capfd.readouterr()
    assert place.is_torn_down
    executed = made(course) / "00_start.ipynb"
    assert errors.splitlines() == [
        "✘ 00_start, cell 3: HandsonError",
        "  The <disk> is full.",
        "  → Delete old runs.",
        f"  The executed notebook: {executed}",
    ]
    assert not (made(course) / "01_security_group.ipynb").exists()
    assert "not reached" in said
    assert said.splitlines()[-1].startswith("Failed: 0 of 2 notebooks")
    page = (made(course) / "report.html").read_text()
    assert page.count(' celltag_failed"') == 1
    assert "The &lt;disk&gt; is full." in page and "The <disk> is full." not in page


def test_a_notebook_that_leaves_early_does_not_pass(
    course: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    early = course / "notebooks" / "00_start.ipynb"
    small.write(early, small.record("00_start"), "import sys; sys.exit(0)", "1 / 0")
    assert run(course) == 1
    assert "00_start, cell 3: SystemExit" in capfd.readouterr().err


def test_a_step_without_a_report_of_this_run_does_not_pass(
    course: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = meadow(course)
    check = {"id": "so", "sentence": "It was so.", "ok": True}
    place.workspace.record("00_start", {"passed": True, "checks": [check]})
    small.write(course / "notebooks" / "00_start.ipynb", "1")
    assert run(course, place) == 1
    assert "The step has recorded no checks." in capfd.readouterr().err


def test_a_check_that_fell_short_does_not_pass(
    course: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small.write(course / "notebooks" / "00_start.ipynb", small.record("00_start", False))
    assert run(course) == 1
    said, errors = capfd.readouterr()
    assert "✘ 00_start: checks\n  It is so in 00_start." in errors
    assert "0 of 1 checks passed" in said


@pytest.mark.slow
def test_a_cell_that_takes_too_long(course: Path, capfd: pytest.CaptureFixture[str]) -> None:
    small.write(course / "notebooks" / "00_start.ipynb", "1", "import time; time.sleep(600)")
    assert run(course, cell_seconds=3) == 1
    assert "00_start, cell 3: timeout\n  This cell took longer than 3 s." in capfd.readouterr().err


def test_a_kernel_that_dies(tmp_path: Path) -> None:
    source = small.write(tmp_path / "a.ipynb", "1", "import os; os._exit(3)")
    fault = run_notebook(source, tmp_path / "b.ipynb", {}, 10)
    assert fault and (fault.cell, fault.name) == (3, "kernel")


def test_a_place_that_is_not_there(course: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = meadow(course, "There is no grass.")
    assert run(course, place) == 1
    said, errors = capfd.readouterr()
    assert errors == "There is no grass.\n→ Try another meadow.\n"
    assert place.is_torn_down and "Failed: 0 of 2" in said


@pytest.mark.slow
def test_hosts_are_kept_only_when_asked_and_when_something_failed(course: Path) -> None:
    place = meadow(course, "There is no grass.")
    assert run(course, place, keep=True) == 1
    assert place.is_kept and not place.is_torn_down
    place = meadow(course)
    assert run(course, place, keep=True) == 0
    assert place.is_torn_down and not place.is_kept


def test_a_missing_notebook_is_said_before_anything_starts(course: Path) -> None:
    (course / "notebooks" / "01_security_group.ipynb").unlink()
    place = meadow(course)
    with pytest.raises(HandsonError, match=r"There is no notebook .*01_security_group"):
        run(course, place)
    assert not place.is_torn_down


def test_two_runs_of_one_name_do_not_meet(
    course: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their folders: the second waits, and begins when the first has ended."""
    monkeypatch.setattr(runner, "stopping", contextlib.nullcontext)  # for the main thread only
    monkeypatch.setattr(runner, "undisturbed", contextlib.nullcontext)
    status: list[int] = []
    refusing = meadow(course, "There is no grass.")  # it runs no kernel in a thread
    second = threading.Thread(target=lambda: status.append(run(course, refusing)))
    with hold(NAME, "handson run"):
        second.start()
        second.join(1)
        assert second.is_alive() and not (course / "runs").exists()
    second.join(60)
    assert status == [1]


def test_the_kernel_is_this_interpreter_whatever_the_home_folder_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("home/kernels/python3", "path/kernels/python3"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "kernel.json").write_text(
            '{"argv": ["/bin/false", "{connection_file}"], "display_name": "", "language": ""}'
        )
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "path"))
    code = f"import sys; assert sys.executable == {sys.executable!r}, sys.executable"
    source = small.write(tmp_path / "a.ipynb", code)
    assert run_notebook(source, tmp_path / "b.ipynb", {}, 10) is None


def test_the_kernel_is_told_where_it_runs(tmp_path: Path) -> None:
    workspace = Workspace(NAME, tmp_path / "workspace")
    given = kernel_environment(LabTarget(workspace, Settings()))
    assert given["HANDSON_HEADLESS"] == "1"
    assert given["HANDSON_NAME"] == NAME
    assert given["HANDSON_WORKSPACE"] == str(tmp_path / "workspace")
    assert given["AWS_EC2_METADATA_DISABLED"] == "true"
    assert "AWS_EC2_METADATA_DISABLED" not in kernel_environment(AwsTarget(workspace, Settings()))
    code = f"import os; given = {given!r}; assert {{**given, **os.environ}} == dict(os.environ)"
    source = small.write(tmp_path / "a {b}.ipynb", code)
    assert run_notebook(source, tmp_path / "c {d}.ipynb", given, 10) is None


PROGRAM = """
import sys
from pathlib import Path
import test_runner as t
from handson.cli import main
from handson.course.run import runner
from handson.lab.lab import Lab
from handson.lab.state import Maker
t.NAME, root, runs, refuse, *more = sys.argv[1:]
runner._place = lambda plan, folder: t.meadow(Path(root), refuse)
Lab.maker = lambda self: Maker("learner", workspace="/home/joe/meadow")
words = ["--name", t.NAME, "--root", root, "--runs", runs, *more]
sys.exit(main.main(["run", *words]))
"""


def start(
    root: Path, *more: str, runs: str = "runs", refuse: str = "", stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start `handson run` in a meadow, with a lab of that name that a learner has made."""
    tests = Path(__file__).parents[1]
    folders = (Path(runner.__file__).parents[3], tests / "support", tests / "unit")
    path = os.pathsep.join(map(str, folders))
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, NAME, str(root), str(root / runs), refuse, *more],
        env={**os.environ, "PYTHONPATH": path},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    """A folder with a notebook for each step, none of which is ever run to its end."""
    for step in STEPS:
        small.write(tmp_path / "notebooks" / f"{step.slug}.ipynb", "1")
    return tmp_path


@pytest.mark.slow
def test_runs_of_one_name_wait_for_each_other_whatever_their_folders(notebooks: Path) -> None:
    with hold(NAME, "handson run"):
        runs = [start(notebooks, runs=name, refuse="There is no grass.") for name in "ab"]
        said = [process.stderr.readline() for process in runs if process.stderr]
        begun = [name for name in "ab" if (notebooks / name).exists()]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in runs]
    waiting = f"Waiting for handson run (process {os.getpid()}, since "
    assert [waiting in line for line in said] == [True, True] and begun == []
    assert [("There is no grass." in e, status) for e, status in ended] == [(True, 1)] * 2, ended
    assert (notebooks / "a").is_dir() and (notebooks / "b").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["y", ""])
def test_a_learners_lab_is_taken_over_after_a_yes_at_a_terminal(
    answer: str, notebooks: Path
) -> None:
    ours, theirs = pty.openpty()
    try:
        process = start(notebooks, "--take-over", refuse="There is no grass.", stdin=theirs)
        os.write(ours, f"{answer}\n".encode())
        said, errors = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert "made from /home/joe/meadow, and all that is on it? [y/N]" in said
    assert process.returncode == 1
    assert ("There is no grass." in errors) == (answer == "y"), errors
    assert (f"The lab “{NAME}” stays, and nothing was run." in errors) == (answer != "y")
    assert (notebooks / "runs").exists() == (answer == "y")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_run_that_is_stopped_clears_up(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    begun = tmp_path / "begun"
    for step in STEPS:
        code = f"open({str(begun)!r}, 'w').close(); import time; time.sleep(600)"
        small.write(tmp_path / "notebooks" / f"{step.slug}.ipynb", code)
    process = start(tmp_path)
    try:
        wait_until(lambda: begun.exists() or process.poll() is not None)
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, errors
    assert "The meadow is empty." in said
    assert "Stopped." in errors.splitlines()
    assert "Traceback" not in errors
