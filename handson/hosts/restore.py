"""Putting a host back as it was: files from backups and records, packages removed."""

from __future__ import annotations

from handson.hosts import snapshot
from handson.hosts.host import Host
from handson.ui.view import View

# Prints what has to be done with $file: 'copy SOURCE', 'remove', or nothing. A backup that
# bears the step's own mark was made when the step had been done by hand already.
_COMPARE = r"""
if [ -n "$mark" ] && grep -Eqs "$mark" "$source"; then source=; fi
if [ -z "$source" ]; then
  [ -d "$start" ] || exit 0
  source=$start$file
  [ -e "$source" ] || source=/dev/null
fi
if [ ! -s "$source" ]; then
  [ ! -e "$file" ] || echo remove
elif ! cmp -s "$source" "$file"; then
  echo "copy $source"
fi
"""


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
    what, _space, source = snapshot.run_as_root(host, _COMPARE, known).strip().partition(" ")
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
