"""What the engine may allow its hosts, on a machine with fewer rights than most."""

from __future__ import annotations

import resource
from pathlib import Path

from docker.types import Ulimit

CAP_SYS_RESOURCE = 24


def low_limits() -> list[Ulimit]:
    """Return limits that can be set where the engine may not raise its own, else nothing."""
    if not _may_raise_limits():
        files = min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        return [
            Ulimit(name="nofile", soft=files, hard=files),
            Ulimit(name="nproc", soft=4096, hard=4096),
        ]
    return []


def _may_raise_limits() -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux: the engine runs in a machine of its own
        return True
    # What root can have at most, be it this process or one that sudo starts.
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    return bool(int(bounding, 16) >> CAP_SYS_RESOURCE & 1)
