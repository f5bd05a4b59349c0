"""Shell scripts for hosts: files in the `remote` folder of a package."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.resources import files

from handson.errors import CommandFailed
from handson.hosts.runner import Runner


def read(package: str, name: str) -> str:
    """Return the text of a script or a program that is to run on a host.

    >>> read("handson.hosts", "settle.sh").partition("\\n")[0]
    '#!/bin/sh'
    """
    return files(package).joinpath("remote", name).read_text("utf-8")


def assign(values: Mapping[str, str]) -> str:
    """Return the lines that give variables of a shell their values.

    >>> print(assign({"id": "no-maillog", "note": "it's so"}), end="")
    id=no-maillog
    note='it'"'"'s so'
    """
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def run(host: Runner, script: str, values: Mapping[str, str], as_root: bool = True) -> str:
    """Run a shell script with `values` as its variables, and return what it printed.

    Raises CommandFailed where it does not end with 0.
    """
    head = "export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8\n"
    command = "sudo -n sh -s" if as_root else "sh -s"
    status, output = host.probe(command, stdin=head + assign(values) + script)
    if status:
        raise CommandFailed(host.name, command, status, output)
    return output
