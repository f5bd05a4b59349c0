"""The process that answers as the AWS API of one lab: `python -m handson.lab.api_server FOLDER`.

It listens on loopback at a port of its own and writes its address to the file `endpoint` in
the lab's folder once it answers. It answers nobody who lacks the lab's key.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import logging
import os
import re
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

# moto reads these when it is imported.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from handson.errors import HandsonError
from handson.i18n import _
from handson.lab import api, books, capture, engine, engine_errors, internet, network, patches
from handson.lab.access import Key
from handson.lab.reconcile import Hardware, NotMade
from handson.lab.state import write_private

READS = re.compile(r"(Describe|Get|List|Validate|Estimate|Detect)")
# The services that the course uses. moto has many more, and some of them start programs.
SERVICES = ("ec2", "cloudformation", "ssm", "sts")
FAULT = "InternalError"
HOLD_HOSTS = ("ec2", "cloudformation")
LARGEST = 2 << 20  # bytes of a request: a template has 51,200 at most
IDLE = 75  # seconds that a connection may say nothing

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Application:
    """moto's application, for the owner of the lab, with real hosts behind it.

    A request without the lab's key, or one that a web page sends, is refused before anything
    else looks at it.
    """

    def __init__(self, hardware: Hardware, key: Key) -> None:
        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self.hardware, self.key = hardware, key

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path, service, body = environ["PATH_INFO"], "", b""
        # A page in somebody's browser cannot leave the header Origin out.
        if "HTTP_ORIGIN" not in environ and 0 <= _length(environ) <= LARGEST:
            body = environ["wsgi.input"].read(_length(environ))
            service = self.key.admits(environ, body)
        if service == api.SERVICE and path.startswith(f"{api.ROOT}/"):
            return self._own(path.removeprefix(f"{api.ROOT}/"), body, start_response)
        # An action in the address would go past what brings the hosts in line; AWS's own
        # clients send it in the body.
        if service not in SERVICES or path != "/" or environ.get("QUERY_STRING"):
            # What is left unread of it is not taken for another request.
            start_response("403 Forbidden", [("Content-Length", "0"), ("Connection", "close")])
            return [b""]
        environ["wsgi.input"] = io.BytesIO(body)
        query = parse_qs(body.decode(errors="replace")) if body[:1] != b"{" else {}
        return self._aws(service, query, environ, start_response)

    # -- the AWS API ---------------------------------------------------------

    def _aws(
        self,
        service: str,
        query: dict[str, list[str]],
        environ: dict[str, Any],
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        action = query.get("Action", [""])[0]
        start_response = _for_no_page(start_response)
        try:
            with self.hardware.turn():
                # First: what went away is not to be made anew as if it had never been.
                if service in HOLD_HOSTS:
                    self.hardware.notice()
                if self.hardware.is_behind:
                    self._bring_in_line()
                if action and not READS.match(action):
                    return self._change(query, environ, start_response)
            return self._moto(environ, start_response)
        except Exception as error:
            # Whatever goes wrong below, the caller gets an answer in the API's own form.
            traceback.print_exc()
            return _refuse(start_response, _in_words(error), "HTTP_X_AMZ_TARGET" in environ)

    def _change(
        self, query: dict[str, list[str]], environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        held: list[Any] = []
        answer = b"".join(self._moto(environ, lambda *args: held.append(args)))
        self._bring_in_line()
        if str(held[0][0]).startswith("200") and query["Action"] == ["RebootInstances"]:
            ids = [values[0] for key, values in query.items() if key.startswith("InstanceId")]
            self.hardware.reboot(ids)
        start_response(*held[0])
        return [answer]

    def _bring_in_line(self) -> None:
        try:
            self.hardware.follow()
        except NotMade as failure:
            # A stack says itself that it failed; any other request is answered with an error.
            traceback.print_exc()
            is_told = patches.roll_back(failure.resource_id, failure.what)
            if not is_told:
                books.withdraw(failure.resource_id)
            self.hardware.follow()
            if not is_told:
                raise

    # -- the lab's own -------------------------------------------------------

    def _own(self, question: str, body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        try:
            given = json.loads(body)
            given.pop("nonce", None)
            answer = {"answer": self._tell(question, **given)}
            status = "200 OK"
        except Exception as error:
            traceback.print_exc()
            is_known = isinstance(error, HandsonError)
            cure = error.cure if isinstance(error, HandsonError) else ""
            answer = {"what": _in_words(error), "cure": cure}
            status = "409 Conflict" if is_known else "500 Internal Server Error"
        text = json.dumps(answer)
        proof = (api.PROOF, self.key.prove(body, text.encode()))
        return _answer(start_response, status, "application/json", text, proof)

    def _tell(self, question: str, instance: str = "", port: int = 0) -> Any:
        hardware = self.hardware
        if question == "name":
            return hardware.engine.name
        if question == "hosts":
            return hardware.hosts()
        if question == "restore":
            new = hardware.restore()
            pc, mailbox = hardware.engine.host("pc"), hardware.engine.host("mailbox")
            return {
                "new": new,
                "pc_port": internet.published_port(hardware.engine, pc),
                "pc_host_keys": internet.host_keys(hardware.engine, pc),
                "mailbox_host_keys": internet.host_keys(hardware.engine, mailbox),
            }
        if question == "capture":
            return capture.begin(hardware.engine, hardware.host_of(instance), int(port))
        if question == "captured":
            return capture.finish(hardware.engine, hardware.host_of(instance))
        raise HandsonError(f"The lab cannot be asked “{question}”.")


def _for_no_page(start_response: StartResponse) -> StartResponse:
    """Leave out the headers by which moto lets every web page read its answers."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        kept = [one for one in headers if not one[0].lower().startswith("access-control-")]
        return start_response(status, kept, *more)

    return start


