"""Hosts of the learner's own: reached by plain ssh, and what is not there is left out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
from ssh_server import Login, ssh_server

from handson.cloud.cloud import Cloud
from handson.cloud.security_groups import GroupRule
from handson.cloud.targets import Endpoint, of
from handson.cloud.targets.ssh import SshTarget, keys_known_to_ssh
from handson.course import outline
from handson.course.begin import begin
from handson.course.checks import State
from handson.course.goto import Journey
from handson.course.steps import security_group, teardown
from handson.course.undo import undo
from handson.errors import HandsonError, HostUnreachable, InvalidInput, NotHere
from handson.hosts import snapshot
from handson.hosts.inventory import Hosts
from handson.hosts.ssh import ssh_command, way_to
from handson.hosts.systems import UBUNTU_2404
from handson.mail.relay_matrix.expected import PORTS, Origin
from handson.mail.relay_matrix.probe import _reach as reach
from handson.mail.relay_matrix.probe import places
from handson.settings import Settings
from handson.workspace import Workspace

HOST_KEY, OTHER_KEY, USER_KEY = (paramiko.ECDSAKey.generate() for _ in range(3))
LINE = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of somebody whose home is empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    return Workspace("meadow", tmp_path / "workspace")


def target(workspace: Workspace, **choices: str) -> SshTarget:
    known = {"server": "admin@192.0.2.10", "client": "admin@192.0.2.20", **choices}
    found = of(Settings(target="ssh", **known), workspace)
    assert isinstance(found, SshTarget)
    return found


def hosts(at: SshTarget) -> Hosts:
    settings = at.apply(at.settings)
    return Hosts(at.workspace, at, settings, Cloud(settings, at.connection))


def remember(workspace: Workspace, name: str, key: paramiko.PKey) -> None:
    """Write a key into ~/.ssh/known_hosts as ssh does on Debian: with the name hashed."""
    hashed = paramiko.HostKeys.hash_host(name)
    line = f"{hashed} {key.get_name()} {key.get_base64()}\n"
    (Path.home() / ".ssh" / "known_hosts").write_text(line)


# -- the way to the hosts ---------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    with ssh_server(HOST_KEY, Login(USER_KEY)) as found:
        yield found


def own_key(folder: Path) -> str:
    USER_KEY.write_private_key_file(str(folder / "id"))
    return str(folder / "id")


@pytest.mark.parametrize("known", ["by a variable", "to ssh"])
def test_a_host_is_reached_with_the_key_that_it_lets_in(
    port: int, known: str, workspace: Workspace, tmp_path: Path
) -> None:
    if known == "to ssh":
        remember(workspace, f"[127.0.0.1]:{port}", HOST_KEY)
        given = {}
    else:
        given = {"client_host_key": LINE}
    at = target(workspace, client=f"admin@127.0.0.1:{port}", ssh_key=own_key(tmp_path), **given)
    with closing(hosts(at)) as found:
        assert found.client.read("echo hello") == "hello\n"


def test_another_host_in_its_place_is_refused(
    port: int, workspace: Workspace, tmp_path: Path
) -> None:
    remember(workspace, f"[127.0.0.1]:{port}", OTHER_KEY)
    at = target(workspace, server=f"admin@127.0.0.1:{port}", ssh_key=own_key(tmp_path))
    with closing(hosts(at)) as found, pytest.raises(HostUnreachable, match="another SSH host key"):
        found.server.read("true")


def test_a_user_who_is_not_let_in_is_told_how_to_try_it(port: int, workspace: Workspace) -> None:
    at = target(workspace, server=f"admin@127.0.0.1:{port}", server_host_key=LINE)
    with closing(hosts(at)) as found, pytest.raises(HostUnreachable) as raised:
        found.server.read("true")
    key = workspace.key_file
    assert raised.value.what == "server does not answer over ssh (Authentication failed.)."
    assert raised.value.cure.endswith(f": ssh -p {port} -i {key} admin@127.0.0.1 sudo -n true")


def test_a_host_whose_key_is_not_known_is_refused_in_one_sentence(workspace: Workspace) -> None:
    with pytest.raises(HostUnreachable) as raised:
        hosts(target(workspace)).place("server")
    assert raised.value.what == "The SSH host key of your server, 192.0.2.10, is not known."
    assert "HANDSON_SERVER_HOST_KEY" in raised.value.cure


def test_a_broken_known_hosts_is_no_error(workspace: Workspace) -> None:
    (Path.home() / ".ssh" / "known_hosts").write_text("192.0.2.10 ssh-rsa %%%\n\0\n")
    assert keys_known_to_ssh("192.0.2.10", 22) == ()


def test_each_host_is_reached_directly(workspace: Workspace) -> None:
    at = target(workspace, server_host_key=LINE, client_host_key=LINE, client="joe@192.0.2.20:2222")
    way = way_to("client", at, hosts(at))
    assert [(name, place.user, place.port, jump) for name, (place, jump) in way.items()] == [
        ("client", "joe", 2222, "")
    ]


def test_the_systems_own_ssh_goes_the_same_way(
    port: int, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "TARGET": "ssh",
        "SERVER": f"admin@127.0.0.1:{port}",
        "CLIENT": "admin@192.0.2.20",
        "SSH_KEY": own_key(tmp_path),
        "SERVER_HOST_KEY": LINE,
    }.items():
        monkeypatch.setenv(f"HANDSON_{name}", value)
    command = ssh_command("server", workspace, ["echo", "hello"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_a_key_file_that_is_not_there_is_said(workspace: Workspace, tmp_path: Path) -> None:
    at = target(workspace, server_host_key=LINE, ssh_key=str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match="There is no key file"):
        hosts(at).place("server")


# -- choices --------------------------------------------------------------------------


def test_hosts_reach_each_other_where_one_logs_in_or_as_is_said(workspace: Workspace) -> None:
    at = target(workspace, server_address="10.0.0.10")
    found = at.apply(at.settings)
    assert (found.server_ip, found.client_ip) == ("10.0.0.10", "192.0.2.20")
    named = target(workspace, server="admin@localhost")
    assert named.apply(named.settings).server_ip == "127.0.0.1"


def test_a_name_without_an_address_is_said(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise OSError

    monkeypatch.setattr("socket.gethostbyname", unknown)
    at = target(workspace, server="admin@nowhere.invalid")
    with pytest.raises(HandsonError, match=r"address of nowhere\.invalid could not be found"):
        at.apply(at.settings)


def test_both_hosts_are_needed(workspace: Workspace) -> None:
    at = of(Settings(target="ssh", server="admin@192.0.2.10"), workspace)
    for ask in (at.check_choices, lambda: at.apply(at.settings)):
        with pytest.raises(InvalidInput, match="not known where your client is") as raised:
            ask()
        assert "HANDSON_CLIENT=user@address" in raised.value.cure


def test_addresses_of_own_hosts_are_of_no_matter_on_an_ec2(workspace: Workspace) -> None:
    at = of(Settings(target="aws", own_ip="203.0.113.5", server_address="10.0.0.1"), workspace)
    assert at.apply(at.settings).server_ip == "10.87.2.44"


# -- what is not there -----------------------------------------------------------------


def test_there_is_a_stranger_only_where_one_is_named(workspace: Workspace) -> None:
    without = target(workspace)
    assert without.hosts == ("server", "client") and hosts(without).stranger is None
    with pytest.raises(NotHere, match="no stranger among your hosts"):
        hosts(without).place("stranger")
    given = target(workspace, stranger="joe@192.0.2.30", stranger_host_key=LINE)
    assert given.hosts == ("server", "client", "stranger")
    assert isinstance(hosts(given).place("stranger"), Endpoint)
    assert given.apply(given.settings).stranger_ip == "192.0.2.30"


@pytest.mark.parametrize("stranger", ["", "joe@192.0.2.30"])
def test_the_matrix_has_rows_of_the_hosts_that_there_are(
    workspace: Workspace, stranger: str
) -> None:
    at = target(workspace, stranger=stranger)
    found = hosts(at)
    ground: Any = SimpleNamespace(settings=found.settings, hosts=found, cloud=found.cloud)
    there = places(ground)
    names = ["client", "stranger"] if stranger else ["client"]
    assert [place.origin.name for place in there] == names
    assert {place.server for place in there} == {"192.0.2.10"}
    # Nobody can say what a firewall lets in of which nothing is known.
    assert reach(ground, [place.origin for place in there]) == {
        (name, port) for name in names for port in PORTS
    }


def test_with_a_security_group_only_what_it_lets_in_is_reached() -> None:
    rules = [GroupRule("inbound", "tcp", "25", "10.87.0.0/16", "")]
    ground: Any = SimpleNamespace(cloud=SimpleNamespace(rules=lambda: rules))
    origins = [Origin("client", "10.87.3.20"), Origin("internet", "203.0.113.5")]
    assert reach(ground, origins) == {("client", 25)}


def test_what_aws_would_tell_is_not_there(workspace: Workspace) -> None:
    cloud = hosts(target(workspace)).cloud
    for ask in (cloud.rules, cloud.stacks, cloud.left_over, lambda: cloud.open_port(587, "0/0")):
        with pytest.raises(NotHere, match="there is no AWS"):
            ask()
    for view in (cloud.rules_table, cloud.left_over_table, cloud.delete_all()):
        assert view.text().startswith("The hosts are your own: there is no AWS")


def observed(at: SshTarget) -> Any:
    found = hosts(at)
    dialogue = SimpleNamespace(connected="refused")
    return SimpleNamespace(settings=found.settings, cloud=found.cloud, anonymous=dialogue)


def test_rules_about_aws_do_not_apply(workspace: Workspace) -> None:
    at = observed(target(workspace))
    states = {rule.id: rule.apply(at).state for rule in security_group.RULES}
    assert states == {
        "submission-allowed": State.NOT_HERE,
        "submission-answers": State.PASSES,
    }
    assert {rule.apply(at).state for rule in teardown.RULES} == {State.NOT_HERE}
    harden = {rule.id: rule for rule in outline.step("09_harden").rules}
    assert harden["submission-not-for-everybody"].apply(at).state is State.NOT_HERE


def begun(slug: str, workspace: Workspace, **choices: str) -> Any:
    step = begin(slug, workspace)
    step.target = target(workspace, **choices)
    step.settings = step.target.apply(step.target.settings)
    return step


def test_the_hosts_are_there_already(workspace: Workspace) -> None:
    step = begun("00_start", workspace, server_host_key=LINE, client_host_key=LINE)
    for name in ("server", "client"):
        step.__dict__[name] = SimpleNamespace(name=name, system=UBUNTU_2404)
    lines = step.create().text().splitlines()
    assert lines[0] == "The hosts are there already: nothing was made."
    assert lines[-1].split() == ["client", "192.0.2.20", "Ubuntu", "24.04"]


def test_steps_about_aws_say_so_and_change_nothing(workspace: Workspace) -> None:
    step = begun("01_security_group", workspace)
    assert "A firewall of your own" in step.open_submission("10.87.0.0/16").text()
    assert step.undo() == []
    assert "your own firewall" in begun("09_harden", workspace).only_from_vpc().text()
    assert "firewall of your own" in begun("09_harden", workspace).open_submissions().text()
    assert "no stranger here" in begun("09_harden", workspace).guess(3).text()
    assert "there is no AWS" in begun("10_teardown", workspace).delete().text()
    assert "no AWS" in begun("10_teardown", workspace).look().results[0].evidence
    assert begun("10_teardown", workspace).look().passed


def test_the_picture_is_of_what_is_known(workspace: Workspace) -> None:
    step = begun("01_security_group", workspace)
    found = SimpleNamespace(
        settings=step.settings,
        postfix=SimpleNamespace(mynetworks=["127.0.0.0/8"]),
        relay=SimpleNamespace(connected="refused"),
        anonymous=SimpleNamespace(connected="refused", is_open=False),
        opens_submissions=False,
        password=None,
        read_ahead=lambda needs: None,
    )
    step.observe = lambda: found
    text = step.picture("server").text()
    assert "client 192.0.2.20 → server 192.0.2.10" in text
    assert "VPC" not in text and "security group" not in text


def test_what_was_there_is_recorded_before_anything_is_undone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    step = begun("00_start", workspace)
    for name in ("server", "client"):
        step.hosts.__dict__[name] = SimpleNamespace(name=name)
    monkeypatch.setattr(snapshot, "take", lambda host, *names: done.append(f"{host.name} {names}"))
    monkeypatch.setattr(
        "handson.course.undo._undo", lambda begun, which: done.append(which.slug) or []
    )
    undo(step)
    slugs = [one.slug for one in outline.steps()]
    # The hosts stay: going back to the first step undoes all later ones.
    assert done == ["server ('start',)", "client ('start',)", *reversed(slugs)]
    workspace.record("00_start", {"passed": True, "checks": []})
    assert step.undo() == [] and workspace.progress() == {}


def test_on_the_way_to_a_step_no_hosts_are_made(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are not new either: what stands on them is looked at, and what comes later undone."""
    done: list[str] = []
    for name in ("_undo", "_execute_well", "_do_what_is_missing"):
        monkeypatch.setattr(
            Journey, name, lambda self, *given, name=name: done.append(f"{name} {given}")
        )
    Journey(begun("04_main_cf", workspace), tmp_path).go()
    assert done == ["_undo ()", "_do_what_is_missing (False,)"]


def test_packets_are_read_on_the_host_itself(workspace: Workspace) -> None:
    step, asked = begun("09_harden", workspace), []

    def read(command: str, **values: str) -> str:
        asked.append(command)
        return ""

    step.__dict__["server"] = SimpleNamespace(name="server", read=read)
    with step.wiretap(587) as wire:
        pass
    assert len(asked) == 2 and wire.verdict == "No login was sent."


def test_a_run_leaves_the_hosts_as_they_are(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANDSON_WORKSPACE", str(tmp_path / "run"))
    monkeypatch.setenv("HANDSON_SERVER", "admin@192.0.2.10")
    monkeypatch.setenv("HANDSON_CLIENT", "admin@192.0.2.20")
    monkeypatch.setenv("HANDSON_SERVER_HOST_KEY", LINE)
    at = SshTarget.for_run("meadow", tmp_path)
    with pytest.raises(HostUnreachable, match="host key of your client"):
        at.prepare()

    def never() -> bool:
        raise AssertionError("there is nothing to tear down")

    assert "stay as they are" in at.tear_down(False, never)
    assert "handson undo 00" in at.kept
