"""Any notebook may break off, be run again, and again; and no output tells the password.

One lab for all: each notebook is broken off half-way by the death of its kernel, then run
whole in a new one, and once more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from solving import assert_nothing_doubled, learner, state
from waiting import own

from handson.course.begin import begin
from handson.course.outline import steps
from handson.mail.relay_matrix.probe import read_certificate
from handson.secret import Secret, encodings
from handson.settings import Settings
from handson.workspace import Workspace

STEPS = steps()

pytestmark = [pytest.mark.lab, pytest.mark.slow(minutes=8)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CANARY = Secret("Kanarien-Vogel7+Kaefig")
SLUGS = [step.slug for step in STEPS]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose password is a canary, with its lab up."""
    home = tmp_path_factory.mktemp("workspace")
    # One fault, so that the same is found each time.
    choices = {"PASSWORD": CANARY.reveal(), "FAULT": "chrooted-smtpd"}
    with learner(own("notebooks"), home, **choices) as found:
        yield found


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    """Everything that notebooks showed, as it would be saved."""
    return []


def execute(slug: str, outputs: list[str], part: float = 1.0) -> None:
    """Run the first `part` of a notebook's cells in a kernel of its own, which is then killed."""
    notebook = nbformat.read(NOTEBOOKS / f"{slug}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    client = NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}
    )
    with client.setup_kernel():
        try:
            for cell in cells[: round(len(cells) * part)]:
                client.execute_cell(cell, notebook.cells.index(cell))
        finally:
            client.set_widgets_metadata()
            outputs.append(nbformat.writes(notebook))
        # No farewell: what a kernel's death leaves is what the next run finds.
        os.kill(client.km.provisioner.pid, 9)


def seen() -> dict[str, Any]:
    """Return what the course changes; clients trust the very certificate that is there."""
    step = begin("07_log_check")
    try:
        return {**state(step), "the certificate itself": read_certificate(step.server)}
    finally:
        step.hosts.close()


def passed(workspace: Workspace, slug: str) -> bool:
    return bool(workspace.progress()[slug]["passed"])


@pytest.mark.parametrize("slug", SLUGS)
def test_broken_off_and_run_twice(slug: str, workspace: Workspace, outputs: list[str]) -> None:
    # Half a teardown would be a whole one.
    for part in (0.5, 1) if slug != SLUGS[-1] else (1,):
        workspace.forget(slug)
        execute(slug, outputs, part)
    assert passed(workspace, slug)
    if slug != SLUGS[-1]:
        solved = seen()
        workspace.forget(slug)
        execute(slug, outputs)
        assert passed(workspace, slug)
        assert seen() == solved
    if slug == "07_log_check":
        assert_nothing_doubled()
        _the_password_is_nowhere_on_the_hosts()


def test_teardown_with_nothing_there(workspace: Workspace, outputs: list[str]) -> None:
    execute("10_teardown", outputs)
    assert passed(workspace, "10_teardown")


def test_no_output_tells_the_password(workspace: Workspace, outputs: list[str]) -> None:
    assert len(outputs) > 2 * len(SLUGS)
    login = Settings().login
    everything = {f"output {number}": text for number, text in enumerate(outputs)}
    for file in workspace.path.rglob("*"):
        if file.is_file():
            everything[file.name] = file.read_text(errors="replace")
    for spelling in encodings(CANARY, [login, login.partition("@")[0]]):
        found = [name for name, text in everything.items() if spelling in text]
        assert not found
        # A notebook is JSON: what it holds may be spelt with escapes.
        assert not [n for n, text in everything.items() if json.dumps(spelling)[1:-1] in text]


def _the_password_is_nowhere_on_the_hosts() -> None:
    """Search logs, histories and process lists; the two files that have to hold it are left out."""
    step = begin("07_log_check")
    for host in (step.server, step.client):
        for spelling in encodings(CANARY, [step.settings.login]):
            # The word to look for goes by standard input, or grep would find itself.
            status, output = host.probe(
                "sudo grep -rlaF -f - /var/log /home /root /tmp /run/log /etc/postfix "
                "--exclude=.mailrc 2>/dev/null",
                stdin=spelling,
            )
            assert (status, output) == (1, "")