def _public_addresses(cidr: str) -> Iterator[str]:
    """Yield an address for each instance that starts: none that another one has."""
    for number in itertools.cycle(range(network.FIRST_PUBLIC, network.LAST_PUBLIC)):
        address = network.address(cidr, number)
        if address not in {one.public_ip for one in books.instances().values()}:
            yield address


def _length(environ: dict[str, Any]) -> int:
    text = environ.get("CONTENT_LENGTH") or "0"
    # Python refuses to read a number of thousands of digits.
    return int(text) if text.isdecimal() and len(text) < 20 else -1


def _in_words(error: Exception) -> str:
    if isinstance(error, HandsonError):
        return error.what
    if isinstance(error, engine_errors.BROKEN):
        return _("The container engine cannot do it: {reason}").format(
            reason=engine_errors.explanation(error)
        )
    return f"{error!r}"


def _refuse(start_response: StartResponse, text: str, in_json: bool) -> list[bytes]:
    """Answer that it did not work: in JSON where the request is (SSM's are), else in XML."""
    if in_json:
        fault, kind = json.dumps({"__type": FAULT, "message": text}), "application/x-amz-json-1.1"
    else:
        error = f"<Error><Code>{FAULT}</Code><Message>{escape(text)}</Message></Error>"
        fault, kind = f"<Response><Errors>{error}</Errors></Response>", "text/xml"
    # With a status of 500 boto3 would ask once more, and wait as long again.
    return _answer(start_response, "400 Bad Request", kind, fault)


def _answer(
    start_response: StartResponse, status: str, kind: str, text: str, *more: tuple[str, str]
) -> list[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
    return [body]


class QuietHandler(WSGIRequestHandler):
    """Answers one request a connection, as werkzeug does; says of itself nothing."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE

    def version_string(self) -> str:
        return "-"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def parse_request(self) -> bool:
        """Refuse what names no address, or wants an answer before all of it has come.

        Who sent it is known by its signature, which covers the body.
        """
        if not super().parse_request():
            return False
        try:
            urlsplit(self.path)
        except ValueError:
            is_refused = True
        else:
            is_refused = "Expect" in self.headers
        if is_refused:
            self.close_connection = True
            self.send_error(403)
        return not is_refused

    def handle_expect_100(self) -> bool:
        return True  # without the answer that Python gives by itself

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no proper request as any other without the key: with no word of why.

        The page that Python sends by itself tells what program this is.
        """
        # Until a request has been read it counts as one of HTTP/0.9, which has no headers.
        self.request_version = self.protocol_version
        self.send_response(403, "Forbidden")
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="handson.lab.api_server", description=__doc__)
    parser.add_argument("folder", type=Path, help="the lab's folder; it holds server.json")
    folder = parser.parse_args(argv).folder
    # What libraries warn of here belongs into the lab's log, not into a learner's workspace.
    logging.basicConfig(level=logging.WARNING)
    given = json.loads((folder / "server.json").read_text())

    around = internet.Internet(**given["internet"])
    hardware = Hardware(
        lambda: engine.connect(given["name"], given["owner"], given["marks"]), around, folder
    )
    patches.apply(
        public_addresses=_public_addresses(around.cidr), console_output=hardware.console_output
    )
    application = Application(hardware, Key(**given["key"]))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    # At once: all is kept already, and taking moto apart in order takes two seconds.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    write_private(folder / "endpoint", f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


if __name__ == "__main__":
    main()
