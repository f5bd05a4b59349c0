"""A report: green and red, and what to do about the red."""

from __future__ import annotations

from dataclasses import replace

from handson.course.check_report import Report
from handson.course.checks import Result

MANUAL = "https://www.postfix.org/postconf.5.html"
GOOD = Result("open", "Port 587 is open.", True, "now", MANUAL)
BAD = Result(
    id="mode",
    sentence="smtpd can read <sasldb>.",
    ok=False,
    kind="happened",
    manual=MANUAL,
    evidence="-rw-------\nroot",
    cause="mode",
    cure="chmod",
)


def test_passed_and_summary() -> None:
    assert Report("x", [GOOD]).passed
    assert not Report("x", [GOOD, BAD]).passed
    assert Report("x", [GOOD, BAD]).summary == "1 of 2 checks pass"


def test_text() -> None:
    assert Report("Port", [GOOD, BAD]).text().splitlines() == [
        "Port: 1 of 2 checks pass",
        "✔ Port 587 is open. (true now)",
        "✘ smtpd can read <sasldb>. (happened)",
        "    seen: -rw-------",
        "        root",
        "    likely cause: mode",
        "    what to do: chmod",
        f"    manual: {MANUAL}",
    ]


def test_html_shows_rows_links_and_cures() -> None:
    html = Report("Port", [GOOD, BAD]).html()
    assert html.count(f'href="{MANUAL}"') == 2
    assert 'class="row good"' in html
    assert 'class="row bad"' in html
    assert "<pre>-rw-------\nroot</pre>" in html
    assert "&lt;sasldb&gt;" in html


def test_what_passes_needs_no_cure() -> None:
    passing = replace(BAD, ok=True)
    assert "chmod" not in Report("x", [passing]).text()
    assert "chmod" not in Report("x", [passing]).html()


def test_only_web_addresses_become_links() -> None:
    html = Report("x", [replace(GOOD, manual="javascript:alert(1)")]).html()
    assert "href" not in html
    assert "javascript:alert(1)" in html


def test_id_of_the_cause_is_shown_small() -> None:
    known = replace(BAD, cause_id="sasldb-permission")
    assert (
        "✘ smtpd can read <sasldb>. (happened) [sasldb-permission]" in Report("x", [known]).text()
    )
    assert '<code class="quiet">sasldb-permission</code>' in Report("x", [known]).html()
    assert "sasldb-permission" not in Report("x", [replace(known, ok=True)]).html()


def test_what_does_not_apply_is_neither_good_nor_bad() -> None:
    away = replace(BAD, applies=False)
    report = Report("x", [GOOD, away])
    assert report.passed and Report("x", [away]).passed
    assert not Report("x", [away, BAD]).passed
    assert report.text().splitlines() == [
        "x: 1 of 1 checks pass, 1 do not apply here",
        "✔ Port 587 is open. (true now)",
        "– smtpd can read <sasldb>. (does not apply here)",
    ]
    html = report.html()
    assert '<div class="row quiet"><span class="mark">–</span>' in html
    assert 'class="row bad"' not in html and "chmod" not in html
    assert [check["applies"] for check in report.as_dict()["checks"]] == [True, False]
