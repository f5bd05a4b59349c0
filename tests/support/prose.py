"""The shell lines that stand in the prose of the notebooks, and what is to be done with each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
# What an inline code span begins with that is a command. A fenced block is all commands.
COMMANDS = (
    *("apt-get", "aws", "cat", "cp", "diff", "dnf", "echo", "export", "grep", "handson", "ls"),
    *("journalctl", "openssl", "postconf", "postfix", "postmap", "saslfinger", "saslpasswd2"),
    *("sasldblistusers2", "ss", "ssh", "sudo", "systemctl", "tail", "tcpdump", "yum"),
)

# Run as they stand, once 06_mailx_test is done: on a host, or here by the command `handson`.
RUNS = {
    "handson diagnose": "here",
    "handson log": "here",
    "handson ssh client": "here",
    "handson ssh server": "here",
    "journalctl SYSLOG_FACILITY=2": "server",
    "postconf -M": "server",
    "postconf -n": "server",
    "postconf smtpd_recipient_restrictions": "server",
    "ss -nlt4": "server",
    "sudo postfix check": "server",
    "sudo postfix reload": "server",
}
# Run one after the other: an exercise, its hint, its end.
EXERCISE = ("handson break", "handson break --hint", "handson break --fix")

OPTION = "names an option; a cell runs the whole command"
CONFIGURATION = "is a line of a file; a cell writes it"
# Not run as they stand, with the reason.
SHOWN = {
    "    -o smtpd_client_restrictions=permit_sasl_authenticated,reject": CONFIGURATION,
    "aws cloudformation wait stack-create-complete": "takes a name; the cells wait by themselves",
    "handson goto 06": "tests/lab/test_undo.py goes there",
    "handson undo 00": "is for hosts of one's own; tests/lab/test_ssh_target.py undoes steps there",
    "mynetworks = 127.0.0.0/8, <the client's address>": CONFIGURATION,
    "openssl s_client": "names a program; a cell runs the whole command",
    "postconf -P": OPTION,
    "postconf -e": OPTION,
    "saslpasswd2 -c": OPTION,
    "saslpasswd2 -d": OPTION,
    "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination": CONFIGURATION,
    "smtpd_sasl_auth_enable = yes": CONFIGURATION,
    "submission inet  n  -  n  -  -  smtpd": CONFIGURATION,
    "sudo tcpdump -i any -A tcp port 587": "does not end by itself",
}


def lines_of(source: str) -> list[str]:
    """Return the shell lines of a markdown cell.

    >>> lines_of("Type `ss -nlt4`, not `mynetworks`:\\n```\\ncat a \\\\\\n  b\\n```")
    ['cat a   b', 'ss -nlt4']
    """
    fenced = [block.replace("\\\n", "") for block in FENCED.findall(source)]
    found = [line.rstrip() for block in fenced for line in block.splitlines() if line.strip()]
    spans = INLINE.findall(FENCED.sub("", source))
    # A program's name alone is no line.
    return [*found, *(one for one in spans if " " in one and one.split()[0] in COMMANDS)]


def lines(notebooks: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Return each shell line in the prose of the notebooks, with the ids of its cells."""
    found: dict[str, list[str]] = {}
    for path in notebooks or sorted(NOTEBOOKS.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for line in lines_of(cell.source):
                    found.setdefault(line, []).append(cell.id)
    return found


def unknown(found: dict[str, list[str]]) -> list[str]:
    """Return those lines that are neither run nor listed with a reason, with their cells."""
    return [
        f"{', '.join(cells)}: {line}"
        for line, cells in found.items()
        if line not in {*RUNS, *EXERCISE, *SHOWN}
    ]
