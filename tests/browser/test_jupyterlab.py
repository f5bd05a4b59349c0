"""The first notebook in a real browser: the form answers as one types, and nobody is called."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (make test installs it)"),
    # Playwright leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parents[2]
TOKEN = "browser-test"
# Without these, Chromium calls its maker's hosts at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab as `handson lab` starts it, on a copy of the first notebook's first cells."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "notebooks").mkdir()
    notebook = nbformat.read(ROOT / "notebooks" / "00_start.ipynb", as_version=4)
    wanted = [cell for cell in notebook.cells if cell.cell_type == "code"][:2]
    for cell in wanted:
        cell.outputs = []
    notebook.cells = wanted
    nbformat.write(notebook, folder / "notebooks" / "00_start.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = (
        "import sys; from pathlib import Path; from handson.cli import jupyter; "
        "from handson.workspace import Workspace; root, place, *more = sys.argv[1:]; "
        "sys.exit(jupyter.run(Path(root), Workspace('lab', Path(place)), more))"
    )
    options = [
        "--no-browser",
        f"--port={port}",
        "--ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", start, str(folder), str(folder / "workspace"), *options],
            stdout=log,
            stderr=log,
        )
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{base}/api?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                is_late = process.poll() is not None or time.monotonic() > deadline
                assert not is_late, (folder / "log").read_text()
                time.sleep(0.2)
        yield base
    finally:
        process.terminate()
        process.wait(60)


def test_the_form_answers_as_one_types_and_nobody_is_called(address: str) -> None:
    from playwright.sync_api import Route, expect, sync_playwright

    expect.set_options(timeout=60_000)
    called: list[str] = []

    def only_here(route: Route) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            called.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(60_000)
            page.route("**/*", only_here)
            page.goto(f"{address}/lab/tree/notebooks/00_start.ipynb?token={TOKEN}")
            page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
            page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
            page.locator(".lm-MenuBar-itemLabel").get_by_text("Run", exact=True).click()
            page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
            form = page.locator(".jp-OutputArea .widget-vbox").first
            expect(form).to_be_visible()
            domain = form.locator("input[type=text]:visible").first
            expect(domain).to_have_value("example.com")
            domain.fill("example.com; rm -rf /")
            expect(form).to_contain_text("is not a mail domain")
            domain.fill("example.org")
            expect(form).not_to_contain_text("is not a mail domain")
            # The sender follows the domain as long as it was derived from it.
            expect(form.locator("input[type=text]:visible").nth(2)).to_have_value(
                "hello@example.org"
            )
            expect(page.locator(".jp-OutputArea")).to_contain_text(["Start"])
        finally:
            browser.close()
    assert called == []
