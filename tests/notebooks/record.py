"""Run the notebooks on a fresh lab and keep their outputs: what nbval compares later runs with.

python tests/notebooks/record.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from handson.course.outline import steps
from handson.lab.lab import Lab
from handson.workspace import Workspace

STEPS = steps()

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAME = f"record-{os.getpid()}"


def record(path: Path) -> None:
    """Run one notebook and write it back with its outputs and nothing else that changes."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=180,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            # A view of a widget leads nowhere once its kernel is gone.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, path)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(
            HANDSON_NAME=NAME,
            HANDSON_WORKSPACE=folder,
            HANDSON_HEADLESS="1",
            HANDSON_FAULT="chrooted-smtpd",
        )
        lab = Lab(NAME)
        lab.up(Workspace().public_key, print)
        try:
            for step in STEPS:
                record(NOTEBOOKS / f"{step.slug}.ipynb")
                print(f"recorded {step.slug}")
        finally:
            lab.down(print)
    return 0


if __name__ == "__main__":
    sys.exit(main())
