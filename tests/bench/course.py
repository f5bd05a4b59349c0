"""How long the lab and the course take: `make bench`. It measures and judges nothing.

The host image is built first and not counted. The bare script does the job of notebooks
02 to 07 on a fresh lab, over plain ssh with a shared connection.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from handson.course.begin import begin
from handson.course.goto import goto
from handson.course.outline import steps
from handson.course.run.console import Show
from handson.course.run.runner import find_notebooks, run_step
from handson.course.steps.security_group import SecurityGroup
from handson.hosts.ssh import ssh_command
from handson.lab.lab import Lab
from handson.ui import terminal
from handson.workspace import Workspace

STEPS = steps()

ROOT = Path(__file__).parents[2]
NAME = f"bench-{os.getpid()}"
LAST = STEPS[-1].slug


def main() -> int:
    say = terminal.console().print
    with tempfile.TemporaryDirectory(prefix="handson-bench-") as folder:
        os.environ.update(HANDSON_NAME=NAME, HANDSON_HEADLESS="1")
        lab = Lab(NAME)
        lab.down()
        try:
            os.environ["HANDSON_WORKSPACE"] = f"{folder}/first"
            workspace = Workspace(NAME, Path(f"{folder}/first"))
            lab.up(workspace.public_key)  # the image, if it is not there
            lab.down()
            up = _seconds(lambda: lab.up(workspace.public_key))
            say(f"lab up, image built                      {up:6.1f} s")
            steps = []
            for step, notebook in find_notebooks(ROOT):
                if step is find_notebooks(ROOT)[-1][0]:
                    for host, size in lab.memory().items():
                        say(f"memory of {host:<28}  {size / 2**20:6.0f} MiB")
                record = run_step(
                    step, notebook, Path(folder), workspace, "lab", 180, Show(Path(folder))
                )
                if not record.passed:
                    say(f"{step.slug} failed: {record.fault}")
                    return 1
                steps.append(record.seconds)
                say(f"{step.slug:<38}   {record.seconds:6.1f} s")
            say(f"all notebooks                            {sum(steps):6.1f} s")
            nine = sum(steps) - steps[8] - steps[9]
            say(f"without break_it and harden              {nine:6.1f} s")
            down = _seconds(lab.down)
            say(f"lab down                                 {down:6.1f} s")
            say(f"the whole course, lab up and down        {up + sum(steps) + down:6.1f} s")
            os.environ["HANDSON_WORKSPACE"] = f"{folder}/third"
            there = _seconds(lambda: goto(LAST, Workspace(NAME, Path(f"{folder}/third"))))
            say(f"goto {LAST} from nothing           {there:6.1f} s")
            lab.down()
            bare = _bare(lab, Path(f"{folder}/second"))
            same = sum(steps[2:8])
            say(f"the job of notebooks 02 to 07            {same:6.1f} s")
            say(f"the same by a bare ssh script            {bare:6.1f} s")
            say(f"ratio                                    {same / bare:6.1f}")
        finally:
            lab.down()
    return 0


def _bare(lab: Lab, folder: Path) -> float:
    """Return how long the bare script takes on a fresh lab whose hosts are ready."""
    os.environ["HANDSON_WORKSPACE"] = str(folder)
    workspace = Workspace(NAME, folder)
    lab.up(workspace.public_key)
    step = begin("00_start", workspace)
    step.create()
    step.as_step(SecurityGroup).open_submission(step.settings.vpc_cidr)
    config = ssh_command("client", workspace, [])[2]
    command = [str(Path(__file__).parent / "bare.sh"), config, step.settings.server_ip]
    step.hosts.close()
    return _seconds(
        lambda: subprocess.run(
            command,
            input=step.password.reveal() + "\n",
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    )


def _seconds(job: Callable[[], object]) -> float:
    started = time.monotonic()
    job()
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
