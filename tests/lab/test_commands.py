"""What is typed gets to the host unharmed, what is secret gets nowhere else, and errors tell."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from waiting import wait_until

from handson.course import progress
from handson.course.begin import begin
from handson.course.outline import steps
from handson.course.step import Step
from handson.errors import CommandFailed, HandsonError, HostUnreachable, InvalidInput, NotRefused
from handson.hosts import host as hosts_module
from handson.hosts.host import Host
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.secret import MASK, Secret
from handson.settings import Settings

STEPS = steps()

EVIL = "x; touch /tmp/pwned"


# --- words ---


def test_an_evil_user_is_no_user(server: Host) -> None:
    with pytest.raises(InvalidInput, match="not a user name"):
        Settings(user=EVIL)
    server.refused("ls /tmp/pwned", "No such file")


@pytest.mark.parametrize(
    "value", [EVIL, "$(touch /tmp/pwned)", "`id`", "a'b\"c", "*", "a\nb", "-n"]
)
def test_a_value_is_one_word(server: Host, value: str) -> None:
    output = server.read("python3 -c 'import sys; print(repr(sys.argv[1]))' {value}", value=value)
    assert output == f"{value!r}\n"
    server.refused("ls /tmp/pwned", "No such file")


def test_an_evil_path_is_a_path(server: Host) -> None:
    path = "/tmp/a dir; touch pwned"
    server.run("mkdir -p {path}", path=path)
    server.write(f"{path}/file", "text\n")
    assert server.read("sudo cat {file}", file=f"{path}/file") == "text\n"
    server.run("sudo rm -r {path}", path=path)
    server.refused("ls /tmp/pwned pwned", "No such file")


def test_a_word_that_nobody_knows(server: Host) -> None:
    with pytest.raises(HandsonError, match=r"uses \{wrod\}, which nothing gives a value"):
        server.run("echo {wrod}")


# --- secrets ---


@pytest.fixture
def password(step: Step) -> Secret:
    return step.password


def test_a_password_is_not_put_on_a_command_line(server: Host, password: Secret) -> None:
    with pytest.raises(HandsonError, match="never stands on a command line"):
        server.run("echo {password}", password=password)


def test_what_goes_in_is_seen_nowhere(server: Host, password: Secret, step: Step) -> None:
    # While the command runs it lists all processes itself.
    listed = server.run(
        "cat >/dev/null; sleep 0.2; ps -eo args; sudo cat /proc/*/cmdline /proc/*/environ 2>&1 "
        "| tr '\\0' '\\n'; cat ~/.*history 2>/dev/null; true",
        stdin=password,
    )
    raw = password.reveal()
    coded = base64.b64encode(raw.encode()).decode()
    for text in (
        listed.text(),
        listed.html(),
        step.workspace.path.joinpath("commands.log").read_text(),
    ):
        assert raw not in text and coded not in text
    assert MASK not in listed.text()  # it was not there at all, not even hidden


def test_a_file_with_a_password(server: Host, client: Host, password: Secret, step: Step) -> None:
    shown = client.write("~/secret", "set password={password}\n", mode="0600")
    raw = password.reveal()
    assert raw not in shown.text() and raw not in shown.html() and MASK in shown.text()
    assert client.read("stat -c '%a %U' ~/secret") == "600 admin\n"
    assert client.read("wc -c < ~/secret").strip() == str(len(f"set password={raw}\n"))
    read = client.read("cat ~/secret")  # read as it is, and shown masked
    assert raw in read.strip() and raw not in f"{read} {read!r}"
    assert raw not in step.workspace.path.joinpath("commands.log").read_text()
    client.run("rm ~/secret")


def test_output_is_scrubbed_in_every_spelling(server: Host, password: Secret, step: Step) -> None:
    login, raw = step.settings.login, password.reveal()
    plain = base64.b64encode(f"\0{login}\0{raw}".encode()).decode()
    alone = base64.b64encode(raw.encode()).decode()
    encode = "import base64, sys; print(base64.b64encode(sys.stdin.buffer.read()).decode())"
    output = server.run(
        "tee /tmp/in >/dev/null; cat /tmp/in; echo; python3 -c {encode} < /tmp/in; "
        "(printf '\\0%s\\0' {login}; cat /tmp/in) | python3 -c {encode}; rm /tmp/in",
        stdin=password,
        encode=encode,
    )
    for text in (output.text(), output.html()):
        assert raw not in text and alone not in text and plain not in text
    assert output.text().count(MASK) == 3
    with pytest.raises(CommandFailed) as failed:
        server.run("cat; exit 3", stdin=password)
    assert raw not in str(failed.value) and MASK in str(failed.value)


# --- failures ---


def test_a_failure_tells_all(server: Host) -> None:
    with pytest.raises(CommandFailed) as caught:
        server.run("seq 1 30; echo wrong >&2; exit 7")
    *told, cure = str(caught.value).splitlines()
    assert told == [
        "On server this command ended with exit status 7:",
        "    $ seq 1 30; echo wrong >&2; exit 7",
        *[f"    {number}" for number in range(22, 31)],
        "    wrong",
    ]
    assert cure.startswith("→ ")
    assert caught.value.status == 7
    server.run("exit 7", status=7)  # where 7 is right, it is no failure
    with pytest.raises(CommandFailed):
        server.run("true", status=1)


def test_a_refusal_that_does_not_come(server: Host) -> None:
    with pytest.raises(NotRefused, match="had to be refused with “denied”"):
        server.refused("echo denied", "denied")  # it says so, but succeeds
    with pytest.raises(NotRefused, match="exit status 3"):
        server.refused("echo broken; exit 3", "denied")  # it fails for another reason
    assert "refused, as it has to be" in server.refused("echo denied; exit 3", "denied").text()


def test_no_end(server: Host) -> None:
    server.read("true")  # to connect may take longer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hosts_module, "SECONDS", 1)
        with pytest.raises(CommandFailed, match="no end after 1 s") as caught:
            server.run("sleep infinity")
    assert caught.value.status == 124
    assert server.read("echo there") == "there\n"


def test_a_connection_that_broke_is_made_anew(client: Host) -> None:
    client.read("true")
    transport = client.connection.transport
    transport.sock.close()
    transport.join(60)
    assert not transport.is_active()
    assert client.read("echo there") == "there\n"


def test_a_connection_that_breaks_in_the_middle(client: Host, step: Step) -> None:
    transport = client.connection.transport
    watcher = begin("00_start", step.workspace)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, "sleep 300")
        wait_until(lambda: watcher.hosts.client.probe("pgrep -fx 'sleep 300'")[0] == 0)
        transport.sock.close()
        error = running.exception(60)
    watcher.disconnect()
    assert isinstance(error, HostUnreachable)
    assert "Run the cell again; it connects anew" in str(error)
    assert client.read("echo there") == "there\n"


def test_sshd_killed_in_the_middle(client: Host) -> None:
    client.read("true")
    with pytest.raises(HandsonError) as caught:
        client.run("sudo pkill -KILL -u admin sshd; sleep 20")
    assert isinstance(caught.value, HostUnreachable | CommandFailed)
    assert client.read("echo there") == "there\n"


@pytest.fixture
def stopped_client(step: Step, ec2: Any) -> Iterator[str]:
    instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-client")
    assert instance is not None
    ec2.stop_instances(InstanceIds=[instance.id])
    yield instance.id
    ec2.start_instances(InstanceIds=[instance.id])
    step.client.connection.close()
    assert step.client.read("echo there") == "there\n"


def test_a_stopped_host(stopped_client: str, step: Step) -> None:
    for _ in range(2):
        with pytest.raises(HostUnreachable) as caught:
            step.client.run("true")
    assert "is stopped" in str(caught.value) and "→" in str(caught.value)
    fresh = begin("00_start", step.workspace)
    try:
        with pytest.raises(HostUnreachable, match="smtp-handson-client is stopped"):
            fresh.client.run("true")
    finally:
        fresh.hosts.close()


def test_a_host_that_is_dead(step: Step, lab: Lab, engine: Engine) -> None:
    """It ended behind the API's back, which says so before it is asked for its address."""
    instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-client")
    assert instance is not None
    container = engine.host(instance.id)
    assert container is not None
    step.client.connection.close()
    container.kill("SIGKILL")
    try:
        with pytest.raises(HostUnreachable, match="is stopped") as caught:
            step.client.run("true")
        assert f"`handson up --name {lab.name}` brings it back" in caught.value.cure
    finally:
        lab.up(step.workspace.public_key)
    assert step.client.read("echo there") == "there\n"


def test_a_look_is_ended_at_any_moment(
    step: Step, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = {info.slug: progress.DONE for info in STEPS[:-1]}
    monkeypatch.setattr(progress, "recorded", lambda workspace: {**done, STEPS[-1].slug: "open"})
    before = set(threading.enumerate())
    for seconds in (0.01, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0):
        fresh = begin("00_start", step.workspace)
        progress.now(fresh, seconds)
        # A header waits for 2 s more at most; a busy machine's API may take longer to answer.
        wait_until(lambda: all(one.name != "look" for one in threading.enumerate()))
        # Whether it was ended or not, the step goes on.
        assert fresh.hosts.client.read("echo there") == "there\n"
        fresh.disconnect()
    wait_until(lambda: not set(threading.enumerate()) - before)  # paramiko's own end last
    assert capfd.readouterr() == ("", "")
