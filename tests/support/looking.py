"""What the tests look with: packets from a host, and traces of a lab on this machine."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from handson.hosts.host import Host
from handson.lab import engine as engines
from handson.lab.engine import Engine
from handson.lab.lab import SERVER
from handson.lab.state import lab_folder

# Each worker (pytest-xdist) of each run of the tests has labs of its own.
WORKER = f"{os.environ.get('PYTEST_XDIST_WORKER', '')}-{os.getpid()}"
NAME = f"tests{WORKER}"

CONNECT = r"""
import json, socket
from concurrent.futures import ThreadPoolExecutor

def attempt(target):
    info = socket.getaddrinfo(*target, type=socket.SOCK_STREAM)[0]
    with socket.socket(info[0], socket.SOCK_STREAM) as one:
        one.settimeout(SECONDS)
        try:
            one.connect(info[4])
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timed out"
        except OSError:
            return "unreachable"
        return "open"

targets = TARGETS
with ThreadPoolExecutor(len(targets)) as pool:
    answers = list(pool.map(attempt, targets))
print(json.dumps({f"{a} {p}": answer for (a, p), answer in zip(targets, answers)}))
"""


def connect_program(targets: list[tuple[str, int]], seconds: float) -> str:
    return CONNECT.replace("TARGETS", repr(targets)).replace("SECONDS", repr(seconds))


def connect_all(host: Host, targets: list[tuple[str, int]], seconds: float = 1.0) -> dict[str, str]:
    """Return how TCP connections from a host go: open, refused, timed out, unreachable."""
    status, output = host.probe("python3 -", stdin=connect_program(targets, seconds))
    assert status == 0, output
    answers: dict[str, str] = json.loads(output)
    return answers


def connect(host: Host, address: str, port: int, seconds: float = 1.0) -> str:
    """Return how one TCP connection from a host goes."""
    return connect_all(host, [(address, port)], seconds)[f"{address} {port}"]


def python_on(engine: Engine, container: Any, program: str) -> Any:
    """Run a program on any host of the lab over the engine, as its root; return its JSON."""
    return json.loads(engine.run(container, f"python3 - <<'PROGRAM'\n{program}\nPROGRAM\n"))


@contextmanager
def listener(family: socket.AddressFamily = socket.AF_INET) -> Iterator[tuple[int, list[str]]]:
    """Listen at every address of this machine; yield the port and the list of who came."""
    everywhere = "" if family == socket.AF_INET else "::"
    came: list[str] = []
    with socket.create_server((everywhere, 0), family=family) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def accept() -> None:
            while not over.is_set():
                try:
                    one, peer = server.accept()
                except TimeoutError:
                    continue
                came.append(peer[0])
                one.sendall(b"x")
                one.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], came
        finally:
            over.set()
            thread.join()


def traces(name: str) -> list[str]:
    """Return everything of a lab that is on this machine: it has to be nothing after `down`."""
    folder = lab_folder(name)
    found = [str(path) for path in (folder, folder.with_name(f"{name}.lock")) if path.exists()]
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        ours = f"handson-{os.getuid()}-{name}-"
        is_of_host = any(part.startswith(ours) for part in line) and "conmon" in line[0]
        is_service = f"unix://{folder}/podman.sock" in line
        if is_of_host or is_service or (str(folder) in line and SERVER in line):
            found.append(" ".join(line)[:300])
    if lab_folder(NAME).exists():
        # The shared lab's engine knows of all labs; asking for `name` would start a service.
        with engines.connect(NAME) as engine:
            engine.label = {**engine.label, engines.LABEL: name}
            found += engine.left()
    return found
