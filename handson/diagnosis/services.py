"""Causes in master.cf and in the tables that main.cf names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handson.diagnosis.cause import MASTER, Cause, Link, listed, logged
from handson.diagnosis.fault import (
    AGED,
    RELOAD,
    RESTART,
    Fault,
    Part,
    in_main_cf,
    in_master_cf,
)
from handson.hosts.systems import System
from handson.i18n import N_, _
from handson.mail.postfix import MASTER_CF

if TYPE_CHECKING:
    from handson.mail.observation import Scene

# A service of master.cf that was left as a remark: any of the names of port 587.
_REMARK = re.compile(r"^(\d+):\s*#\s*((?:submission|587)\s+inet\s.*)$")
_TABLE = re.compile(r"(?:^|[\s,])(?:check_\w+_access\s+)?([a-z]\w*):\S")
# Parameters whose values are lookup tables; in others "type:" may be a transport.
_HOLDS_TABLES = ("_maps", "_map", "_database")


def line_swallowed(scene: Scene) -> str:
    return "\n".join(scene.survey.swallowed.values())


def option_in_column_1(scene: Scene) -> str:
    found = re.search(r"line (\d+): bad field count", scene.survey.services_error)
    if not found:
        return ""
    number = found[1]
    line = next(
        (one for one in scene.survey.lines("master") if one.startswith(f"{number}:")), number
    )
    text = line.partition(":")[2]
    if not text.startswith("-o"):
        return ""
    return f"/etc/postfix/master.cf:{number}: {text} (bad field count)"


def space_in_option(scene: Scene) -> str:
    service = scene.survey.submission
    if service is None:
        return ""
    for line in scene.survey.lines("services"):
        columns = line.split(None, 7)
        if len(columns) < 8 or columns[0] != service.name:
            continue
        left = re.sub(r"-o\s+(\{.*?\}|\S+)", "", columns[7]).split()[1:]
        stray = [word for word in left if not word.startswith("-")]
        if stray:
            fatal = logged(scene, "fatal: unexpected command-line argument: " + re.escape(stray[0]))
            return fatal or f"{service.key}: {columns[7]}"
    return ""


def submission_off(scene: Scene) -> str:
    survey = scene.survey
    if not survey.services or survey.submission is not None:
        return ""
    remarks = [hit for line in survey.lines("master") if (hit := _REMARK.match(line))]
    if remarks:
        # Options that are no remarks any more tell which of several lines was meant.
        number, text = remarks[-1].groups()
        return f"/etc/postfix/master.cf:{number}: #{text}"
    return _("master.cf starts: {names}").format(
        names=listed([key for key in survey.services if key.endswith("/inet")])
    )


def chrooted_smtpd(scene: Scene) -> str:
    survey, auth = scene.survey, scene.submission.auth
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


def map_type(scene: Scene) -> str:
    survey = scene.survey
    if not survey.map_types:
        return ""
    own = survey.submission.parameters if survey.submission else {}
    for name, value in {**survey.explicit, **own}.items():
        if not name.endswith(_HOLDS_TABLES) and "check_" not in value:
            continue
        for kind in _TABLE.findall(value):
            if kind not in survey.map_types and kind not in ("inet", "unix", "proxy"):
                line = logged(scene, f"unsupported dictionary type: {kind}")
                return line or f"{name} = {value}; postconf -m: {' '.join(survey.map_types)}"
    return ""


def _can_be_chrooted(system: System) -> bool:
    return system.chroots_smtpd and system.edits_master


_OWN = (
    'drop smtpd_client_restrictions\nline="-o smtpd_client_restrictions=permit_sasl_authenticated'
)


CAUSES = (
    Cause(
        "line-swallowed",
        N_("A parameter of main.cf has no effect, and the one above it has a strange value."),
        N_("A line that begins with a blank continues the line above it: it is no parameter."),
        N_("In /etc/postfix/main.cf take away the blank at the start of that line; {restart}"),
        "https://www.postfix.org/postconf.5.html",
        line_swallowed,
        link=Link.LISTENS,
        is_state=True,
    ),
    Cause(
        "option-in-column-1",
        N_("Postfix commands fail with “bad field count”."),
        N_("An -o line of master.cf starts in the first column, so it counts as a service."),
        N_("Put blanks before the -o of that line in /etc/postfix/master.cf; {restart}"),
        MASTER,
        option_in_column_1,
        link=Link.LISTENS,
        is_state=True,
        fault=in_master_cf(
            N_("an -o line that is not indented"),
            f'{_OWN},reject"\n'
            'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a $line" /etc/postfix/master.cf',
            RESTART,
        ),
    ),
    Cause(
        "submission-off",
        N_("Port 587 refuses the connection, although master.cf seems to have the lines."),
        N_(
            "The line of the service is still a remark. Its -o lines, where they are none "
            "any more, belong to the service above."
        ),
        N_(
            "In /etc/postfix/master.cf take the # from the line "
            "“submission inet n - n - - smtpd”; {restart}"
        ),
        MASTER,
        submission_off,
        link=Link.LISTENS,
        is_state=True,
        port=587,
        fault=in_master_cf(
            N_("the line of the submission service is a remark"),
            'sed -i -E "s/^($name[[:space:]]+(inet|pass)[[:space:]])/#\\1/" /etc/postfix/master.cf',
        ),
    ),
    Cause(
        "space-in-option",
        N_("Port 587 connects and says nothing; the log has “unexpected command-line argument”."),
        N_("A blank after a comma ends the value of -o; the rest is an argument of its own."),
        N_(
            "In /etc/postfix/master.cf write "
            "-o smtpd_client_restrictions=permit_sasl_authenticated,reject without a blank; "
            "{restart}"
        ),
        MASTER,
        space_in_option,
        link=Link.GREETS,
        is_state=True,
        port=587,
        fault=in_master_cf(
            N_("a blank after the comma in an -o line"),
            f'{_OWN}, reject"\n'
            f'sed -i -E "/^$name[[:space:]]+(inet|pass)[[:space:]]/a\\  $line" {MASTER_CF}',
        ),
    ),
    Cause(
        "chrooted-smtpd",
        N_("535 authentication failure, although user, password and sasldb are right."),
        N_("The submission service runs in a chroot, and in there is no sasldb."),
        "sudo postconf -F {service}/chroot=n; {restart}",
        "https://www.postfix.org/DEBUG_README.html#no_chroot",
        chrooted_smtpd,
        link=Link.LOGIN,
        arises=_can_be_chrooted,
        fault=Fault(
            N_("the submission service runs in a chroot"),
            Part((MASTER_CF,), f'postconf -F "$service/chroot=y"\n{AGED}{RELOAD}', after=RELOAD),
            arises=_can_be_chrooted,
        ),
    ),
    Cause(
        "map-type",
        N_("451 Temporary lookup failure; the log has “unsupported dictionary type”."),
        N_("main.cf names a type of table that this Postfix was not built with."),
        N_(
            "List the types with `postconf -m`, and write one of them before the colon "
            "(sudo postconf -e); {restart}"
        ),
        "https://www.postfix.org/DATABASE_README.html",
        map_type,
        link=Link.RESTRICTIONS,
        fault=in_main_cf(
            N_("main.cf names a type of table that Postfix does not know"),
            "virtual_alias_maps=sdbm:/etc/postfix/virtual",
        ),
    ),
)
