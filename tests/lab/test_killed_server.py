"""Killed at random moments of 00_start to 05_master_cf: see `killing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import assert_harmless

pytestmark = pytest.mark.slow(minutes=3)


def test_kills_do_no_harm(tmp_path: Path) -> None:
    assert_harmless("00_start", "05_master_cf", tmp_path)
