"""What the API says is what the hosts do, though the network of a host is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from books import kill_and_compare
from looking import WORKER

pytestmark = pytest.mark.slow


def test_books_and_packets_agree(tmp_path: Path) -> None:
    times = {"its interface": 5}
    kill_and_compare(f"no-network{WORKER}", times, tmp_path / "home")
