"""Each step there and back: solved, undone, solved again; then ways through the course."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from solving import assert_nothing_doubled, learner, solve, state
from waiting import own

from handson.cli.status import status
from handson.course import outline, progress
from handson.course.begin import begin
from handson.course.goto import goto, reset
from handson.course.outline import steps
from handson.course.step import Step
from handson.course.undo import undo as undo_of
from handson.hosts import snapshot
from handson.lab.lab import Lab
from handson.ui.header import MARKS
from handson.workspace import Workspace

STEPS = steps()

pytestmark = pytest.mark.slow(minutes=19)

NAME = own("undo")
UNDOABLE = [step.slug for step in STEPS if "01" <= step.slug < "10"]
# The steps of the tutorial: a test that goes on with one does not break and harden as well.
TUTORIAL = [slug for slug in UNDOABLE if slug < "08"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A learner's workspace with its lab up and the hosts made; tests go on in their order."""
    # A fault that leaves the log as it is: what happened is looked at afterwards.
    with learner(NAME, tmp_path_factory.mktemp("home"), FAULT="chrooted-smtpd") as found:
        solve("00_start")
        yield found


@pytest.fixture
def step(home: Workspace) -> Iterator[Step]:
    """A step's eyes on the hosts; its slug says nothing."""
    found = begin(STEPS[-1].slug, home)
    yield found
    found.hosts.close()


def passes(slug: str, eye: Step | None = None) -> bool:
    """Return whether all checks of a step pass; an eye on the hosts saves the way to them."""
    found = begin(slug)
    if eye:
        found.__dict__["hosts"] = eye.hosts
    try:
        return found.look().passed
    finally:
        if not eye:
            found.hosts.close()


def undo(slug: str, eye: Step | None = None) -> list[str]:
    """Undo a step and return the steps that were undone."""
    found = begin(slug)
    if eye:
        found.__dict__["hosts"] = eye.hosts
    try:
        return [info.slug for info, _shown in undo_of(found).steps]
    finally:
        if not eye:
            found.hosts.close()


def happened(slug: str, eye: Step) -> list[str]:
    """Return what has happened already of that which a step's checks look for in the log."""
    observed = eye.observe(slug)
    return [r.id for r in outline.step(slug).rules if r.kind == "happened" and r.look(observed).ok]


@pytest.mark.parametrize("slug", UNDOABLE)
def test_a_step_there_and_back(slug: str, step: Step) -> None:
    if slug == "07_log_check":
        # Its notebook only reads: what it looks for is there since 06_mailx_test.
        assert undo(slug, step) == [slug]
    untouched = state(step)
    assert not passes(slug, step)
    if slug != "07_log_check":
        # Not even in part: what the checks of earlier steps left in the log is no work done.
        assert happened(slug, step) == []

    solve(slug)
    assert passes(slug, step)
    solved = state(step)

    assert undo(slug, step) == [slug]
    assert state(step) == untouched
    assert slug not in step.workspace.progress()
    assert not passes(slug, step)
    assert undo(slug, step) == []
    assert state(step) == untouched

    solve(slug)
    assert passes(slug, step)
    assert state(step) == solved


def test_after_all_that_nothing_is_doubled(step: Step) -> None:
    assert_nothing_doubled()


def test_saslauthd_is_left_as_it_was_before_the_step(step: Step) -> None:
    server = step.hosts.server
    undo("05_master_cf", step)
    server.run("sudo systemctl start saslauthd")
    solve("05_master_cf")
    assert server.probe("systemctl is-active saslauthd")[0] != 0
    undo("05_master_cf", step)
    assert server.probe("systemctl is-active saslauthd")[0] == 0
    # What nobody has begun does nothing to it.
    assert undo("05_master_cf", step) == []
    assert server.probe("systemctl is-active saslauthd")[0] == 0
    server.run("sudo systemctl stop saslauthd")
    solve("05_master_cf")


def test_a_second_user_of_a_run_that_was_stopped_is_removed(step: Step) -> None:
    create = "echo secret | sudo saslpasswd2 -p -c -f {sasldb} -u {domain} second-user"
    step.hosts.server.run(create)
    assert undo("06_mailx_test", step)[-1] == "06_mailx_test"
    assert step.observe().sasl.users() == [step.settings.login]
    solve("06_mailx_test")


def test_an_earlier_step_that_was_done_again(home: Workspace, step: Step) -> None:
    """Main.cf is the tutorial's again, while the client is no longer in mynetworks."""
    solve("04_main_cf")
    step.hosts.server.run("sudo postfix reload")
    assert not passes("06_mailx_test")
    goto("08", home)
    assert [slug for slug in TUTORIAL if passes(slug)] == TUTORIAL


