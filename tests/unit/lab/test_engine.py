from __future__ import annotations

import pytest
import requests
from docker.errors import APIError

from handson.errors import LabError
from handson.lab import rights
from handson.lab.container import mac
from handson.lab.engine import Engine


def test_hardware_addresses() -> None:
    assert mac("10.87.2.44") == "02:42:0a:57:02:2c"
    assert mac("") == ""
    assert mac("10.87.2.44") != mac("10.87.2.45")


class OldDockersApi:
    """The part of the SDK that asks: there is nothing yet."""

    base_url = "http+docker://localhost"
    timeout = 1

    def get(self, _address: str, **_options: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 200
        return answer

    def containers(self, **_filters: object) -> list[object]:
        return []

    def create_endpoint_config(self, **_options: object) -> dict[str, str]:
        return {}


class OldDocker:
    """What the docker SDK is to an engine, where Docker refuses an option."""

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.containers = self
        self.api = OldDockersApi()

    def info(self) -> dict[str, str]:
        return {"CgroupVersion": "2"}

    def create(self, *_image: object, **_options: object) -> None:
        raise APIError("400 Client Error", explanation=self.refusal)


def refusal(text: str) -> str:
    with pytest.raises(LabError) as caught:
        Engine("lab", OldDocker(text)).create_host(  # type: ignore[arg-type]
            "pc", "image", [("internet", "198.51.100.5")], rules=""
        )
    return str(caught.value)


def test_a_docker_that_gives_no_control_groups_is_refused() -> None:
    said = refusal('invalid --security-opt 2: "writable-cgroups=true"')
    assert "This Docker cannot give a host control groups of its own" in said
    assert "Docker 28 or newer, or Podman" in said


def test_any_other_refusal_is_told_as_it_is() -> None:
    said = refusal("no such luck")
    assert said.startswith("The engine could not start the host pc: no such luck")
    assert "A disk is full" in refusal("mkdir /x: no space left on device")


def test_control_groups_are_never_the_machines() -> None:
    """Version 1: the named tree alone, without its release agent; version 2: one of its own."""
    for version in ("1", "2"):
        for is_podman in (True, False):
            options = rights.control_groups(is_podman, version)
            volumes = options.get("volumes", [])
            assert all(one.startswith(("/sys/fs/cgroup/systemd", "/dev/null:")) for one in volumes)
    assert rights.control_groups(False, "2")["cgroupns"] == "private"
    assert any(
        one.endswith("/release_agent:ro") for one in rights.control_groups(False, "1")["volumes"]
    )


def test_each_right_has_its_reason() -> None:
    for capabilities in (rights.HOST, rights.INTERFACE, rights.CAPTURE):
        assert all(len(reason) > 5 for reason in capabilities.values())
        assert rights.of(capabilities)["cap_drop"] == ["ALL"]
    # With these root in a host could change its firewall, forge packets, make devices, mount.
    assert not rights.HOST.keys() & {"NET_ADMIN", "NET_RAW", "MKNOD", "SYS_ADMIN", "SYS_PTRACE"}
    assert "privileged" not in rights.HELPER and rights.HELPER["read_only"]


def test_names_of_one_owner_are_not_those_of_another() -> None:
    docker = OldDocker("")
    first, second = Engine("lab", docker, 1000), Engine("lab", docker, 1001)  # type: ignore[arg-type]
    assert first.full("pc") == "handson-1000-lab-pc" != second.full("pc")
    assert first.label != second.label


def test_an_engine_that_may_not_raise_limits_is_told_what_it_lacks() -> None:
    said = refusal("error setting rlimit type 7: operation not permitted")
    assert "CAP_SYS_RESOURCE" in said and "rlimit type 7" in said


def test_an_address_in_use_is_named() -> None:
    said = refusal("failed to set up container networking: Address already in use")
    what, _newline, _cure = said.partition("\n")
    assert "198.51.100.5" in what and "Address already in use" in what
