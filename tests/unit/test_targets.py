"""A run on AWS: seen to have an account before it begins, and nothing left at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handson.cloud.targets.aws import AwsTarget
from handson.errors import HandsonError


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
