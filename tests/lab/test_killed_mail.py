"""Killed at random moments of 06_mailx_test to 08_break_it: see `killing`."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import assert_harmless

pytestmark = pytest.mark.slow(minutes=4)


def test_kills_do_no_harm(tmp_path: Path) -> None:
    assert_harmless("06_mailx_test", "08_break_it", tmp_path)
