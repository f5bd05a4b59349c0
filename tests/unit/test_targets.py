"""The targets: what they have in common; a run on AWS, with an account, and nothing left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from handson import settings
from handson.cloud import targets
from handson.cloud.targets import KINDS, kind, of
from handson.cloud.targets.aws import AwsTarget
from handson.course.run.runner import kernel_environment
from handson.errors import HandsonError, InvalidInput, LabDown
from handson.settings import TARGETS, Settings
from handson.ui.form import SettingsForm
from handson.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]) -> AwsTarget:
    """A place in an account that the API on loopback knows."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", connection["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.setenv("HANDSON_OWN_IP", "203.0.113.5")
    monkeypatch.setenv("HANDSON_WORKSPACE", str(tmp_path))
    return AwsTarget.for_run("aws", tmp_path / "run")


def never() -> bool:
    raise AssertionError("the teardown has been run already")


def test_an_account_is_seen_to_be_there(place: AwsTarget) -> None:
    place.prepare()


def test_without_credentials_nothing_begins(
    place: AwsTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(HandsonError, match="redentials"):
        place.prepare()


def test_the_teardown_is_not_run_twice(place: AwsTarget) -> None:
    assert "nothing is left" in place.tear_down(True, never)


def test_a_course_that_broke_off_is_torn_down(place: AwsTarget) -> None:
    assert "nothing is left" in place.tear_down(False, lambda: True)


def test_what_could_not_be_deleted_is_told(place: AwsTarget) -> None:
    with pytest.raises(HandsonError, match="what is left may cost money") as raised:
        place.tear_down(False, lambda: False)
    assert "10_teardown" in raised.value.cure


def test_instances_that_are_kept_cost_money(place: AwsTarget) -> None:
    assert "cost money" in place.kept


# -- all targets ---------------------------------------------------------------------


def test_each_name_that_can_be_chosen_is_a_targets() -> None:
    assert tuple(one.name for one in KINDS) == TARGETS
    for name in TARGETS:
        assert kind(name).name == name and kind(name).title


def test_a_name_that_is_no_targets_is_refused() -> None:
    with pytest.raises(InvalidInput, match="“moon” cannot be chosen"):
        kind("moon")


def test_what_a_target_asks_for_is_in_the_form() -> None:
    asked = [name for one in KINDS for name in one.asks]
    assert len(asked) == len(set(asked)) and set(asked) <= set(
        SettingsForm(Settings(), False, KINDS).fields
    )


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_made_without_asking_anybody(name: str, tmp_path: Path) -> None:
    """Neither a lab nor an account nor a host has to be there."""
    target = of(Settings(target=name), Workspace("meadow", tmp_path))
    assert target.name == name and set(target.hosts) >= {"server", "client"}
    assert isinstance(target.kept, str) and isinstance(target.how_to_start, str)


def test_a_lab_that_is_down_is_said_when_it_is_needed(tmp_path: Path) -> None:
    target = of(Settings(), Workspace("meadow-that-is-down", tmp_path))
    for ask in (lambda: target.connection, lambda: target.jump, lambda: target.apply(Settings())):
        with pytest.raises(LabDown):
            ask()


def test_a_target_is_added_by_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Meadow(AwsTarget):
        name, title, asks = "meadow", "a meadow", ()

    kinds = (*KINDS, Meadow)
    monkeypatch.setattr(targets, "KINDS", kinds)
    monkeypatch.setitem(settings.CHECKS, "target", str)
    found = of(Settings(target="meadow"), Workspace("meadow", tmp_path))
    assert type(found) is Meadow
    form = SettingsForm(Settings(target="meadow"), False, kinds)
    assert ("A meadow", "meadow") in form.fields["target"].options
    assert kernel_environment(found)["HANDSON_TARGET"] == "meadow"


def test_no_target_is_compared_elsewhere() -> None:
    names = "|".join(TARGETS)
    comparison = re.compile(rf"""target\b.*(==|!=|\bin\b)\s*\(?["']({names})["']""")
    folder = Path(settings.__file__).parent
    found = [
        f"{path}: {line}"
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if comparison.search(line)
    ]
    assert not found
