"""JupyterLab on the course's notebooks, kept from calling anybody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from handson.lab.temporary import own_folder
from handson.workspace import Workspace

FIRST = "notebooks/00_start.ipynb"
# The page itself would ask for news, for a newer JupyterLab, and for a list of extensions.
PAGE = {
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension": True,
    }
}


def command(root: Path, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that starts JupyterLab on the first notebook."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{FIRST}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=",
        # Its address is told all the same.
        "--Application.log_level=WARN",
        # Ctrl-C ends it at once; notebooks are saved as one goes.
        "--ServerApp.answer_yes=True",
        *(["--ServerApp.allow_root=True"] if os.geteuid() == 0 else []),
        *arguments,
    ]


def environment(workspace: Workspace, settings: Path) -> dict[str, str]:
    """Return the environment for JupyterLab; `settings` is a folder of its configuration."""
    known = os.environ
    path = [str(settings), *filter(None, [known.get("JUPYTER_CONFIG_PATH")])]
    return {
        **known,
        "HANDSON_NAME": workspace.name,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path),
        # This environment's kernel comes before one of the same name in the home folder.
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def trust(notebooks: Sequence[Path]) -> None:
    """Let JupyterLab show the HTML that the course's notebooks were saved with."""
    from nbformat.sign import NotebookNotary

    from handson.course.run.result import read_notebook

    notary = NotebookNotary()  # type: ignore[no-untyped-call]
    try:
        for path in notebooks:
            notary.sign(read_notebook(path))  # type: ignore[no-untyped-call]
    finally:
        notary.store.close()


def run(root: Path, workspace: Workspace, arguments: Sequence[str] = ()) -> int:
    """Run JupyterLab until it is ended, and return its status."""
    trust(sorted((root / "notebooks").glob("*.ipynb")))
    with own_folder("jupyter") as folder:
        page = folder / "labconfig" / "page_config.json"
        page.parent.mkdir()
        page.write_text(json.dumps(PAGE))
        process = subprocess.Popen(
            command(root, arguments), env=environment(workspace, folder), cwd=root
        )
        # Ctrl-C reaches JupyterLab by itself; a SIGTERM is meant for it too.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
            signal.SIGHUP: signal.signal(signal.SIGHUP, lambda *_: process.terminate()),
        }
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
