"""ssh connections: closed for good while somebody connects, and no look that outlives a header."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import psutil
import pytest
from ssh_server import ssh_server
from waiting import wait_until

from handson.cloud.targets import Endpoint
from handson.cloud.targets.lab import LabTarget
from handson.course import progress
from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import CommandFailed, HostUnreachable
from handson.hosts import host as host_module
from handson.hosts.connections import Connections, unreachable
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.settings import Settings
from handson.workspace import Workspace

KEY = paramiko.ECDSAKey.generate()
KEYS = (f"{KEY.get_name()} {KEY.get_base64()}",)
# What is ended does not last until the connection's own limit, 15 s; a busy machine is slow.
PROMPTLY = 10


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace("meadow", tmp_path)


@pytest.fixture(params=["never speaks", "never accepts"])
def silent(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A place that answers nobody."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        if request.param == "never accepts":
            for _number in range(3):  # its queue holds one or two, and drops who comes after
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(address)
        yield Endpoint("127.0.0.1", address[1], "admin", KEYS)


def lines_to(place: Endpoint) -> int:
    """Return how many TCP connections of this process lead there, or are on the way."""
    lines = psutil.Process().net_connections("tcp4")
    return sum(bool(line.raddr) and line.raddr.port == place.port for line in lines)


def ended(
    call: Callable[[], Any], is_under_way: Callable[[], bool], close: Callable[[], None]
) -> BaseException | None:
    """Return what a call raises that is under way when something is closed."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(call)
        wait_until(is_under_way)
        assert not future.done()
        close()
        return future.exception(PROMPTLY)


def test_whoever_connects_is_told_at_once(silent: Endpoint, workspace: Workspace) -> None:
    connections, before = Connections(workspace), lines_to(silent)
    error = ended(
        lambda: connections.open(silent), lambda: lines_to(silent) > before, connections.close
    )
    assert isinstance(error, HostUnreachable)
    assert lines_to(silent) == before


def test_what_is_closed_opens_nothing_more(silent: Endpoint, workspace: Workspace) -> None:
    connections = Connections(workspace)
    connections.close()
    with pytest.raises(HostUnreachable, match="was closed"):
        connections.open(silent)


def test_a_connection_that_comes_up_after_the_close_is_not_kept() -> None:
    opened, release, closed = threading.Event(), threading.Event(), []

    def connect() -> Any:
        opened.set()
        assert release.wait(PROMPTLY)
        return SimpleNamespace(is_connected=True, close=lambda: closed.append(True))

    host = Host("meadow", connect)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: host.connection)
        assert opened.wait(PROMPTLY)
        host.close()
        release.set()
        error = future.exception(PROMPTLY)
    assert isinstance(error, HostUnreachable) and closed == [True]
    with pytest.raises(HostUnreachable, match="was closed"):
        _connection = host.connection


class Login(paramiko.ServerInterface):
    """Lets everybody in, and runs each command for ever."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command)
        return True


@pytest.fixture
def login() -> Login:
    return Login()


@pytest.fixture
def endless(login: Login) -> Iterator[Endpoint]:
    """A place to log in to, whose commands do not end."""
    with ssh_server(KEY, login) as port:
        yield Endpoint("127.0.0.1", port, "admin", KEYS)


class Wire:
    """A way to a port of this machine, on which nothing passes any more once it is cut."""

    def __init__(self, port: int) -> None:
        self.port, self.is_cut = port, False
        self.lines: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self._serve)]
        self.threads[0].start()

    def __enter__(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.listener.getsockname()[1], "admin", KEYS)

    def __exit__(self, *_error: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        for line in self.lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PROMPTLY)
        for line in [self.listener, *self.lines]:
            line.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                ours = self.listener.accept()[0]
                theirs = socket.create_connection(("127.0.0.1", self.port))
                self.lines += [ours, theirs]
                for one, other in ((ours, theirs), (theirs, ours)):
                    thread = threading.Thread(target=self._carry, args=(one, other))
                    self.threads.append(thread)
                    thread.start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not self.is_cut:
                    other.sendall(data)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "SECONDS", 2)
    monkeypatch.setattr(host_module, "ANSWER", 3)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_command_without_an_end_on_a_host_that_answers(
    endless: Endpoint, workspace: Workspace
) -> None:
    host = Host("meadow", lambda: Connections(workspace).open(endless))
    with closing(host), pytest.raises(CommandFailed) as caught:
        host.read("sleep infinity")
    assert caught.value.output == "no end after 2 s; the host itself still answers"


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("moment", ["before a command", "in the middle of it"])
def test_the_network_is_cut(
    moment: str, endless: Endpoint, login: Login, workspace: Workspace
) -> None:
    wire = Wire(endless.port)
    with wire as place, closing(Host("meadow", lambda: Connections(workspace).open(place))) as host:
        first = host.connection
        first.transport.channel_timeout = 0.5
        if moment == "before a command":
            wire.is_cut = True
            with pytest.raises(HostUnreachable, match="The connection to meadow broke"):
                host.read("true")
        else:
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(host.read, "true")
                wait_until(lambda: bool(login.commands))
                wire.is_cut = True
                error = running.exception(PROMPTLY)
            assert isinstance(error, HostUnreachable)
            assert "meadow does not answer any more" in error.what
            assert "Check the network" in error.cure
        # The network is there again: so is the host, on a new connection.
        wire.is_cut = False
        with pytest.raises(CommandFailed, match="still answers"):
            host.read("true")
        assert host.connection is not first and not first.is_connected


class Meadow(LabTarget):
    """A lab whose way in is a place of the test's."""

    jump: Endpoint | None = None


