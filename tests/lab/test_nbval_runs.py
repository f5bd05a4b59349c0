"""`pytest --nbval` however it ends, and beside another one: with labs of their own, none left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from looking import traces
from nbformat import v4
from waiting import NEVER, wait_until

from handson.cli import main
from handson.lab import processes
from handson.lab.lab import SERVER, Lab
from handson.lab.state import lab_folder
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=2)

ROOT = Path(main.__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in the checkout, whose conftest.py is what is tried."""
    (ROOT / "runs").mkdir(exist_ok=True)
    found = Path(tempfile.mkdtemp(prefix="nbval-", dir=ROOT / "runs"))
    yield found
    shutil.rmtree(found)


def notebook(path: Path, code: str) -> Path:
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(code)]), path)
    return path


@contextmanager
def nbval(path: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDSON_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=NEVER)


def nothing_is_left(process: subprocess.Popen[str]) -> bool:
    name = f"nbval-{process.pid}"
    folders = list(Path(tempfile.gettempdir()).glob(f"handson-nbval-{process.pid}-*"))
    return traces(name) == [] and folders == []


@pytest.mark.parametrize(
    ("number", "status", "moment"),
    [
        (signal.SIGINT, 130, "in a cell"),
        (signal.SIGTERM, 143, "in a cell"),
        (signal.SIGHUP, 129, "while the lab comes up"),
        (signal.SIGTERM, 143, "while it is taken down"),
    ],
)
def test_a_signal_takes_the_lab_down(
    number: signal.Signals, status: int, moment: str, folder: Path, lab: Lab
) -> None:
    begun = folder / "begun"
    code = f"open({str(begun)!r}, 'w').close()"
    if moment == "in a cell":
        code += "; import time; time.sleep(600)"
    with nbval(notebook(folder / "slow.ipynb", code)) as process:
        mine = lab_folder(f"nbval-{process.pid}")

        def is_now() -> bool:
            if moment == "while the lab comes up":
                return (mine / "server.json").exists()
            is_ending = not processes.find(SERVER, str(mine))
            return begun.exists() and (moment == "in a cell" or is_ending)

        wait_until(lambda: is_now() or process.poll() is not None)
        process.send_signal(number)
        said, _errors = process.communicate(timeout=NEVER)
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert nothing_is_left(process)


def test_two_runs_do_not_meet(folder: Path, lab: Lab) -> None:
    code = (
        "import os; from handson.lab.lab import Lab; assert Lab(os.environ['HANDSON_NAME']).is_up"
    )
    with (
        nbval(notebook(folder / "one.ipynb", code)) as first,
        nbval(notebook(folder / "two.ipynb", code)) as second,
    ):
        for process in (first, second):
            said, _errors = process.communicate(timeout=NEVER)
            assert process.returncode == 0, said
            assert "1 passed" in said
    assert nothing_is_left(first) and nothing_is_left(second)


def test_a_learners_lab_is_not_taken(folder: Path, lab: Lab, workspace: Workspace) -> None:
    path = notebook(folder / "one.ipynb", "1")
    with nbval(path, HANDSON_NAME=lab.name) as process:
        said, _errors = process.communicate(timeout=NEVER)
    assert process.returncode != 0
    assert f"The lab “{lab.name}” was not made by nbval" in said
    assert "Traceback" not in said
    assert lab.is_up
    lab.up(workspace.public_key)  # and it is still this learner's
