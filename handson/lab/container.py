"""One container of the engine: its state, its hardware address, files for it."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from docker.errors import NotFound


@dataclass(frozen=True)
class File:
    """A file to be put into a host: its absolute path, content, mode and owner's uid."""

    path: str
    content: str | bytes
    mode: int = 0o644
    uid: int = 0


def put(container: Any, files: list[File]) -> None:
    """Put files into a container, whether it runs or not; their folders are made."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in files:
            content = file.content.encode() if isinstance(file.content, str) else file.content
            info = tarfile.TarInfo(file.path.lstrip("/"))
            info.size, info.mode, info.mtime = len(content), file.mode, int(time.time())
            info.uid = info.gid = file.uid
            tar.addfile(info, io.BytesIO(content))
        end = tar.offset + 2 * tarfile.BLOCKSIZE
    # Nothing after the two blocks that end an archive: Podman's reader stops there, and
    # what it leaves unread may come back as "broken pipe".
    container.put_archive("/", archive.getvalue()[:end])


def stop(container: Any, seconds: int) -> None:
    """Stop a container that runs, by force after so many seconds."""
    if is_running(container):
        container.stop(timeout=seconds)


def remove(container: Any) -> None:
    with contextlib.suppress(NotFound):
        container.remove(force=True, v=True)


def is_running(container: Any) -> bool:
    return bool(container.status == "running")


def is_whole(container: Any | None, interface: Any | None) -> bool:
    """Return whether a host runs, in the network that its interface holds."""
    if container is None or interface is None:
        return False
    both_run = is_running(container) and is_running(interface)
    return both_run and started(interface) <= started(container)


def started(container: Any) -> datetime:
    """Return when a container started last."""
    return datetime.fromisoformat(container.attrs["State"]["StartedAt"])


def mac(address: str) -> str:
    """Return the hardware address of the host with that IPv4 address, as Docker derives it.

    Podman would draw another one at each start, and for half a minute the neighbours would
    go on sending to the old one.

    >>> mac("10.87.2.44")
    '02:42:0a:57:02:2c'
    """
    parts = [f"{int(part):02x}" for part in address.split(".") if part]
    return ":".join(["02", "42", *parts]) if parts else ""
