"""Putting a host back as it was: files from backups and records, packages removed."""

from __future__ import annotations

from handson.hosts import script, snapshot
from handson.hosts.host import Host
from handson.ui.view import View


def put_back(host: Host, path: str, record: str = "", mark: str = "") -> list[View]:
    """Put a file back from its oldest dated backup (or a record), or as it was at the start.

    `mark` is a pattern that the file matches once the step is done.
    """
    recorded = f"{snapshot.FOLDER}/{record}{path}"
    known = {
        "file": path,
        "source": recorded if record else next(iter(host.backups(path)), ""),
        "start": f"{snapshot.FOLDER}/{snapshot.START}",
        "mark": mark,
    }
    answer = script.run(host, script.read(__package__, "compare.sh"), known)
    what, _space, source = answer.strip().partition(" ")
    if what == "remove":
        return [host.run("sudo rm {path}", path=path)]
    if what == "copy":
        return [host.run("sudo cp -a {source} {path}", source=source, path=path)]
    return []


def remove_new(host: Host, names: tuple[str, ...]) -> list[View]:
    """Remove those packages that were not there at the start."""
    new = snapshot.added(host, names)
    if not new:
        return []
    snapshot.settle(host)
    return [host.run("sudo {remove} {packages}", packages=new)]
