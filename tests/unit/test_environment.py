"""What conda installs is what pip installs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


@pytest.fixture(scope="module")
def dependencies() -> list[Any]:
    found: list[Any] = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return found


def test_the_packages_are_the_same(project: dict[str, Any], dependencies: list[Any]) -> None:
    (nested,) = [item["pip"] for item in dependencies if isinstance(item, dict)]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["dev"], "-e ."}
    assert sorted(nested) == sorted(wanted)


def test_the_python_is_the_same(project: dict[str, Any], dependencies: list[Any]) -> None:
    assert f"python{project['requires-python']}" in dependencies
    assert "pip" in dependencies
