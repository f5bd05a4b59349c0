"""For tests: the commands of a cure, run on their hosts as a learner runs them."""

from __future__ import annotations

import re

from handson.course.step import Step
from handson.hosts.host import Host

COMMAND = re.compile(r"^\[(server|client)\]\$ (.*)$", re.MULTILINE)
# Types as a learner does at a terminal: the password where one is asked for.
TYPE = r"""
import os, pty, select, sys, termios
pid, terminal = pty.fork()
if not pid:
    os.execvp("sh", ["sh", "-c", command])
while True:
    try:
        said = os.read(terminal, 4096)
    except OSError:
        break
    sys.stdout.write(said.decode(errors="replace"))
    # What is typed before the echo is off would be thrown away.
    is_asked = said.endswith(b": ")
    while is_asked and termios.tcgetattr(terminal)[3] & termios.ECHO:
        is_asked = not select.select([terminal], [], [], 0.01)[0]  # there is more: no question
    if is_asked:
        os.write(terminal, password.encode() + b"\n")
sys.exit(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
"""


def carry_out(step: Step, cure: str) -> list[str]:
    """Run each command of a cure on its host, as a learner would; return them."""
    password = step.password.reveal()
    commands = COMMAND.findall(cure)
    for name, command in commands:
        host: Host = getattr(step, name)
        known = f"command, password = {command!r}, {password!r}\n"
        status, output = host.probe("python3 -", stdin=known + TYPE)
        assert status == 0, f"{command}: {output}"
    return [command for _name, command in commands]
