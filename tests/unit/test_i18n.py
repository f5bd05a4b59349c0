"""Text for people is looked up when it is shown, and is never data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from handson import i18n
from handson.diagnosis.chain import CAUSES

PACKAGE = Path(i18n.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# The tables that are made at import and shown later.
TABLES = [path for path in FILES if path.parent.name == "diagnosis"]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"


def as_data(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the texts that are compared, sought, matched or taken as a key."""
    for node in ast.walk(tree):
        places: list[ast.expr | None] = []
        match node:
            case ast.Compare():
                places = [node.left, *node.comparators]
            case ast.Dict():
                places = [*node.keys]
            case ast.DictComp():
                places = [node.key]
            case ast.Subscript():
                places = [node.slice]
            case ast.MatchValue():
                places = [node.value]
        yield from (one for place in places if place for one in ast.walk(place) if is_text(one))


def at_import(nodes: Iterator[ast.AST]) -> Iterator[ast.AST]:
    """Yield the texts that are looked up while a module is imported."""
    for node in nodes:
        if is_text(node):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from at_import(ast.iter_child_nodes(node))


@pytest.mark.parametrize(
    "code",
    ["x == _('a')", "x in (_('a'), 'b')", "{_('a'): 1}", "{_(k): 1 for k in x}", "x[_('a')]"],
)
def test_text_as_data_is_seen(code: str) -> None:
    assert list(as_data(ast.parse(code)))


def test_text_is_never_data() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{one.lineno}"  # type: ignore[attr-defined]
        for path in FILES
        for one in as_data(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_no_table_looks_its_text_up_at_import(path: Path) -> None:
    assert list(at_import(iter(ast.parse(path.read_text()).body))) == []


def test_causes_and_faults_speak_the_language_of_the_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = SimpleNamespace(gettext=lambda text: f"«{text}»")
    monkeypatch.setattr(i18n, "_catalogue", lambda *_language: other)
    for one in CAUSES:
        shown = [one.seen, one.cause, *([one.fault.title] if one.fault else [])]
        assert all(text.startswith("«") and text.count("«") == 1 for text in shown), one.id


def test_the_language_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        i18n,
        "_catalogue",
        lambda *language: asked.append(language) or i18n.gettext.NullTranslations(),
    )
    for language in ("ja", "en"):
        monkeypatch.setenv("LANGUAGE", language)
        assert i18n._("text") == "text"
    assert [one[0] for one in asked] == ["ja", "en"]