def test_the_header_tells_what_has_fallen_back(
    home: Workspace, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine may be busy.
    monkeypatch.setattr("handson.course.step.HEADER_SECONDS", 30)
    server = step.hosts.server
    assert marks(home)["05_master_cf"] == "done"
    server.run("sudo chmod 0600 {sasldb}")
    found = begin("07_log_check", home)
    try:
        text = found.text()
        assert f"{MARKS['back']} sasldb" in text
        assert f"{MARKS['done']} main.cf" in text
    finally:
        found.hosts.close()
    told = "\n".join(str(view) for view in status(home))
    assert "03_sasldb          no longer passes" in told
    assert "handson goto 0" in told
    server.run("sudo chmod 0640 {sasldb}")
    assert marks(home)["03_sasldb"] == "done"


def marks(home: Workspace) -> dict[str, str]:
    found = begin("07_log_check", home)
    try:
        return progress.now(found)
    finally:
        found.hosts.close()


def test_a_step_done_again_out_of_its_order(step: Step) -> None:
    """Main.cf as in step 4 once more, then step 6, whose address was no longer trusted."""
    for slug in ("04_main_cf", "06_mailx_test", "06_mailx_test"):
        solve(slug)
    assert [slug for slug in TUTORIAL if passes(slug)] == TUTORIAL


def test_later_steps_go_first(step: Step) -> None:
    assert undo("04_main_cf") == ["07_log_check", "06_mailx_test", "05_master_cf", "04_main_cf"]
    assert not passes("04_main_cf")
    assert passes("03_sasldb")


def test_what_was_typed_by_hand_is_undone_too(step: Step) -> None:
    """Somebody logged in and did it, with no backup and before the notebook was opened."""
    server = step.hosts.server
    server.run(
        "sudo rm -f /etc/postfix/main.cf.2* /etc/postfix/master.cf.2*",
        "sudo postconf -e smtpd_sasl_auth_enable=yes",
        "sudo postconf -M submission/inet='submission inet n - n - - smtpd'",
        "sudo postconf -P "
        "submission/inet/smtpd_client_restrictions=permit_sasl_authenticated,reject",
        "sudo systemctl restart postfix",
        "sudo postconf -e 'mynetworks = 127.0.0.0/8'",
    )
    assert passes("04_main_cf") and passes("05_master_cf")
    undone = undo("04_main_cf")
    assert undone[-2:] == ["05_master_cf", "04_main_cf"]
    assert not passes("05_master_cf") and not passes("04_main_cf")
    networks = server.read("postconf -h mynetworks")
    assert step.settings.client_ip in networks


def test_going_on_from_a_half_done_state(home: Workspace, step: Step) -> None:
    # Step 05 is begun, 03 no longer passes, 04 is not done.
    server = step.hosts.server
    server.run("sudo postconf -M submission/inet='submission inet n - n - - smtpd'")
    server.run("sudo rm -f {sasldb}")
    goto("06", home)
    assert [slug for slug in TUTORIAL if passes(slug)] == TUTORIAL[:5]
    goto("master_cf", home)
    assert [slug for slug in TUTORIAL if passes(slug)] == TUTORIAL[:4]


def test_reset_leaves_the_hosts(home: Workspace, step: Step) -> None:
    server = step.hosts.server
    instance = step.cloud.instance(step.cloud.names.server)
    reset(home)
    assert step.cloud.instance(step.cloud.names.server) == instance
    assert not [slug for slug in TUTORIAL if passes(slug)]
    assert passes("00_start")
    # Nothing that the course brought is left, beside backups and records.
    start = f"{snapshot.FOLDER}/{snapshot.START}/etc/postfix"
    for name in ("main.cf", "master.cf"):
        server.run(f"sudo cmp {start}/{name} /etc/postfix/{name}")
    server.refused("command -v saslpasswd2 || exit 1", "")


def test_after_a_reboot_of_the_machine(home: Workspace) -> None:
    """The lab is gone; the folder knows where one was, and goto brings one back there."""
    goto("03", home)
    Lab(NAME).down()
    told = "\n".join(str(view) for view in status(home))
    assert "is not running" in told
    assert "02_sasl_install    no longer passes" in told
    assert f"handson goto 03_sasldb --name {NAME}" in told
    goto("03", home)
    assert [slug for slug in TUTORIAL if passes(slug)] == TUTORIAL[:2]


def test_reset_hard_makes_new_hosts(home: Workspace) -> None:
    old = begin("00_start", home)
    instance = old.cloud.instance(old.cloud.names.server)
    reset(home, hard=True)
    new = begin("00_start", home)
    fresh = new.cloud.instance(new.cloud.names.server)
    assert instance and fresh and instance.id != fresh.id
    assert passes("00_start")
    assert set(home.progress()) == {"00_start"}


def test_going_to_the_very_start_deletes_the_hosts(home: Workspace) -> None:
    goto("0", home)
    assert begin("00_start", home).cloud.stacks() == []
    assert home.progress() == {}
    assert outline.find("0").slug == "00_start"
