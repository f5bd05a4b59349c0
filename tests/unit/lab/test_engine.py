from __future__ import annotations

import gc
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from handson.errors import EngineMissing
from handson.lab import engine


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("127.0.0.1:5000/debian:12", True),
        ("localhost:5000/debian", True),
        ("127.8.8.8:5000/library/debian:12", True),
        ("[::1]:5000/debian:12", True),
        ("debian:12", False),
        ("localhost/smtp-handson-host:1", False),  # Podman's name for what was made here
        ("registry.test:5000/debian:12", False),
        ("docker.io/library/debian:12", False),
        ("127.example.test/debian", False),
    ],
)
def test_registries_on_loopback(image: str, expected: bool) -> None:
    assert engine.is_on_loopback(image) is expected


def test_hardware_addresses() -> None:
    assert engine.mac("10.87.2.44") == "02:42:0a:57:02:2c"
    assert engine.mac("") == ""
    assert engine.mac("10.87.2.44") != engine.mac("10.87.2.45")


def test_settings_for_podman_where_limits_are_low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_may_raise_limits", lambda: False)
    settings = tomllib.loads(engine._containers_conf())
    limits = settings["containers"]["default_ulimits"]
    assert [limit.split("=")[0] for limit in limits] == ["nofile", "nproc"]
    assert settings["engine"]["exit_command_delay"] == 5


def test_settings_for_podman_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_may_raise_limits", lambda: True)
    assert engine._low_limits() == []
    assert "containers" not in tomllib.loads(engine._containers_conf())


# The docker SDK leaves the socket that it could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="neither Docker nor Podman answers") as caught:
        engine.connect("nothing")
    assert "apt-get install podman" in str(caught.value)
    del caught
    gc.collect()


def test_a_process_is_found_and_ended(tmp_path: Path) -> None:
    word = f"handson-test-{os.getpid()}"
    log = tmp_path / "log"
    sleeper = "import sys, time; print('there', flush=True); time.sleep(60)"
    process = engine.start([sys.executable, "-c", sleeper, word], log)
    try:
        found = engine.processes(word)
        assert [one.pid for one in found] == [process.pid]
        assert engine.processes(word, "another-word") == []
        assert os.getsid(process.pid) == process.pid  # no Ctrl-C gets there
        assert engine.end(found) == 1
        assert engine.processes(word) == []
    finally:
        process.kill()
        process.wait()


def test_one_that_will_not_go_is_killed() -> None:
    word = f"handson-stubborn-{os.getpid()}"
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)", word], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert engine.end(engine.processes(word), seconds=0.2) == 1
        assert process.wait(5) == -9


def test_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert engine.as_root() == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert engine.as_root() == ["sudo", "-n"]
