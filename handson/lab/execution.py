"""A command in a container, with limits that are kept on this side."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing, suppress
from typing import Any

from docker.utils.socket import frames_iter

LARGEST = 4 << 20  # bytes that a command may print


class Unending(Exception):
    """A command took too long, or printed too much."""


def execute(api: Any, container_id: str, command: list[str], seconds: float) -> tuple[int, bytes]:
    """Run a command in a container; return its exit status and what it printed.

    `api` is the docker SDK's APIClient. Raises Unending after so many seconds, or bytes: the
    programs in a container may be anything, and do not decide how long it is waited for them.
    """
    process = api.exec_create(container_id, command)["Id"]
    # The stream is no program's of the container: it is the engine's, and can be cut here.
    stream = api.exec_start(process, socket=True)
    # The SDK leaves the answer open, which it keeps with its stream; to close that one is to close
    # both.
    with closing(getattr(stream, "_response", stream)):
        is_cut = threading.Event()

        def cut() -> None:
            is_cut.set()
            with suppress(OSError), socket.socket(fileno=os.dup(stream.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

        limit = threading.Timer(seconds, cut)
        limit.daemon = True
        limit.start()
        try:
            output = b""
            for _kind, part in frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
                output += part
                if len(output) > LARGEST:
                    cut()
                if is_cut.is_set():
                    break
        finally:
            limit.cancel()
            limit.join()
    if is_cut.is_set():
        raise Unending
    return int(api.exec_inspect(process)["ExitCode"]), output
