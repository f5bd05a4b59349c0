"""An ssh server of the test's own process on loopback, which runs commands on this machine."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko


class Login(paramiko.ServerInterface):
    """Lets in whoever has the key, and runs each command with a shell."""

    def __init__(self, key: paramiko.PKey) -> None:
        self.key = key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_known = username == "admin" and key == self.key
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def run() -> None:
            done = subprocess.run(
                ["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            channel.sendall(done.stdout)
            channel.send_exit_status(done.returncode)
            channel.close()

        threading.Thread(target=run).start()
        return True


@contextmanager
def ssh_server(host_key: paramiko.PKey, login: paramiko.ServerInterface) -> Iterator[int]:
    """Serve on a free port, which is yielded, until the end of the `with` block."""
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    line = listener.accept()[0]
                except OSError:
                    return
                transports.append(paramiko.Transport(line))
                transports[-1].add_server_key(host_key)
                transports[-1].start_server(threading.Event(), login)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()
                transport.join()
