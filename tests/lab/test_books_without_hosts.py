"""What the API says is what the hosts do, though a host is killed or removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import kill_and_compare
from looking import WORKER

pytestmark = pytest.mark.slow(minutes=2)


def test_books_and_packets_agree(tmp_path: Path) -> None:
    times = {"the host": 4, "the host, removed": 4}
    kill_and_compare(f"no-hosts{WORKER}", times, tmp_path / "home")
