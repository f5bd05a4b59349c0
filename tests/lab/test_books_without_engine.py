"""What the API says is what the hosts do, though the engine or a firewall is interfered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import kill_and_compare
from looking import WORKER

pytestmark = pytest.mark.slow


def test_books_and_packets_agree(tmp_path: Path) -> None:
    times = {"the engine's service": 7, "its firewall": 3}
    kill_and_compare(f"no-engine{WORKER}", times, tmp_path / "home")
