"""The packets of one port of a host, read by a helper beside it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from docker.errors import APIError
from docker.types import LogConfig

from handson.errors import LabError
from handson.i18n import _
from handson.lab import rights
from handson.lab.container import remove
from handson.lab.engine import Engine
from handson.lab.ulimits import low_limits
from handson.polling import patience

PACKETS = 20_000  # that a capture reads at most, should nobody end it


def begin(engine: Engine, container: Any, port: int) -> None:
    """Begin to read the packets of a TCP port of a host, so many at most."""
    end(engine, container)
    interface = engine.interface(container)
    tcpdump = f"tcpdump -c {PACKETS} --immediate-mode -p -i any -A -l -n -s 0 tcp port"
    host = container.labels["handson.host"]
    beside = engine.client.containers.create(
        interface.attrs["Image"],
        command=[*tcpdump.split(), str(port)],
        name=engine.full(f"{host}-capture"),
        labels={**engine.label, **engine.marks, "handson.beside": host},
        network_mode=f"container:{interface.id}",
        log_config=LogConfig(type=LogConfig.types.JSON),
        ulimits=low_limits(),
        **rights.HELPER,
        **rights.of(rights.CAPTURE),
    )
    beside.start()
    for _gone in patience(60, first=0.05):
        if b"listening on" in beside.logs(stdout=False):
            return
    said = beside.logs().decode(errors="replace").strip().splitlines()[-3:]
    remove(beside)
    raise LabError(
        _("The packets could not be read: {reason}").format(reason=" / ".join(said)),
        _("Run the cell again."),
    )


def finish(engine: Engine, container: Any) -> str:
    """End what was begun and return what tcpdump has printed."""
    time.sleep(0.3)  # what has just been sent is on its way
    return end(engine, container)


def end(engine: Engine, container: Any) -> str:
    text = ""
    for beside in engine.containers(**{"handson.beside": container.labels["handson.host"]}):
        with contextlib.suppress(APIError):  # it has ended by itself
            beside.kill("SIGTERM")
            beside.wait(timeout=60)
        # First what tcpdump said of itself: how many packets it missed.
        both = (beside.logs(stdout=False), beside.logs(stderr=False))
        text = "\n".join(part.decode(errors="replace") for part in both)
        remove(beside)
    return text
