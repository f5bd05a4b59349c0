"""Hold mail dialogues. Runs on a host: the standard library only, nothing newer than Python 3.7.

`handson.mail.smtp` sends it, with the jobs and a call of a function at its end. A job may
name a login's `mechanism`, and with `tls` ask for encryption as a mail program does. Where it
is `implicit`, TLS comes before the first word (RFC 8314).
"""

import base64
import json
import smtplib
import socket
import ssl
import threading
import time
import warnings
from typing import Any, Dict, List, Optional, Tuple

REPLIES = ("banner", "starttls", "ehlo", "auth", "mail", "rcpt", "data", "sent")

# How often a check says NOOP after a login that failed.
MARK = 2

# What is told of a server that says nothing, and of one that hangs up.
NO_ANSWER, HUNG_UP = "no answer", "connection closed by the server"

# Instead of a chain of authorities, the very certificate of a server has to be shown.
PINNED = {"ca_file": "", "verifies": False}

Given = Dict[str, Any]
# How it went ('open', 'refused' ...), what the error was, and the socket.
Connection = Tuple[str, str, Optional[socket.socket]]


def connect(job: Given) -> Connection:
    try:
        return "open", "", socket.create_connection((job["host"], job["port"]), job["timeout"])
    except ConnectionRefusedError:
        return "refused", "", None
    except socket.timeout:
        return "timed out", "", None
    except OSError as error:
        return "unreachable", error.strerror or str(error), None


def ask(server: smtplib.SMTP, job: Given, *words: str) -> List[Any]:
    assert server.sock
    server.sock.settimeout(max(0.1, min(job["patience"], job["deadline"] - time.monotonic())))
    code, text = server.docmd(*words) if words else server.getreply()
    return [code, text.decode("utf-8", "replace")]


def offers(out: Given, name: str) -> bool:
    return any(line.upper().split()[:1] == [name] for line in out["ehlo"][1].split("\n")[1:])


