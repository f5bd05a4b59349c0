from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.context.config import get_context_id
from waiting import wait_until

from handson.errors import EngineMissing
from handson.lab import engine_service, processes, ulimits
from handson.lab import state as states
from handson.lab.lab import Lab


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


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine; the folder is an empty PATH, home and lab folder in one."""
    monkeypatch.setattr(engine_service, "_usual", lambda: iter([f"unix://{tmp_path}/usual.sock"]))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(engine_service, "DEFAULT", f"unix://{tmp_path}/usual.sock")
    return tmp_path


def refused(folder: Path) -> EngineMissing:
    """Return what is said where no engine is found for a lab, and see that nothing was started."""
    with pytest.raises(EngineMissing) as caught:
        engine_service.find(folder)
    assert not (folder / "starts").exists()
    return caught.value


def test_no_engine(nothing: Path) -> None:
    error = refused(nothing)
    assert "neither Docker nor Podman answers" in error.what
    assert "apt-get install podman" in error.cure


def test_an_engine_that_is_named_is_the_only_one(
    nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_podman(nothing, monkeypatch, failures=0)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{nothing}/none.sock")
    error = refused(nothing)
    assert error.what.startswith(f"DOCKER_HOST names the container engine at unix://{nothing}/none")
    assert "does not answer (No such file or directory)" in error.what


def test_a_docker_context_names_one_too(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_podman(nothing, monkeypatch, failures=0)
    (nothing / "config.json").write_text('{"currentContext": "meadow"}')
    assert "The Docker context “meadow” is chosen, and names no engine." in refused(nothing).what
    folder = nothing / "contexts" / "meta" / get_context_id("meadow")
    folder.mkdir(parents=True)
    host = f"unix://{nothing}/none.sock"
    meta = {
        "Name": "meadow",
        "Metadata": {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    assert "The Docker context “meadow” names the container engine at" in refused(nothing).what


@pytest.mark.parametrize(
    "address",
    ["ssh://root@example.com", "tcp://192.0.2.1:2375", "tcp://example.com:2376", "192.0.2.1:1"],
)
def test_an_engine_on_another_machine_is_refused(
    address: str, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    error = refused(nothing)
    assert f"on another machine, {address}" in error.what
    assert "unset DOCKER_HOST" in error.cure


@pytest.mark.parametrize("address", ["tcp://[x:1", "tcp://127.0.0.1", "meadow://x", "tcp://a:b"])
def test_what_is_no_address_is_refused(
    address: str, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    assert "holds no address" in refused(nothing).what


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"])
def test_an_engine_here_that_does_not_answer(
    address: str, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    assert "does not answer (Connection refused)" in refused(nothing).what


@pytest.mark.parametrize("is_named", [True, False])
def test_an_engine_that_one_may_not_use(
    is_named: bool, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: socket.socket, _path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "connect", refuse)  # root may use any
    if is_named:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{nothing}/usual.sock")
    error = refused(nothing)
    assert error.what.endswith("/usual.sock: Permission denied.")
    assert "sudo usermod -aG docker" in error.cure


def test_what_listens_need_not_be_an_engine(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_service, "SOON", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert "something listens there" in refused(nothing).what


def test_a_lab_stays_on_its_engine(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_podman(nothing, monkeypatch, failures=0)
    with serving(nothing / "mine.sock") as mine, serving(nothing / "usual.sock") as usual:
        with contextlib.closing(engine_service.find(nothing).client):
            assert engine_service.find(nothing).address == usual
        engine_service.remember(nothing, mine)
        found = engine_service.find(nothing)
        found.client.close()
        assert found.address == mine
    error = refused(nothing)
    assert f"The lab “lab” is on the container engine at {mine}, which does not" in error.what
    assert f"rm -r {nothing}" in error.cure


@pytest.mark.parametrize("command", ["up", "down", "left_over"])
def test_no_command_goes_to_another_engine(
    command: str, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "home_of", lambda uid: nothing)
    a_podman(nothing, monkeypatch, failures=0)
    folder = states.lab_folder("lab", create=True)
    engine_service.remember(folder, f"unix://{nothing}/none.sock")
    lab = Lab("lab")
    arguments = ["ssh-ed25519 AAAA"] if command == "up" else []
    with pytest.raises(EngineMissing, match="is on the container engine at"):
        getattr(lab, command)(*arguments)
    assert engine_service.recall(folder)  # and nothing is forgotten
    assert not (nothing / "starts").exists()


def test_podman_without_rights_says_which_command_helps(
    nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_podman(nothing, monkeypatch, failures=0)
    monkeypatch.setenv("PATH", str(nothing))
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    error = refused(nothing)  # there is no sudo
    assert "you may not use it" in error.what
    assert "/handson up --for " in error.cure or "sudo handson up --for " in error.cure
    sudo = nothing / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    sudo.chmod(0o755)
    assert refused(nothing).what == error.what
    sudo.write_text('#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    assert not processes.may_be_root()  # there is no `true` in that PATH
    monkeypatch.setenv("PATH", f"{nothing}:/usr/bin:/bin")
    assert processes.may_be_root()


def test_podman_in_a_virtual_machine_has_to_be_named(
    nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_podman(nothing, monkeypatch, failures=0)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "podman machine start" in refused(nothing).cure


def test_the_set_up_asks_which_it_would_be(
    nothing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine_service.main() == 1
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    monkeypatch.setenv("DOCKER_HOST", "ssh://example.com")
    assert engine_service.main() == 2
    assert "on another machine" in capsys.readouterr().err
    monkeypatch.delenv("DOCKER_HOST")
    a_podman(nothing, monkeypatch, failures=0)
    assert engine_service.main() == 0
    assert capsys.readouterr().out == "podman\n"
    assert not (nothing / "starts").exists()
    with serving(nothing / "usual.sock"):
        assert engine_service.main() == 0
    assert capsys.readouterr().out == "docker\n"


@contextlib.contextmanager
def serving(path: Path) -> Iterator[str]:
    """Answer at a Unix socket as Docker does; give its address."""
    program = path.with_suffix(".py")
    program.write_text(SERVER)
    with subprocess.Popen([sys.executable, program, path]) as process:
        try:
            wait_until(lambda: engine_service._client(f"unix://{path}") is not None)
            yield f"unix://{path}"
        finally:
            process.kill()


SERVER = textwrap.dedent("""\
    import http.server, socketserver, sys

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("API-Version", "1.41")
            self.send_header("Content-Length", "0")
            self.end_headers()
        def address_string(self):
            return "socket"
        def log_message(self, *words):
            pass

    with socketserver.UnixStreamServer(sys.argv[1], Answer) as server:
        server.serve_forever()
    """)


def a_podman(folder: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Put a program `podman` in PATH that fails so often before it serves."""
    server = folder / "serve.py"
    server.write_text(SERVER)
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
