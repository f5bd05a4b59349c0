"""The folder that remembers: what is in it may be damaged, and is never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from handson import begin
from handson.course.steps.start import Start
from handson.errors import InvalidInput
from handson.secret import Secret
from handson.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("HANDSON_PASSWORD", raising=False)
    return Workspace("meadow", tmp_path / "meadow")


def test_a_kept_password_that_a_new_name_gives_away_is_refused(workspace: Workspace) -> None:
    workspace.save_password(Secret("alps.example"))
    step = begin("00_start", workspace)
    assert isinstance(step, Start)
    form = step.form()
    form.make_password.value = False
    form.fields["domain"].value = "alps.example"
    before = workspace.settings()
    with pytest.raises(InvalidInput, match="no secret"):
        step.save(form)
    assert workspace.settings() == before
