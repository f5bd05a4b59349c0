"""One lab for the session, with the course's four stacks; cases that break things use their own."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from finished import Finished, run_course
from looking import NAME, WORKER

from handson.cloud.cloud import Cloud
from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import EngineMissing
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.lab import engine as engines
from handson.lab.engine import Engine
from handson.lab.lab import Lab, sweep
from handson.workspace import Workspace


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.lab)
    # The docker SDK leaves its sockets to the garbage collector.
    item.add_marker(pytest.mark.filterwarnings("ignore:.*:ResourceWarning"))
    item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


def why_not() -> str:
    """Return why no lab can run on this machine, or nothing; labs of dead tests are removed."""
    sudo = ["sudo", "-n", "true"]
    try:
        if os.geteuid() and subprocess.run(sudo, check=False, capture_output=True).returncode:
            return "the lab needs root, or a user who may use sudo without a password"
    except FileNotFoundError:
        return "the lab needs root, and there is no sudo"
    try:
        with engines.without_a_lab() as engine:
            sweep(engine)  # what tests have left that were killed
    except EngineMissing as error:
        return f"the lab needs a container engine: {error.what}"
    return ""


@pytest.fixture(scope="session", autouse=True)
def place_for_labs() -> Iterator[None]:
    """Skip where no lab can run; take the choices of whoever runs the tests out of the way."""
    if reason := why_not():
        pytest.skip(reason)
    taken = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("HANDSON_")}
    yield
    os.environ.update(taken)
    gc.collect()


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(NAME, tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def lab(workspace: Workspace) -> Iterator[Lab]:
    """The lab that most tests share, up."""
    lab = Lab(NAME)
    lab.down()
    try:
        lab.up(workspace.public_key, print)
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="session")
def step(lab: Lab, workspace: Workspace) -> Iterator[Step]:
    """The first step, with its stacks made."""
    step = begin("00_start", workspace)
    step.save(step.form())
    step.create()
    yield step
    step.hosts.close()


@pytest.fixture(scope="session")
def engine(lab: Lab) -> Iterator[Engine]:
    with engines.connect(lab.name) as engine:
        yield engine


@pytest.fixture(scope="session")
def server(step: Step) -> Host:
    return step.server


@pytest.fixture(scope="session")
def client(step: Step) -> Host:
    return step.client


@pytest.fixture(scope="session")
def pc(step: Step) -> Iterator[Host]:
    """The learner's own place on the lab's Internet."""
    place = step.target.jump
    assert place is not None
    host = Host("pc", lambda: Connections(step.workspace).open(place))
    yield host
    host.close()


@pytest.fixture(scope="session")
def cloud(step: Step) -> Cloud:
    return step.cloud


@pytest.fixture(scope="session")
def ec2(cloud: Cloud) -> Any:
    """boto3's own client for EC2, as a learner's script would use it."""
    return cloud._aws._client("ec2")


@pytest.fixture(scope="session")
def subnets(cloud: Cloud) -> dict[str, str]:
    """The ids that the stacks gave out: VpcId, PublicSubnetId, PrivateSubnetId …"""
    return {key: value for stack in cloud.stacks() for key, value in stack.outputs.items()}


@pytest.fixture
def own_lab() -> Iterator[Callable[[str], Lab]]:
    """Return a maker of labs that are taken down at the end, whatever happens."""
    made: list[Lab] = []

    def make(name: str) -> Lab:
        lab = Lab(name)
        lab.down()
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.down()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A lab of its own that the notebooks 00 to 06 have been run on."""
    workspace = Workspace(f"finished{WORKER}", tmp_path_factory.mktemp("finished"))
    lab = Lab(workspace.name)
    lab.down()
    try:
        lab.up(workspace.public_key, print)
        with run_course(workspace, "06") as course:
            yield course
    finally:
        lab.down()
