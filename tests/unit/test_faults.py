"""What can be said of faults without a host; tests/lab injects them."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

import pytest

from handson.diagnosis import faults
from handson.diagnosis.chain import CAUSES
from handson.errors import HandsonError
from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12, SYSTEMS, System


class Quiet:
    """A host on which a fault is injected, or none; it must not be changed."""

    def __init__(self, system: System, injected: str = "") -> None:
        self.system, self.injected = system, injected

    def probe(self, command: str, **values: object) -> tuple[int, str]:
        assert command.startswith("sudo -n ls ")
        return 0, self.injected


def observed(system: System = DEBIAN_12, injected: str = "", connection: Any = ()) -> Any:
    target = SimpleNamespace(name="lab" if connection == () else "ssh", connection=connection)
    return SimpleNamespace(
        server=Quiet(system, injected),
        client=Quiet(system),
        hosts=SimpleNamespace(target=target),
    )


def test_each_fault_is_of_a_cause() -> None:
    ids = [fault.id for fault in faults.FAULTS]
    assert len(ids) == len(set(ids)) >= 20
    causes = {one.id for one in CAUSES}
    assert set(ids) <= causes
    assert {one.id for one in CAUSES if one.fault is None} == causes - set(ids)


def test_draw_takes_what_can_arise_here() -> None:
    chance = random.Random(1)
    drawn = {faults.draw(chance, observed(AMAZON_LINUX_2023)) for _ in range(200)}
    assert "sasldb-permission" in drawn
    assert "chrooted-smtpd" not in drawn
    again = faults.draw(random.Random(5), observed())
    assert again == faults.draw(random.Random(5), observed())


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.id)
def test_where_nobody_watches_the_fault_is_one_that_can_arise_here(system: System) -> None:
    made = observed(system)
    assert faults.usual(made) in {one.id for one in faults.here(made)}
    assert faults.usual(made) == faults.usual(made)
    assert (faults.usual(made) == "chrooted-smtpd") is system.chroots_smtpd


def test_injected_does_not_tell_its_name() -> None:
    made = observed(injected="sasldb-permission\n")
    assert faults.injected(made) == ["sasldb-permission"]
    with pytest.raises(HandsonError) as raised:
        faults.inject(made, "wrong-password")
    assert raised.value.what == "A fault is injected already."
    assert "sasldb" not in str(raised.value)


def test_fault_of_another_system() -> None:
    with pytest.raises(
        HandsonError, match=r"chrooted-smtpd cannot arise here \(Amazon Linux 2023, target lab\)"
    ):
        faults.inject(observed(AMAZON_LINUX_2023), "chrooted-smtpd")


def test_no_port_is_closed_where_there_is_no_api() -> None:
    own_hosts = observed(connection=None)
    assert "port-closed" in {one.id for one in faults.here(observed())}
    assert not any(faults.fault(one.id).closes_port for one in faults.here(own_hosts))
    assert len(faults.here(own_hosts)) == len(faults.here(observed())) - 1
    with pytest.raises(HandsonError, match=r"port-closed cannot arise here .*target ssh"):
        faults.inject(own_hosts, "port-closed")


def test_no_such_fault() -> None:
    with pytest.raises(HandsonError, match="no fault “x”") as raised:
        faults.inject(observed(), "x")
    assert "port-closed" in raised.value.cure


def test_nothing_injected() -> None:
    with pytest.raises(HandsonError, match="No fault is injected"):
        faults.fix(observed())


def test_every_value_in_a_script_is_quoted() -> None:
    for one in faults.FAULTS:
        fault = faults.fault(one.id)
        for part in (fault.server, fault.client):
            for line in (part.script if part else "").splitlines():
                # $install and $package are words of the table of systems, several by intent.
                bare = re.sub(r'"[^"]*"|\$(install|package)\b', "", line)
                assert "$" not in re.sub(r"'[^']*'", "", bare), line
