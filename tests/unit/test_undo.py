"""Since when the log counts, and what undoing tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from handson.course.log_window import counts_since, forget_hosts, let_count
from handson.course.outline import steps
from handson.course.step import Step
from handson.course.undo import Undone
from handson.ui.view import Note, Terminal
from handson.workspace import Workspace

STEPS = steps()

EARLY, LATE = "2025-01-01T10:00:00.000001+00:00", "2025-01-01T12:00:00.000001+02:00"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace("meadow", tmp_path)


def test_each_step_that_changes_hosts_can_be_undone() -> None:
    changing = {step.slug for step in STEPS if step.slug < "07"}
    assert changing <= {step.slug for step in STEPS if step.undo is not Step.undo}


def test_everything_counts_until_something_is_undone(workspace: Workspace) -> None:
    assert counts_since(workspace, "06_mailx_test") == ""


def test_the_log_counts_since_the_step_or_an_earlier_one_was_undone(workspace: Workspace) -> None:
    workspace.note("since 06_mailx_test", EARLY)
    assert counts_since(workspace, "05_master_cf") == ""
    assert counts_since(workspace, "06_mailx_test") == EARLY
    assert counts_since(workspace, "07_log_check") == EARLY


def test_the_later_moment_counts_whatever_the_zone(workspace: Workspace) -> None:
    later = "2025-01-01T10:30:00.000001+00:00"  # LATE is 10:00 in that zone
    workspace.note("since 06_mailx_test", later)
    workspace.note("since 07_log_check", LATE)
    assert counts_since(workspace, "07_log_check") == later


def test_a_step_done_once_more_lets_all_of_its_own_count(workspace: Workspace) -> None:
    workspace.note("since 06_mailx_test", EARLY)
    workspace.note("since 07_log_check", "2026-01-01T10:00:00.000001+00:00")
    let_count(workspace, "07_log_check")
    assert counts_since(workspace, "07_log_check") == EARLY


def test_hosts_that_are_no_more_leave_nothing_behind(workspace: Workspace) -> None:
    workspace.note("since 06_mailx_test", EARLY)
    workspace.record("03_sasldb", {"passed": True, "checks": []})
    workspace.pin("i-1", ["ssh-ed25519 AAAA"])
    forget_hosts(workspace)
    assert workspace.progress() == {}
    assert workspace.pinned("i-1") == []
    assert counts_since(workspace, "07_log_check") == ""


def test_what_was_undone_reads_well() -> None:
    shown = Terminal("server", "sudo rm <file>", "", 0)
    two = Undone("02", [(STEPS[3], [shown]), (STEPS[2], [Note("gone", "good")])])
    assert two.text().splitlines() == [
        "# 03_sasldb",
        "[server]$ sudo rm <file>",
        "# 02_sasl_install",
        "✔ gone",
        "✔ Undone, later steps first: 03_sasldb, 02_sasl_install.",
    ]
    assert "rm &lt;file&gt;" in two.html() and "rm <file>" not in two.html()
    assert Undone("02", [(STEPS[2], [shown])]).note.text() == "✔ Undone: 02_sasl_install."
    assert Undone("02_sasl_install", []).text() == "02_sasl_install: nothing to undo."
