"""Facts go over the connection that is there, quoted; a refusal is no fact."""

from __future__ import annotations

import pytest
from recorded import Recorded, as_root

from handson.errors import CommandFailed


def test_a_file_that_is_there_or_not() -> None:
    facts = Recorded({as_root("test -e /a"): "", as_root("test -e /b"): (1, "")}).facts
    assert facts.file("/a").exists
    assert not facts.file("/b").exists


def test_a_path_is_quoted() -> None:
    path = "/a; rm -rf {x} '"
    quoted = """'/a; rm -rf {x} '"'"''"""
    assert not Recorded({as_root(f"test -e {quoted}"): (1, "")}).facts.file(path).exists


def test_refused_sudo_is_not_a_missing_file() -> None:
    refused = (1, "sudo: a password is required\n")
    with pytest.raises(CommandFailed, match="a password is required"):
        _ = Recorded({as_root("test -e /a"): refused}).facts.file("/a").exists


def test_refused_sudo_is_not_a_missing_program() -> None:
    refused = (1, "sudo: a password is required\n")
    with pytest.raises(CommandFailed, match="a password is required"):
        Recorded({as_root("command -v command"): refused}).facts.find_command("saslpasswd2")


def test_what_cannot_be_read_is_told_with_the_command() -> None:
    missing = (1, "stat: cannot statx '/a': No such file or directory\n")
    facts = Recorded({as_root("stat -Lc %a /a"): missing}).facts
    with pytest.raises(CommandFailed, match="No such file") as raised:
        _ = facts.file("/a").mode
    assert "stat -Lc %a /a" in str(raised.value)


def test_a_folder_in_a_files_place_is_told_in_the_hosts_words() -> None:
    folder = (1, "cat: /a: Is a directory\n")
    facts = Recorded({as_root("cat -- /a"): folder, as_root("cat -- /b"): "text\n"}).facts
    assert facts.text("/b") == "text\n"
    with pytest.raises(CommandFailed, match="Is a directory"):
        facts.text("/a")
