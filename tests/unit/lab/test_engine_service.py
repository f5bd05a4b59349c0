from __future__ import annotations

import gc
import tomllib
from pathlib import Path

import pytest

from handson.errors import EngineMissing
from handson.lab import engine_service, ulimits


def test_settings_for_podman_where_limits_are_low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ulimits, "_may_raise_limits", lambda: False)
    settings = tomllib.loads(engine_service._containers_conf())
    lines = settings["containers"]["default_ulimits"]
    assert [line.split("=")[0] for line in lines] == ["nofile", "nproc"]
    assert settings["engine"]["exit_command_delay"] == 5


def test_settings_for_podman_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ulimits, "_may_raise_limits", lambda: True)
    assert ulimits.low_limits() == []
    assert "containers" not in tomllib.loads(engine_service._containers_conf())


# The docker SDK leaves the socket that it could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="neither Docker nor Podman answers") as caught:
        engine_service.find("nothing")
    assert "apt-get install podman" in str(caught.value)
    del caught
    gc.collect()
