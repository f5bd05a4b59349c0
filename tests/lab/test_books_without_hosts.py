"""What the API says is what the hosts do, though the API or a host is killed fifteen times."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import kill_and_compare
from looking import WORKER

pytestmark = pytest.mark.slow


def test_books_and_packets_agree(tmp_path: Path) -> None:
    times = {"the API": 4, "the host": 5, "the host, politely": 3, "the host, removed": 3}
    assert sum(times.values()) == 15
    kill_and_compare(f"hostless{WORKER}", times, tmp_path / "home")
