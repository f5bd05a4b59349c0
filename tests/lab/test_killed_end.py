"""Killed at random moments of 09_harden to 10_teardown: see `killing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import assert_harmless

pytestmark = pytest.mark.slow(minutes=6)


def test_kills_do_no_harm(tmp_path: Path) -> None:
    assert_harmless("09_harden", "10_teardown", tmp_path)
