"""Causes in master.cf and in the tables that main.cf names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from handson.diagnosis.cause import (
    MASTER,
    RELOAD,
    RESTART,
    Cause,
    Link,
    listed,
    logged,
    on_server,
    said,
    to_set,
)
from handson.diagnosis.fault import (
    AGED,
    RELOAD_SH,
    RESTART_SH,
    Fault,
    Part,
    in_main_cf,
    in_master_cf,
)
from handson.diagnosis.restrictions import relay_denied_authenticated
from handson.i18n import N_, _
from handson.mail import server_log
from handson.mail.log import moment, parse
from handson.mail.postfix import MAIN_CF, MASTER_CF

if TYPE_CHECKING:
    from handson.mail.log import Entry
    from handson.mail.observation import Observation

# A service of master.cf that was left as a comment: any of the names of port 587.
_COMMENT = re.compile(r"^(\d+):\s*#\s*((?:submission|587)\s+inet\s.*)$")
_TABLE = re.compile(r"(?:^|[\s,])(?:check_\w+_access\s+)?([a-z]\w*):\S")
# service_throttle_time of postconf(5), 60 s, and some for the process to come.
PAUSE = timedelta(seconds=65)
DEMAND = "smtpd_client_restrictions=permit_sasl_authenticated,reject"
# Parameters whose values are lookup tables; in others "type:" may be a transport.
_HOLDS_TABLES = ("_maps", "_map", "_database")


def line_swallowed(observed: Observation) -> str:
    return "\n".join(observed.survey.swallowed.values())


def move_left(observed: Observation) -> list[str]:
    """Return the commands that make those lines parameters of their own."""
    numbers = [line.split(":")[1] for line in observed.survey.swallowed.values()]
    edits = "; ".join(f"{number}s/^[[:space:]]*//" for number in numbers)
    return on_server(f"sudo sed -i '{edits}' {MAIN_CF}", RESTART)


def option_in_column_1(observed: Observation) -> str:
    found = re.search(r"line (\d+): bad field count", observed.survey.services_error)
    if not found:
        return ""
    number = found[1]
    text = _line(observed, number)
    if not text.startswith("-o"):
        return ""
    return f"/etc/postfix/master.cf:{number}: {text} (bad field count)"


def space_in_option(observed: Observation) -> str:
    service = observed.survey.submission
    for columns, stray in _stray(observed):
        fatal = logged(observed, "fatal: unexpected command-line argument: " + re.escape(stray))
        return fatal or f"{service.key if service else ''}: {columns}"
    return ""


def join_option(observed: Observation) -> list[str]:
    """Return the commands that take the spaces out of the value of an option."""
    edits = [
        f"sudo sed -i '/^#/!s/,[[:space:]]*{stray}/,{stray}/' {MASTER_CF}"
        for _columns, stray in _stray(observed)
        if re.fullmatch(r"[\w:,=.-]+", stray)
    ]
    return on_server(*edits, RESTART) if edits else []


def _stray(observed: Observation) -> Iterator[tuple[str, str]]:
    """Yield the options of the submission service with each word that belongs to none."""
    service = observed.survey.submission
    if service is None:
        return
    for line in observed.survey.lines("services"):
        columns = line.split(None, 7)
        if len(columns) < 8 or columns[0] != service.name:
            continue
        left = re.sub(r"-o\s+(\{.*?\}(?=\s+-|\s*$)|\S+)", "", columns[7]).split()[1:]
        yield from ((columns[7], word) for word in left if not word.startswith("-"))


def submission_off(observed: Observation) -> str:
    survey = observed.survey
    if not survey.services or survey.submission is not None:
        return ""
    if number := _commented(observed):
        return f"/etc/postfix/master.cf:{number}: {_line(observed, number)}"
    return _("master.cf starts: {names}").format(
        names=listed([key for key in survey.services if key.endswith("/inet")])
    )


def _commented(observed: Observation) -> str:
    """Return the number of the line of the submission service that is a comment, or ''."""
    found = [hit for line in observed.survey.lines("master") if (hit := _COMMENT.match(line))]
    # Options that are no comments any more tell which of several lines was meant.
    return found[-1][1] if found else ""


def _line(observed: Observation, number: str) -> str:
    """Return a line of master.cf."""
    lines = (line.partition(":") for line in observed.survey.lines("master"))
    return next((text for found, _colon, text in lines if found == number), "")


def switch_on(observed: Observation) -> list[str]:
    """Return the commands that make the line of the service one that counts, or write it."""
    if number := _commented(observed):
        edit = f"sudo sed -i '{number}s/^[[:space:]]*#[[:space:]]*//' {MASTER_CF}"
        return on_server(edit, RESTART)
    lines = "submission inet n - n - - smtpd", "  -o " + DEMAND
    written = " ".join(map(shlex.quote, lines))
    return on_server(f"printf '%s\\n' {written} | sudo tee -a {MASTER_CF}", RESTART)


def chrooted_smtpd(observed: Observation) -> str:
    survey, auth = observed.survey, observed.submission.auth
    if not survey.is_chrooted or survey.sections.get("caged") == "yes":
        return ""
    if auth is None or auth.code not in (535, 454) or "auxprop" not in survey.verifiers:
        return ""
    service = survey.submission
    return _("{service} has chroot {column}; there is no {path} in {queue}").format(
        service=service.key if service else "",
        column=service.chroot if service else "",
        path=survey.database,
        queue=survey.value("queue_directory"),
    )


def master_throttles(observed: Observation) -> str:
    """Look whether smtpd had ended before a reload: master(8) waits, whatever is right since.

    Only a reload separates the two: after a restart there is no pause, and without a reload
    Postfix's own complaint is the newest.
    """
    if not observed.submission.is_open or observed.submission.banner:
        return ""
    ended: Entry | None = None
    reloaded: Entry | None = None
    entries = parse(server_log.newest(observed.server, 100))
    for entry in entries:
        is_master = entry.program.endswith("/master")
        if "smtpd: bad command startup -- throttling" in entry.text:
            ended, reloaded = entry, None
        elif is_master and entry.text.startswith("reload --"):
            reloaded = entry
        elif entry.text.startswith("daemon started" if is_master else "fatal:"):
            ended, reloaded = None, None
    if not ended or not reloaded:
        return ""
    now = datetime.now(UTC)
    if moment(entries[-1], now) - moment(ended, now) > PAUSE:
        return ""
    return f"{said(ended)}\n{said(reloaded)}"


def not_reloaded(observed: Observation) -> str:
    """Look whether a file that is right was changed after Postfix had read it."""
    return _unread(observed) if _should_work(observed) else ""


def _should_work(observed: Observation) -> bool:
    """Return whether a try fails although the files say that it should not."""
    found, survey = observed.submission, observed.survey
    if found.connected == "refused":
        return survey.submission is not None and survey.is_running and not survey.sockets(587)
    if found.ehlo and not found.mechanisms and "STARTTLS" not in found.extensions:
        offered = survey.value("smtpd_sasl_auth_enable") == "yes"
        return offered and survey.value("smtpd_tls_auth_only") in ("", "no")
    is_denied = found.refusal is not None and "denied" in found.refusal.text
    return found.is_logged_in and is_denied and not relay_denied_authenticated(observed)


def _unread(observed: Observation) -> str:
    """Return what shows that master.cf or main.cf was changed after it had last been read."""
    survey, path = observed.survey, MASTER_CF
    for entry in observed.recent[:1]:
        # Stamps of syslog have no zone: they are the server's.
        now = datetime.fromisoformat(observed.server.read("date --iso-8601=seconds").strip())
        read = moment(entry, now).timestamp()
        if entry.program.endswith("/master") and survey.changed.get(path, 0) > read + 1:
            return _("{path} was changed after this: {line}").format(path=path, line=said(entry))
    ages, path = [int(age) for age in survey.lines("ages")], MAIN_CF
    seconds = survey.clock - survey.changed.get(path, 0)
    # Each port has an smtpd of its own, which may have come later.
    if not ages or max(ages) <= seconds:
        return ""
    return _("{path} was changed {seconds} s ago; an smtpd runs since {age} s").format(
        path=path, seconds=seconds, age=max(ages)
    )


def map_type(observed: Observation) -> str:
    for name, value, kind in _unknown_types(observed):
        line = logged(observed, f"unsupported dictionary type: {kind}")
        return line or f"{name} = {value}; postconf -m: {' '.join(observed.survey.map_types)}"
    return ""


def known_type(observed: Observation) -> list[str]:
    """Return the commands that name a type which is there, or drop a table which is not."""
    for name, value, kind in _unknown_types(observed):
        path = value.partition(f"{kind}:")[2].replace(",", " ").split()[0]
        if not observed.server.facts.file(path).exists:
            if "check_" in value:
                return []  # a whole list would go, and with it the word that refuses
            service = observed.survey.submission
            if service and name in service.parameters:
                return on_server(
                    f"sudo postconf -PX {shlex.quote(f'{service.key}/{name}')}", RELOAD
                )
            return on_server(f"sudo postconf -X {name}", RELOAD)
        known = "hash" if "hash" in observed.survey.map_types else "texthash"
        commands = to_set(observed, name, value.replace(f"{kind}:", f"{known}:"))
        if known == "hash":
            commands = on_server(f"sudo postmap hash:{shlex.quote(path)}") + commands
        return commands
    return []


def _unknown_types(observed: Observation) -> Iterator[tuple[str, str, str]]:
    """Yield each parameter that names a type of table that Postfix does not know, and the type."""
    survey = observed.survey
    if not survey.map_types:
        return
    own = survey.submission.parameters if survey.submission else {}
    for name, value in {**survey.explicit, **own}.items():
        if not name.endswith(_HOLDS_TABLES) and "check_" not in value:
            continue
        for kind in _TABLE.findall(value):
            if kind not in survey.map_types and kind not in ("inet", "unix", "proxy"):
                yield name, value, kind


_OWN = (
    'drop smtpd_client_restrictions\nline="-o smtpd_client_restrictions=permit_sasl_authenticated'
)


CAUSES = (
    Cause(
        "line-swallowed",
        N_("A parameter of main.cf has no effect, and the one above it has a strange value."),
        N_("A line that begins with a space continues the line above it: it is no parameter."),
        N_("Remove the space at the start of that line of /etc/postfix/main.cf:"),
        "https://www.postfix.org/postconf.5.html",
        line_swallowed,
        link=Link.LISTENS,
        commands=move_left,
        is_state=True,
    ),
    Cause(
        "option-in-column-1",
        N_("Postfix commands fail with “bad field count”."),
        N_("An -o line of master.cf starts in the first column, so it counts as a service."),
        N_("Indent the lines of /etc/postfix/master.cf that begin with -o:"),
        MASTER,
        option_in_column_1,
        link=Link.LISTENS,
        commands=on_server(f"sudo sed -i 's/^-o/  -o/' {MASTER_CF}", RESTART),
        is_state=True,
        fault=in_master_cf(
            N_("an -o line that is not indented"),
            f'{_OWN},reject"\n'
            'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a $line" /etc/postfix/master.cf',
            RESTART_SH,
        ),
    ),
    Cause(
        "submission-off",
        N_("Port 587 refuses the connection, although master.cf seems to have the lines."),
        N_(
            "master.cf starts no service on port 587: its line is a comment, or is not there. -o "
            "lines that follow such a comment belong to the service above."
        ),
        N_("Have master.cf start the service on port 587:"),
        MASTER,
        submission_off,
        link=Link.LISTENS,
        commands=switch_on,
        is_state=True,
        port=587,
        fault=in_master_cf(
            N_("the line of the submission service is a comment"),
            'sed -i -E "s/^($name[[:space:]]+(inet|pass)[[:space:]])/#\\1/" /etc/postfix/master.cf',
        ),
    ),
    Cause(
        "space-in-option",
        N_("Port 587 connects and says nothing; the log has “unexpected command-line argument”."),
        N_("A space after a comma ends the value of -o; the rest is an argument of its own."),
        N_("Write the value of the option without a space in /etc/postfix/master.cf:"),
        MASTER,
        space_in_option,
        link=Link.GREETS,
        commands=join_option,
        is_state=True,
        port=587,
        fault=in_master_cf(
            N_("a space after the comma in an -o line"),
            f'{_OWN}, reject"\n'
            f'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a\\  $line" {MASTER_CF}',
        ),
    ),
    Cause(
        "not-reloaded",
        N_("main.cf or master.cf is right, and the server behaves as before the change."),
        N_("Postfix has not read the file again since it was changed."),
        "",
        "https://www.postfix.org/postfix.1.html",
        not_reloaded,
        link=Link.LISTENS,
        commands=on_server(RELOAD),
        is_state=True,
    ),
    Cause(
        "master-throttles",
        N_("Port 587 connects and says nothing, although the mistake was corrected."),
        N_(
            "smtpd had ended at its start. master(8) waits up to a minute before it starts it "
            "again, and a reload does not end this pause."
        ),
        "",
        "https://www.postfix.org/master.8.html",
        master_throttles,
        link=Link.GREETS,
        commands=on_server(RESTART),
    ),
    Cause(
        "chrooted-smtpd",
        N_("535 authentication failure, although user, password and sasldb are right."),
        N_("The submission service runs in a chroot, and in there is no sasldb."),
        "",
        "https://www.postfix.org/DEBUG_README.html#no_chroot",
        chrooted_smtpd,
        link=Link.LOGIN,
        commands=on_server("sudo postconf -F {service}/chroot=n", RESTART),
        arises=lambda system: system.chroots_smtpd,
        fault=Fault(
            N_("the submission service runs in a chroot"),
            Part(
                (MASTER_CF,),
                f'postconf -F "$service/chroot=y"\n{AGED}{RELOAD_SH}',
                after=RELOAD_SH,
            ),
            arises=lambda system: system.chroots_smtpd,
        ),
    ),
    Cause(
        "map-type",
        N_("451 Temporary lookup failure; the log has “unsupported dictionary type”."),
        N_("main.cf names a type of table that this Postfix was not built with."),
        N_(
            "Name a type that `postconf -m` lists. A table whose file is not there is dropped; "
            "where it stands in a list of restrictions, take that one entry out."
        ),
        "https://www.postfix.org/DATABASE_README.html",
        map_type,
        link=Link.RESTRICTIONS,
        commands=known_type,
        fault=in_main_cf(
            N_("main.cf names a type of table that Postfix does not know"),
            "virtual_alias_maps=sdbm:/etc/postfix/virtual",
        ),
    ),
)
