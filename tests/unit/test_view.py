"""Both faces of what a cell returns."""

from __future__ import annotations

import pytest

from handson.ui.terminal import plain
from handson.ui.view import STYLE, Diff, Note, Table, Terminal, View

EVIL = "<script>alert('x')</script>"
VIEWS = [
    Note(EVIL, "warn"),
    Table([EVIL], [[EVIL]], title=EVIL),
    Table(["a"], [], title=EVIL, empty=EVIL),
    Terminal(EVIL, EVIL, EVIL, 0, note=EVIL),
    Diff(EVIL, f"--- a\n+++ b\n@@ -1 +1 @@\n-{EVIL}\n+{EVIL}\n"),
    Diff(EVIL, "", unchanged=EVIL),
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_html_is_escaped(view: View) -> None:
    assert "<script" not in view.html()
    assert "&lt;script&gt;" in view.html()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_both_faces_are_in_the_bundle(view: View) -> None:
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == view.text() == str(view) == repr(view)
    assert bundle["text/html"] == f'{STYLE}<div class="ho">{view.html()}</div>'


def test_a_plain_view_shows_its_text() -> None:
    class Plain(View):
        def text(self) -> str:
            return "a < b"

    assert Plain().html() == "<pre>a &lt; b</pre>"


@pytest.mark.parametrize(
    ("tone", "text"), [("good", "✔ x"), ("bad", "✘ x"), ("warn", "! x"), ("quiet", "x"), ("", "x")]
)
def test_note(tone: str, text: str) -> None:
    assert Note("x", tone).text() == text


def test_note_refuses_an_unknown_tone() -> None:
    with pytest.raises(KeyError):
        Note("x", "loud").text()


def test_table_columns_line_up() -> None:
    table = Table(["port", "from"], [["22", "203.0.113.5/32"], ["587", "any"]])
    assert table.text() == ("port  from\n----  --------------\n22    203.0.113.5/32\n587   any")


def test_table_tones_colour_rows() -> None:
    assert '<tr class="bad"><td>1</td>' in Table(["n"], [["1"]], tones=["bad"]).html()


def test_table_refuses_a_row_of_another_length() -> None:
    with pytest.raises((IndexError, ValueError)):
        Table(["a", "b"], [["1"]]).text()


def test_empty_table() -> None:
    assert Table(["a"], [], title="Rules", empty="none").text() == "Rules\nnone"


def test_terminal() -> None:
    shown = Terminal("server", "true", "\n", 0, note="nothing to see")
    assert shown.text() == "[server]$ true\n# nothing to see"


def test_diff_leaves_out_the_file_names_in_html_only() -> None:
    diff = Diff("/etc/x", "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same\n")
    assert diff.text().startswith("--- a\n+++ b")
    assert "--- a" not in diff.html()
    assert '<span class="add">+new\n</span>' in diff.html()
    assert '<span class="del">-old\n</span>' in diff.html()


def test_the_style_outweighs_jupyters_and_is_one_line() -> None:
    assert STYLE.startswith("<style>div.ho.ho.ho{") and STYLE.endswith("}</style>")
    assert "div.ho " not in STYLE and "\n" not in STYLE


def test_what_a_host_printed_steers_no_terminal() -> None:
    words = "a\x1b[2J\u202eb\x9b\tc\nd"
    table = Table(["x"], [[words]])
    for view in (Terminal("server", "cat", words, 0), Note(words), table):
        for face in (str(view), repr(view), plain(view), view._repr_mimebundle_()["text/plain"]):
            assert not set("\x1b\u202e\x9b") & set(face) and "a?[2J?b?" in face
