"""Words in braces: filled in from what the course knows, and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from handson.errors import HandsonError, InvalidInput
from handson.hosts.host import Host, fill
from handson.hosts.systems import DEBIAN_12
from handson.secret import Secret

WORDS = {"user": "joe", "files": ("a b", "c"), "password": Secret("tr0ub4dor")}


def test_words_are_filled_in_and_quoted() -> None:
    assert (
        fill("ls {files}; id {user}; awk '{{print}}'", WORDS) == "ls 'a b' c; id joe; awk '{print}'"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("{a.b}", "{user.__class__}", "{user[0]}", "{files[0]}", "{0}", "{}", "{print $1}"),
        *("{user }", "{password}", "{password._value}"),
    ],
)
def test_a_word_is_a_name_and_no_way_into_its_value(text: str) -> None:
    with pytest.raises(HandsonError) as refused:
        fill(f"echo {text}", WORDS)
    assert refused.value.cure and "tr0ub4dor" not in str(refused.value)


@pytest.mark.parametrize("text", ["echo }", "awk '{print", "{", "{user:{user:{user}}}", "{user!}"])
def test_braces_that_do_not_go_together(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        fill(text, WORDS)
    assert "{{" in refused.value.cure


class Recorder(Host):
    def __init__(self) -> None:
        super().__init__("client", lambda: None, {"user": "joe"})  # type: ignore[arg-type,return-value]
        self._system = DEBIAN_12
        self.sent: list[tuple[str, Any]] = []

    def _send(self, line: str, stdin: str | Secret = "") -> tuple[int, str]:
        self.sent.append((line, stdin))
        return 0, "{user} {password} }{"


def test_what_a_host_printed_is_no_template() -> None:
    host = Recorder()
    printed = host.read("cat certificate")
    shown = host.write("~/certificate", printed)
    assert host.sent[-1][1] == printed == "{user} {password} }{"
    assert "{user}" in shown.text()
    host.read("echo {text}", text=printed)
    assert host.sent[-1][0] == "echo '{user} {password} }{'"
    host.write("~/name", "{user}")
    assert host.sent[-1][1] == "joe"
