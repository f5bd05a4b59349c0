"""A command in a container, with limits that are kept on this side."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import IO, Any

from handson.polling import patience

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
    with closing(getattr(stream, "_response", stream)), _reader(stream) as source:
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
            for part in _pieces(source):
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
    # The stream may end a moment before the engine knows of the end.
    for _gone in patience(10, 0.02, 0.2):
        if (status := api.exec_inspect(process)["ExitCode"]) is not None:
            return int(status), output
    raise Unending


@contextmanager
def _reader(stream: Any) -> Iterator[IO[bytes]]:
    """Give the stream as a file.

    The SDK hands out the raw socket: what came in one piece with the headers of the engine's
    answer is in the buffer of the answer itself, and would be lost.
    """
    if answer := getattr(stream, "_response", None):
        yield answer.raw._fp.fp
    else:
        with stream.makefile("rb") as file:
            yield file


def _pieces(source: Any) -> Iterator[bytes]:
    """Yield what a command printed (Docker's API, "Stream format": 8 bytes stand before each)."""
    while len(header := source.read(8)) == 8:
        left = struct.unpack(">BxxxL", header)[1]
        while left and (part := source.read1(min(left, 1 << 16))):
            left -= len(part)
            yield part
