"""What the API says is what the hosts do, though its engine or a network is killed 15 times."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import kill_and_compare
from looking import WORKER

pytestmark = pytest.mark.slow


def test_books_and_packets_agree(tmp_path: Path) -> None:
    times = {"the engine's service": 7, "its interface": 5, "its firewall": 3}
    assert sum(times.values()) == 15
    kill_and_compare(f"engineless{WORKER}", times, tmp_path / "home")
