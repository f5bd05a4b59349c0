"""For tests on a lab: a step solved by its notebook's own cells, and what is on the hosts then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from handson.course.begin import begin
from handson.course.step import Step
from handson.diagnosis.exercise import FOUND
from handson.diagnosis.injection import FOLDER
from handson.lab.lab import Lab
from handson.workspace import Workspace

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@contextmanager
def learner(name: str, home: Path, **choices: str) -> Iterator[Workspace]:
    """A learner's workspace, with the lab of that name up; `choices` are HANDSON_ variables."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = {"NAME": name, "WORKSPACE": str(home), "HEADLESS": "1", **choices}
        for key, value in chosen.items():
            patch.setenv(f"HANDSON_{key}", value)
        found, lab = Workspace(), Lab(name)
        lab.down()
        try:
            lab.up(found.public_key)
            yield found
        finally:
            lab.down()


@contextmanager
def at_start(name: str, home: Path) -> Iterator[Step]:
    """The first step of a learner, done; the hosts are as it makes them."""
    with learner(name, home):
        solve("00_start")
        step = begin("00_start")
        yield step
        step.hosts.close()


def solve(slug: str) -> None:
    """Run the code cells of a step's notebook in this process, the checks included."""
    notebook = nbformat.read(NOTEBOOKS / f"{slug}.ipynb", as_version=4)
    names: dict[str, Any] = {}
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(cell.source, names)
    finally:
        if "step" in names:
            names["step"].hosts.close()


def state(step: Step) -> dict[str, Any]:
    """Return what the course changes, as it is on the hosts and in the cloud now."""
    server, client = step.hosts.server, step.hosts.client
    files = ("/etc/postfix/main.cf", "/etc/postfix/master.cf", server.system.smtpd_conf)
    packages = "dpkg-query -W -f '${{db:Status-Status}} ${{Package}}\n' | grep ^installed"
    return {
        **{path: server.probe("sudo cat {path}", path=path) for path in files},
        "users": step.observe().sasl.users(),
        "sasldb": server.probe("sudo stat -c '%U %G %a' {sasldb}"),
        "listening": sorted(step.observe().postfix.sockets()),
        "certificate": server.probe("sudo stat -c '%U %G %a' /etc/postfix/submission.*"),
        "faults": server.probe("sudo find {places} -type f 2>/dev/null", places=(FOLDER, FOUND))[1],
        "saslauthd": server.probe("systemctl is-active saslauthd")[0],
        ".mailrc": client.probe("stat -c '%U %G %a' ~/.mailrc; sha256sum ~/.mailrc; ls -A"),
        "/etc/hosts": client.read("cat /etc/hosts"),
        "packages": (server.read(packages), client.read(packages)),
        "rules": step.cloud.rules(),
    }


def assert_nothing_doubled(workspace: Any = None) -> None:
    """See that after 06_mailx_test everything is there once, however often it was done."""
    step = begin("07_log_check", workspace)
    try:
        server = step.hosts.server
        main_cf = server.read("sudo cat /etc/postfix/main.cf").splitlines()
        names = [
            line.partition("=")[0].strip() for line in main_cf if "=" in line and line[0] != "#"
        ]
        assert len(names) == len(set(names))
        services = [
            line.split()[0] for line in server.read("sudo postconf -M").splitlines() if line.strip()
        ]
        assert services.count("submission") == 1
        master_cf = server.read("sudo cat /etc/postfix/master.cf")
        assert master_cf.count("smtpd_client_restrictions=permit_sasl_authenticated,reject") <= 2
        assert len(server.read("sudo sasldblistusers2 -f {sasldb}").splitlines()) == 1
        folder = server.system.smtpd_conf.rpartition("/")[0]
        backups = server.read("sudo ls /etc/postfix {folder}", folder=folder).split()
        for name in ("main.cf", "master.cf", "smtpd.conf"):
            assert len([one for one in backups if one.startswith(f"{name}.2")]) == 1
        rules = [rule for rule in step.cloud.rules() if rule.port == "587"]
        assert len(rules) == 1
        mailrc = step.hosts.client.read("cut -d= -f1 ~/.mailrc").splitlines()
        assert mailrc and len(mailrc) == len(set(mailrc))
    finally:
        step.hosts.close()
