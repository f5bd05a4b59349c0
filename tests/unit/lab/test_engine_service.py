from __future__ import annotations

import contextlib
import gc
import os
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from handson.errors import EngineMissing
from handson.lab import engine_service, processes, ulimits


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


def a_podman(folder: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Put a program `podman` in PATH that fails so often before it serves."""
    server = folder / "serve.py"
    server.write_text(
        textwrap.dedent("""\
        import http.server, socketserver, sys

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("API-Version", "1.41")
                self.send_header("Content-Length", "0")
                self.end_headers()
            def address_string(self):
                return "socket"

        with socketserver.UnixStreamServer(sys.argv[1], Answer) as server:
            server.serve_forever()
        """)
    )
    program = folder / "podman"
    program.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        echo start >>{folder}/starts
        if [ "$(wc -l <{folder}/starts)" -le {failures} ]; then
            echo "Error: no such luck" >&2
            exit 125
        fi
        for last; do :; done
        exec {sys.executable} {server} "${{last#unix://}}"
        """)
    )
    program.chmod(0o755)
    monkeypatch.setattr(engine_service, "as_root", list)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_podman_that_ends_at_once_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_podman(tmp_path, monkeypatch, failures=2)
    try:
        with contextlib.closing(engine_service._start_podman(tmp_path, "again")) as client:
            assert client.api._version == "1.41"
    finally:
        found = processes.find(str(tmp_path / "serve.py"))
        assert processes.end(found) == 1
    assert len((tmp_path / "starts").read_text().split()) == 3


def test_a_podman_that_never_serves_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_podman(tmp_path, monkeypatch, failures=9)
    with pytest.raises(EngineMissing) as caught:
        engine_service._start_podman(tmp_path, "never")
    assert "its service ended 3 times" in caught.value.what
    assert "no such luck" in caught.value.what
