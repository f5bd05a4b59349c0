"""The process that answers as the AWS API of one lab: `python -m handson.lab.server NAME …`.

It listens on loopback at a port of its own and writes its address to the file
`endpoint` in the lab's folder once it answers.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

# moto reads these when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from handson.errors import HandsonError
from handson.lab import engine, mends, network
from handson.lab.cloud import Hardware, NotMade
from handson.lab.state import runtime_folder

# Where the API tells whose it is: another lab may have got the port of one that crashed.
NAME = "/handson-lab"
READS = re.compile(r"(Describe|Get|List|Validate|Estimate|Detect)")

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Application:
    """moto's application, with the lab's hardware brought in line after each change."""

    def __init__(self, hardware: Hardware) -> None:
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self.hardware = hardware

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == NAME:
            return _answer(start_response, "200 OK", "text/plain", self.hardware.engine.name)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        query = parse_qs(body.decode(errors="replace")) if body[:1] != b"{" else {}
        action = query.get("Action", [""])[0]
        if not action or READS.match(action):
            return self._moto(environ, start_response)
        held: list[Any] = []
        answer = b"".join(self._moto(environ, lambda *args: held.append(args)))
        status = str(held[0][0])
        try:
            self._bring_in_line(query, is_done=status.startswith("200"))
        except Exception as error:
            # Whatever goes wrong below, the caller gets an answer in the API's own form.
            traceback.print_exc()
            text = error.what if isinstance(error, HandsonError) else f"{error!r}"
            fault = (
                "<Response><Errors><Error><Code>InternalError</Code>"
                f"<Message>{escape(text)}</Message></Error></Errors></Response>"
            )
            return _answer(start_response, "400 Bad Request", "text/xml", fault)
        start_response(*held[0])
        return [answer]

    def _bring_in_line(self, query: dict[str, list[str]], is_done: bool) -> None:
        try:
            self.hardware.follow()
            if is_done and query["Action"] == ["RebootInstances"]:
                ids = [values[0] for key, values in query.items() if key.startswith("InstanceId")]
                self.hardware.reboot(ids)
        except NotMade as failure:
            # A stack says itself that it failed; any other request is answered with an error.
            traceback.print_exc()
            is_told = mends.roll_back(failure.resource_id, failure.what)
            if not is_told:
                self.hardware.withdraw(failure.resource_id)
            self.hardware.follow()
            if not is_told:
                raise


def _answer(start_response: StartResponse, status: str, kind: str, text: str) -> list[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


class QuietHandler(WSGIRequestHandler):
    """Answers over HTTP/1.1, so that a client need not connect anew for each request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="handson.lab.server", description=__doc__)
    parser.add_argument("name", help="name of the lab")
    parser.add_argument("--image", required=True, help="host image")
    parser.add_argument("--internet", required=True, help="network of the lab's Internet (CIDR)")
    args = parser.parse_args(argv)

    hardware = Hardware(engine.connect(args.name), args.image, args.internet)
    public = itertools.cycle(range(network.FIRST_PUBLIC, network.LAST_PUBLIC))
    mends.mend(
        public_addresses=lambda: network.address(args.internet, next(public)),
        console_output=hardware.console_output,
    )
    server = make_server(
        "127.0.0.1", 0, Application(hardware), threaded=True, request_handler=QuietHandler
    )
    # At once: there is nothing to save, and taking moto apart in order takes two seconds.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    endpoint = runtime_folder(args.name) / "endpoint"
    endpoint.write_text(f"http://127.0.0.1:{server.server_port}")
    try:
        server.serve_forever()
    finally:
        endpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
