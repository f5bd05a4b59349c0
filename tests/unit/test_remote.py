"""What runs on hosts and what pages look like are files: old enough, and brought along."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(ROOT.glob("handson/**/remote/*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_runs_on_every_host(path: Path) -> None:
    text = path.read_text()
    assert text.isascii()
    for node in ast.walk(ast.parse(text, feature_version=(3, 7))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names
            assert name != "__future__"  # it stands behind another program, where that is an error


def test_an_installed_package_has_all_files() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = tool["setuptools"]["package-data"]["handson"]
    brought = {path for pattern in patterns for path in ROOT.glob(f"handson/{pattern}")}
    there = {path for path in ROOT.glob("handson/**/*") if path.is_file() and path.suffix != ".py"}
    assert brought >= {path for path in there if path.suffix != ".pyc"}
    assert {path.suffix for path in brought} >= {".css", ".sh"}
