from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest
from recorded import Recorded, as_root

from handson.errors import HandsonError
from handson.hosts.host import fill
from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12
from handson.mail.sasl import Database, Sasl, read_configuration, read_users

THERE = ""
MISSING = (1, "")


def test_users_as_recorded() -> None:
    output = "odd@example.com: userPassword\nsmtp-auth@example.com: userPassword\n"
    assert read_users(output) == ["odd@example.com", "smtp-auth@example.com"]


def test_user_with_two_properties_counts_once() -> None:
    text = "a@b.example: userPassword\na@b.example: cmusaslsecretOTP\n"
    assert read_users(text) == ["a@b.example"]


@pytest.mark.parametrize("output", ["", "listusers failed\n"])
def test_no_users(output: str) -> None:
    assert read_users(output) == []


def test_users_of_the_system_s_own_database() -> None:
    runner = Recorded(
        {
            as_root("test -e /etc/sasl2/sasldb2"): THERE,
            "sudo -n sasldblistusers2 -f /etc/sasl2/sasldb2": "a@example.com: userPassword",
        }
    )
    assert Sasl(runner, AMAZON_LINUX_2023).users() == ["a@example.com"]


def test_no_database_no_users() -> None:
    sasl = Sasl(Recorded({as_root("test -e /etc/sasldb2"): MISSING}), DEBIAN_12)
    assert sasl.users() == []
    assert not sasl.database_file().exists


def test_configuration_as_libsasl_reads_it() -> None:
    text = (
        "# a comment\n\n"
        "pwcheck_method: auxprop\n"
        "  Mech_List:   PLAIN LOGIN  \n"
        "log_level:7\n"
        "mech_list: CRAM-MD5\n"
    )
    assert read_configuration(text) == {
        "pwcheck_method": "auxprop",
        "mech_list": "PLAIN LOGIN",
        "log_level": "7",
    }


def test_slashes_are_no_comment() -> None:
    assert read_configuration("mech_list: PLAIN //plain")["mech_list"] == "PLAIN //plain"


@pytest.mark.parametrize("line", ["pwcheck_method = auxprop", "// comment", "mech_list:", "a b: c"])
def test_line_that_libsasl_refuses(line: str) -> None:
    with pytest.raises(HandsonError) as raised:
        read_configuration(f"log_level: 7\n{line}\n")
    assert raised.value.what == f"Line 2 of smtpd.conf cannot be read: {line}"
    assert "colon" in raised.value.cure


def test_configuration_of_a_host() -> None:
    path = "/etc/postfix/sasl/smtpd.conf"
    sasl = Sasl(Recorded({as_root(f"test -e {path}"): MISSING}), DEBIAN_12)
    assert sasl.configuration() == {}
    runner = Recorded(
        {as_root(f"test -e {path}"): THERE, as_root(f"cat -- {path}"): "mech_list: PLAIN"}
    )
    assert Sasl(runner, DEBIAN_12).configuration() == {"mech_list": "PLAIN"}


def test_the_database_as_a_file() -> None:
    runner = Recorded(
        {
            as_root("test -e /etc/sasldb2"): THERE,
            as_root("stat -Lc %U /etc/sasldb2"): "root\n",
            as_root("stat -Lc %G /etc/sasldb2"): "postfix\n",
            as_root("stat -Lc %a /etc/sasldb2"): "640\n",
        }
    )
    file = Sasl(runner, DEBIAN_12).database_file()
    assert file == Database("/etc/sasldb2", "root", "postfix", 0o640)
    assert file.exists and not file.is_world_readable
    assert file.ownership == "root:postfix 0640"
    assert Database("/etc/sasldb2", "root", "root", 0o644).is_world_readable


def test_database_at_another_path() -> None:
    runner = Recorded({as_root("test -e /srv/sasldb2"): MISSING})
    assert Sasl(runner, DEBIAN_12, "/srv/sasldb2").database_file() == Database("/srv/sasldb2")


@pytest.mark.parametrize("user", ["smtp-auth", "a", "ab.", "x" * 32])
def test_the_notebook_finds_the_record_of_any_user(tmp_path: Path, user: str) -> None:
    database = tmp_path / "sasldb2"
    database.write_bytes(b"\0\3ab\0\1abX\0tr0ub4dor\0%b\0example.com\0\2" % user.encode())
    notebook = Path(__file__).parents[2] / "notebooks" / "03_sasldb.ipynb"
    sources = ["".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"]]
    [source] = [one for one in sources if one.startswith("server.run(") and "tr -c" in one]
    command = ast.literal_eval(source.removeprefix("server.run")).removeprefix("sudo ")
    line = fill(command, {"sasldb": str(database), "user": user})
    shown = subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["tr0ub4dor", user, "example.com"]