def meadow(place: Endpoint, workspace: Workspace) -> Meadow:
    found = Meadow(workspace, Settings())
    found.jump = place
    return found


def with_jump(place: Endpoint, workspace: Workspace) -> Step:
    """A step in a lab whose way in is that place."""
    step = begin("01_security_group", workspace)
    step.target = meadow(place, workspace)
    step.settings = Settings()
    running = SimpleNamespace(id="i-1", state="running", public_ip="192.0.2.1", private_ip="")
    step.cloud = SimpleNamespace(  # type: ignore[assignment]
        instance=lambda name: running, host_keys=lambda instance_id: list(KEYS)
    )
    return step


@pytest.mark.parametrize("how", ["hosts", "host"])
def test_whoever_runs_a_command_is_told_at_once(
    endless: Endpoint, login: Login, workspace: Workspace, how: str
) -> None:
    hosts: Hosts = with_jump(endless, workspace).hosts
    pc = hosts.internet
    assert isinstance(pc, Host)
    error = ended(
        lambda: pc.read("true"),
        lambda: bool(login.commands),
        hosts.close if how == "hosts" else pc.close,
    )
    assert isinstance(error, HostUnreachable)
    with pytest.raises(HostUnreachable):
        pc.read("true")
    hosts.close()


def test_the_way_in_is_shared(endless: Endpoint, workspace: Workspace) -> None:
    hosts = with_jump(endless, workspace).hosts
    assert isinstance(hosts.internet, Host)
    assert hosts.gateway() is hosts.internet.connection
    hosts.close()


def looking() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "look"]


def connected() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if isinstance(t, paramiko.Transport)}


def test_a_header_ends_its_look_at_hosts_that_do_not_answer(
    silent: Endpoint, workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    step = with_jump(silent, workspace)
    workspace.record("00_start", {"passed": True, "checks": []})
    began, before = time.monotonic(), connected()  # tests of labs leave some open
    found = progress.now(step, seconds=0.3)
    assert time.monotonic() - began < PROMPTLY
    assert found == progress.recorded(workspace)  # what was cut off still passes
    assert not looking()
    wait_until(lambda: connected() <= before)
    assert capfd.readouterr() == ("", "")


def test_after_a_look_that_was_ended_the_step_connects_anew(
    silent: Endpoint, endless: Endpoint, workspace: Workspace
) -> None:
    step = with_jump(silent, workspace)
    workspace.record("00_start", {"passed": True, "checks": []})
    progress.now(step, seconds=0.1)
    step.target = meadow(endless, workspace)
    with closing(step.hosts) as hosts:
        assert hosts.gateway() is not None


def test_what_a_look_has_opened_is_kept_for_the_step(
    endless: Endpoint, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def look_at(step: Step, slugs: list[str]) -> dict[str, bool]:
        opened.append(step.hosts.gateway())
        return dict.fromkeys(slugs, False)

    monkeypatch.setattr(progress, "look_at", look_at)
    workspace.record("00_start", {"passed": True, "checks": []})
    step = with_jump(endless, workspace)
    assert progress.now(step, seconds=PROMPTLY)["00_start"] == "back"
    assert step.hosts.gateway() is opened[0] and opened[0].is_connected
    # A second header looks with connections of its own, and leaves the step's alone.
    assert progress.now(step, seconds=PROMPTLY)["00_start"] == "back"
    assert step.hosts.gateway() is opened[0] and opened[0].is_connected
    assert opened[1] is not opened[0] and not opened[1].is_connected
    step.disconnect()
    assert not opened[0].is_connected


def test_an_error_in_a_look_is_no_learners(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look_at(step: Step, slugs: list[str]) -> dict[str, bool]:
        raise ZeroDivisionError

    monkeypatch.setattr(progress, "look_at", look_at)
    workspace.record("00_start", {"passed": True, "checks": []})
    # An exception that leaves a thread fails the test.
    assert progress.now(begin("00_start", workspace), seconds=PROMPTLY) == progress.recorded(
        workspace
    )
    assert "ZeroDivisionError" in caplog.text


def test_a_place_says_which_host_it_is_and_what_to_do() -> None:
    place = Endpoint("127.0.0.1", 1, "admin", KEYS, "pc", "`handson up` brings it back.")
    error = unreachable(place, ConnectionRefusedError("refused"))
    assert error.what == "pc does not answer over ssh (refused)."
    assert error.cure == "`handson up` brings it back."
    assert "security group" in unreachable(Endpoint("192.0.2.1", 22, "admin", KEYS), OSError()).cure
