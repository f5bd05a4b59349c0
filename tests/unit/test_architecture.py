"""The tree that docs/architecture.md draws is the tree that is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
# Described as a whole.
WHOLE = ("handson/cli/", "handson/cloud/")


def drawn() -> set[str]:
    """Return the paths in the tree, each folder with a slash at its end."""
    tree = TEXT.partition("```text\nhandson/\n")[2].partition("```")[0]
    found, folders = set(), ["handson/"]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        path = "".join(folders[:depth]) + name
        folders[depth:] = [name] if name.endswith("/") else []
        found.add(path)
    return found


def there() -> set[str]:
    """Return the modules of the package and the folders that hold some."""
    modules = {path.relative_to(ROOT) for path in (ROOT / "handson").rglob("*.py")}
    files = {str(path) for path in modules if path.name != "__init__.py"}
    folders = {f"{path.parent}/" for path in modules} - {"handson/"}
    return {path for path in files | folders if path in WHOLE or not path.startswith(WHOLE)}


def test_each_package_and_module_is_drawn_and_no_other() -> None:
    assert drawn() == there()


def test_the_floors_are_those_that_are_held() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = options["tool"]["importlinter"]["contracts"]
    assert all(f"| {contract['name']} |" in TEXT for contract in contracts)
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    held = re.findall(r"handson\.(\w+)", " ".join(layers))
    picture = TEXT.partition("## Eight floors")[2].partition("A floor may use")[0]
    named = [word for line in picture.splitlines() for word in re.findall(r"\b[a-z0-9]\w+\b", line)]
    assert [word for word in named if word in held] == held
