"""The program that a host runs to hold mail dialogues: a text, not to be imported there."""

from __future__ import annotations

# Runs on a host: the standard library only, and nothing newer than Python 3.7. `given` holds
# the dialogues in the order in which they are held, `seconds` for all of them together, and
# the `pause` after each.
PROGRAM = r"""
import base64, smtplib, socket, ssl, threading, time
deadline = time.monotonic() + given["seconds"]
first = {}

def reply(answer):
    code, text = answer
    return [code, text.decode("utf-8", "replace")]

def connect(job):
    try:
        return ["open", "", socket.create_connection((job["host"], job["port"]), job["timeout"])]
    except ConnectionRefusedError:
        return ["refused", "", None]
    except socket.timeout:
        return ["timed out", "", None]
    except OSError as error:
        return ["unreachable", error.strerror or str(error), None]

def ask(server, job, *words):
    server.sock.settimeout(max(0.1, min(job["patience"], deadline - time.monotonic())))
    return reply(server.docmd(*words) if words else server.getreply())

def offers(out, name):
    return any(line.upper().split()[:1] == [name] for line in out["ehlo"][1].split("\n")[1:])

def encrypt(server, job, out):
    out["starttls"] = ask(server, job, "STARTTLS")
    if out["starttls"][0] != 220:
        return False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Instead of a chain of authorities, the very certificate of this server has to be shown.
    context.verify_mode = ssl.CERT_NONE
    server.sock, server.file = context.wrap_socket(server.sock), None
    if server.sock.getpeercert(True) != ssl.PEM_cert_to_DER_cert(job["certificate"]):
        out["error"] = "another certificate than the server's"
        return False
    out["ehlo"] = ask(server, job, "EHLO", job["name"])
    return True

def converse(server, job, out):
    out["banner"] = ask(server, job)
    if out["banner"][0] != 220:
        return
    out["ehlo"] = ask(server, job, "EHLO", job["name"])
    if out["ehlo"][0] != 250:
        return
    if job["certificate"] and offers(out, "STARTTLS") and not encrypt(server, job, out):
        return
    if job["login"]:
        if not job["insist"] and not offers(out, "AUTH"):
            return
        plain = "\0" + job["login"] + "\0" + job["password"]
        coded = base64.b64encode(plain.encode("utf-8")).decode("ascii")
        out["auth"] = ask(server, job, "AUTH", "PLAIN " + coded)
        if out["auth"][0] != 235:
            return
    for name, words in (("mail", ("MAIL", "FROM:<" + job["sender"] + ">")),
                        ("rcpt", ("RCPT", "TO:<" + job["recipient"] + ">"))):
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

def hold(job, connection):
    out = {key: job[key] for key in ("host", "port", "sender", "recipient", "login", "name")}
    out["connected"], out["error"], sock = connection
    out.update(dict.fromkeys(given["replies"]))
    if sock is None:
        return out
    server = smtplib.SMTP()
    server.sock = sock
    try:
        converse(server, job, out)
        ask(server, job, "QUIT")
    except (smtplib.SMTPException, OSError) as error:
        # smtplib tells of a wait that was too long as of a connection that was closed.
        late = "timed out" in str(error)
        broken = "no answer" if late else "connection closed by the server"
        out["error"] = out["error"] or broken
    finally:
        server.close()
    return out

def knock(place, job):
    first[place] = connect(job)

places = {}
for job in given["jobs"]:
    places.setdefault((job["host"], job["port"]), job)
# The first connections are made at once, so that packets that are dropped cost time once.
knocks = {item[0]: threading.Thread(target=knock, args=item) for item in places.items()}
for one in knocks.values():
    one.start()
silent = {}
for job in given["jobs"]:
    place = job["host"], job["port"]
    knocks[place].join()
    connection = first.pop(place, None)
    if place in silent:
        out = hold(job, silent[place])
    elif time.monotonic() > deadline:
        out = hold(job, ["unreachable", "no time was left", None])
    else:
        connection = connection or connect(job)
        out = hold(job, connection)
        if connection[2] is None:
            silent[place] = connection
        elif out["banner"] is None:
            silent[place] = ["open", out["error"], None]
    print(json.dumps(out))
    if out["banner"]:
        time.sleep(given["pause"])
"""
