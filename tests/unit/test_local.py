"""This machine, asked as a host is asked."""

from __future__ import annotations

import sys

import pytest

from handson.hosts import local
from handson.hosts.local import Here


def test_the_python_that_runs_this_is_asked() -> None:
    status, output = Here().probe("python3 -", stdin="import sys; print(sys.executable)")
    assert (status, output.strip()) == (0, sys.executable)


def test_words_are_filled_in_and_kept_whole() -> None:
    assert Here().probe("echo {what}", what="a b; echo c") == (0, "a b; echo c\n")


def test_status_and_what_goes_wrong_are_told() -> None:
    status, output = Here().probe("python3 -", stdin="raise SystemExit('no “way”')")
    assert status == 1 and output == "no “way”\n"


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SECONDS", 0.2)
    assert Here().probe("python3 -", stdin="import time; time.sleep(9)") == (124, "")
