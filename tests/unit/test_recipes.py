"""The recipes of CONTRIBUTING.md, followed on a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("handson", "tests/support", "tests/unit", "notebooks", "pyproject.toml", "conftest.py")
# "In `a.py`, after the line `    x,`:" or "Create `a.py` …:", and the block that follows.
EDIT = re.compile(
    r"^(?:In|Create) `(?P<path>[^`]+)`(?:, (?P<where>after|before) the line `(?P<line>[^`]+)`)?"
    r"[^`\n]*:\n\n```\w+\n(?P<block>.*?\n)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Checkout:
    """A copy of the repository in which a recipe was followed."""

    path: Path
    edited: list[str]

    def run(self, *words: str) -> str:
        """Run a program of this Python there, which has to succeed; return what it printed."""
        answer = subprocess.run(
            [sys.executable, *words],
            cwd=self.path,
            # Without pytest's plugins, of which nbval alone takes two seconds to load.
            env={**os.environ, "PYTHONPATH": str(self.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        said = answer.stdout + answer.stderr
        assert answer.returncode == 0, said
        return said

    def pytest(self, *files: str) -> None:
        """Run unit tests there; they have to pass."""
        paths = [f"tests/unit/{file}" for file in files]
        self.run("-m", "pytest", "-q", "-o", "addopts=--import-mode=importlib", *paths)

    def lint(self) -> None:
        """The recipe's code is as `make lint` wants it."""
        python = [path for path in self.edited if path.endswith(".py")]
        self.run("-m", "ruff", "check", "--no-cache", *python)
        self.run("-m", "ruff", "format", "--no-cache", "--check", *python)


def follow(title: str, folder: Path) -> Checkout:
    """Copy the repository and make there each change that the recipe names."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    recipe = re.split(r"^## ", text.partition(f"## Recipe: {title}\n")[2], flags=re.MULTILINE)[0]
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    edits = list(EDIT.finditer(recipe))
    assert len(edits) == recipe.count("\n```") // 2 > 0, "a block that no sentence leads to"
    for edit in edits:
        path, block = folder / edit["path"], edit["block"]
        if edit["where"] is None:
            assert not path.exists()
            path.write_text(block)
            continue
        before, line, after = path.read_text().partition(f"\n{edit['line']}\n")
        assert line and line not in after, f"{edit['line']!r} is not one line of {edit['path']}"
        parts = (line[1:], block) if edit["where"] == "after" else (block, line[1:])
        path.write_text(f"{before}\n{parts[0]}{parts[1]}{after}")
    return Checkout(folder, sorted({edit["path"] for edit in edits}))


STEP = r"""
import re
import sys
from pathlib import Path
from handson.course import outline, progress
from handson.workspace import Workspace

home = Workspace("meadow", Path(sys.argv[1]))
for text in ("9b", "09b", "dkim", "09b_dkim"):
    assert outline.find(text).slug == "09b_dkim", text
assert outline.find("9").slug == "09_harden"
assert outline.find("10").slug == "10_teardown"
slugs = [step.slug for step in outline.steps()]
assert slugs[-3:] == ["09_harden", "09b_dkim", "10_teardown"], slugs
assert progress.recorded(home)["09b_dkim"] == "open"
step = outline.find("9b")(home, lambda step, seconds: dict.fromkeys(slugs, "open"))
print(step.header.text())
dots = re.findall(r'"dot">(\w+)<', step.header.html())
assert dots[-3:] == ["9", "9b", "10"], dots
print(*[rule.id for rule in step.rules])
"""


@pytest.mark.slow
def test_add_a_step(tmp_path: Path) -> None:
    checkout = follow("add a step", tmp_path / "copy")
    said = checkout.run("-c", STEP, str(tmp_path / "home"))
    assert "Step 9b: DKIM" in said
    assert said.splitlines()[-1] == "mail-is-signed"
    written = json.loads((checkout.path / "notebooks" / "09b_dkim.ipynb").read_text())
    nbformat.validate(written)
    checkout.lint()
    checkout.pytest("test_course.py", "test_checks.py", "test_console.py")


@pytest.mark.slow
def test_add_a_cause_with_its_fault(tmp_path: Path) -> None:
    checkout = follow("add a cause with its fault", tmp_path)
    checkout.lint()
    checkout.pytest("test_diagnosis.py", "test_faults.py", "test_checks.py")
    row = tmp_path / "tests" / "unit" / "test_diagnosis.py"
    row.write_text(row.read_text().replace('"sender-not-owned"', '"sender-not-named"'))
    with pytest.raises(AssertionError, match="1 failed"):
        checkout.pytest("test_diagnosis.py::test_each_cause_has_a_row")


def test_add_a_system(tmp_path: Path) -> None:
    checkout = follow("add a system", tmp_path)
    checkout.lint()
    checkout.pytest("test_systems.py")