def client_context(job: Given) -> ssl.SSLContext:
    """Return what the client brings to TLS: a job may ask for an old version, or for ciphers."""
    tls = job.get("tls", PINNED)
    if tls["verifies"] or tls["ca_file"]:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reads no authorities
    if tls["ca_file"]:
        context.load_verify_locations(tls["ca_file"])
    if not tls["verifies"]:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # An OpenSSL of today offers what is weak only where it is asked to (SSL_CTX_set_cipher_list).
    if job.get("ciphers"):
        context.set_ciphers(job["ciphers"])
    if job.get("version"):
        version = getattr(ssl.TLSVersion, job["version"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    return context


def encrypt(server: smtplib.SMTP, job: Given, out: Given) -> bool:
    """Go over to TLS, and return whether the server is the one whose certificate is known."""
    assert server.sock
    server.sock.settimeout(max(0.1, min(job["patience"], job["deadline"] - time.monotonic())))
    line = client_context(job).wrap_socket(server.sock, server_hostname=job["host"])
    server.sock, server.file = line, None
    out["tls"] = line.version() or ""
    pinned = job["certificate"]
    if pinned and line.getpeercert(True) != ssl.PEM_cert_to_DER_cert(pinned):
        out["error"] = "another certificate than the server's"
        return False
    return True


def start_tls(server: smtplib.SMTP, job: Given, out: Given) -> bool:
    out["starttls"] = ask(server, job, "STARTTLS")
    if out["starttls"][0] != 220 or not encrypt(server, job, out):
        return False
    out["ehlo"] = ask(server, job, "EHLO", job["name"])
    return True


def size(job: Given, out: Given) -> str:
    """Return what tells the size of a message beforehand, where the server knows it (RFC 1870)."""
    return " SIZE=" + str(job["size"]) if job.get("size") and offers(out, "SIZE") else ""


def login(job: Given) -> List[List[str]]:
    """Return what is said to log in, command by command."""
    user, password = job["login"], job["password"]
    if job.get("mechanism") == "LOGIN":
        return [["AUTH", "LOGIN"], [coded(user)], [coded(password)]]
    return [["AUTH", "PLAIN " + coded("\0" + user + "\0" + password)]]


def coded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def say(server: smtplib.SMTP, job: Given, command: str) -> List[Any]:
    """Send a command as it is; return it with what is answered.

    One of several lines ends with QUIT: how many commands the server takes it for shows in
    the number of its answers.
    """
    server.send((command + "\r\n").encode("utf-8"))
    answers = [ask(server, job)]
    while "\n" in command and answers[-1][0] not in (221, 421, -1):
        try:
            answers.append(ask(server, job))
        except smtplib.SMTPServerDisconnected:
            break
    return [command, answers]


def converse(server: smtplib.SMTP, job: Given, out: Given) -> None:
    if job.get("implicit") and not encrypt(server, job, out):
        return
    out["banner"] = ask(server, job)
    if out["banner"][0] != 220:
        return
    out["ehlo"] = ask(server, job, "EHLO", job["name"])
    if out["ehlo"][0] != 250:
        return
    wants_tls = "tls" in job or (job["certificate"] and offers(out, "STARTTLS"))
    if wants_tls and not job.get("implicit") and not start_tls(server, job, out):
        return
    if job["login"]:
        if not job["insist"] and not offers(out, "AUTH"):
            return
        for words in login(job):
            out["auth"] = ask(server, job, *words)
            if out["auth"][0] != 334:
                break
        if out["auth"][0] != 235:
            # Postfix counts a session's commands in its last line: that tells whose it was.
            for _number in range(MARK if job["is_check"] else 0):
                ask(server, job, "NOOP")
            return
    if job.get("commands"):
        for command in job["commands"]:
            out["said"].append(say(server, job, command))
        return
    for name, words in (
        ("mail", ["MAIL", "FROM:<" + job["sender"] + ">" + size(job, out)]),
        ("rcpt", ["RCPT", "TO:<" + job["recipient"] + ">"]),
    ):
        out[name] = ask(server, job, *words)
        if out[name][0] >= 400:
            return
    if job["message"] is None:
        ask(server, job, "RSET")
        return
    out["data"] = ask(server, job, "DATA")
    if out["data"][0] == 354:
        text = smtplib.quotedata(job["message"]).rstrip("\r\n")
        server.send((text + "\r\n.\r\n").encode("utf-8"))
        out["sent"] = ask(server, job)


def hold(job: Given, connection: Optional[Connection] = None) -> Given:
    """Return what was answered in one dialogue."""
    out: Given = dict.fromkeys(REPLIES)
    out.update({key: job[key] for key in ("host", "port", "sender", "recipient", "login", "name")})
    out["tls"], out["said"] = "", []
    out["connected"], out["error"], sock = connection or connect(job)
    if sock is None:
        return out
    server = smtplib.SMTP()
    server.sock = sock
    try:
        converse(server, job, out)
        if not out["said"] or "\n" not in out["said"][-1][0]:
            ask(server, job, "QUIT")
    except (smtplib.SMTPException, OSError) as error:
        # smtplib tells of a wait that was too long as of a connection that was closed.
        broken = NO_ANSWER if "timed out" in str(error) else HUNG_UP
        why = getattr(error, "verify_message", "") or getattr(error, "reason", "")
        if isinstance(error, FileNotFoundError):
            why = job["tls"]["ca_file"] + ": " + (error.strerror or "")
        out["error"] = out["error"] or why or broken
    finally:
        server.close()
    return out


def hold_all(given: Given) -> None:
    """Hold the `jobs` in their order, within `seconds`, and print what each one brought.

    After each comes a `pause` (seconds).
    """
    deadline = time.monotonic() + given["seconds"]
    first: Dict[Any, Connection] = {}

    def knock(place: Any, job: Given) -> None:
        first[place] = connect(job)

    places: Dict[Any, Given] = {}
    for job in given["jobs"]:
        job["deadline"] = deadline
        places.setdefault((job["host"], job["port"]), job)
    # The first connections are made at once, so that packets that are dropped cost time once.
    knocks = {item[0]: threading.Thread(target=knock, args=item) for item in places.items()}
    for one in knocks.values():
        one.start()
    silent: Dict[Any, Connection] = {}
    for job in given["jobs"]:
        place = job["host"], job["port"]
        knocks[place].join()
        connection = first.pop(place, None)
        if place in silent:
            out = hold(job, silent[place])
        elif time.monotonic() > deadline:
            out = hold(job, ("unreachable", "no time was left", None))
        else:
            connection = connection or connect(job)
            out = hold(job, connection)
            if connection[2] is None:
                silent[place] = connection
            elif out["banner"] is None and out["error"] in (NO_ANSWER, HUNG_UP):
                silent[place] = ("open", out["error"], None)
        print(json.dumps(out))
        if out["banner"]:
            time.sleep(given["pause"])
