"""Runs one notebook with papermill, in a kernel of this very interpreter."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from handson.course.run.result import NotebookFailure, find_fault, own_cells, read_notebook
from handson.i18n import _
from handson.lab.temporary import own_folder

ATTEMPTS = 3
START_SECONDS = 60
LOG = "kernel.log"


def run_notebook(
    source: Path,
    target: Path,
    environment: Mapping[str, str],
    cell_seconds: int,
    on_cell: Callable[[], None] = lambda: None,
) -> NotebookFailure | None:
    """Run a notebook from its first cell to its last and return what went wrong, or None.

    `target` is where the executed notebook is written, after every cell; `environment`
    is added to the kernel's. A cell may take `cell_seconds`. `on_cell` is called after
    each code cell.
    """
    for attempt in range(1, ATTEMPTS + 1):
        # A folder with a short path: a socket's may have 107 characters (unix(7)).
        with own_folder("kernel") as folder:
            try:
                papermill.execute_notebook(
                    _literal(source),
                    _literal(target),
                    kernel_name="python3",
                    progress_bar=False,
                    cwd=str(source.parent),
                    start_timeout=START_SECONDS,
                    execution_timeout=cell_seconds,
                    kernel_manager_class=_manager(environment, folder),
                    on_cell_complete=lambda cell, cell_index: on_cell(),
                )
                break
            except PapermillExecutionError:
                break  # the notebook says it itself
            except CellTimeoutError:
                sentence = _("This cell took longer than {seconds} s.")
                return NotebookFailure(
                    _last_begun(target), "timeout", sentence.format(seconds=cell_seconds)
                )
            except (DeadKernelError, RuntimeError, OSError) as error:
                # A kernel that did not come up has run nothing: it may be tried again.
                cell = _last_begun(target)
                if cell or attempt == ATTEMPTS:
                    text = "\n".join([str(error), *_last_words(folder)])
                    return NotebookFailure(cell, "kernel", text)
                time.sleep(0.5)
    return find_fault(read_notebook(target))


def _literal(path: Path) -> str:
    # papermill fills in what stands in braces.
    return str(path.absolute()).replace("{", "{{").replace("}", "}}")


def _manager(environment: Mapping[str, str], folder: Path) -> type[AsyncKernelManager]:
    class OwnKernel(AsyncKernelManager):
        """Starts a kernel of the interpreter that runs this, with sockets of its own."""

        def __init__(self, **arguments: Any) -> None:
            # Sockets in a folder that only we may enter, not TCP ports: those others on the
            # machine can listen to, and kernels that start together may choose the same.
            super().__init__(
                transport="ipc", connection_file=str(folder / "kernel.json"), **arguments
            )

        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            # Without folders to look in, 'python3' is sys.executable; a kernel of that
            # name in somebody's home folder may be any Python.
            return KernelSpecManager(parent=self, kernel_dirs=[])

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            options["env"] = {**options.get("env", os.environ), **environment}
            with (folder / LOG).open("wb") as log:
                options |= {"stdout": log, "stderr": log}
                await super()._async_launch_kernel(kernel_cmd, **options)

    return OwnKernel


def _last_words(folder: Path) -> list[str]:
    """Return the last lines that a kernel itself, not a cell of it, has written."""
    try:
        return (folder / LOG).read_text(errors="replace").strip().splitlines()[-5:]
    except OSError:
        return []


def _last_begun(target: Path) -> int:
    """Return the place of the last cell that a kernel was given, or 0."""
    try:
        cells = own_cells(read_notebook(target))
    except (OSError, ValueError):
        return 0
    begun = [
        number
        for number, cell in enumerate(cells, start=1)
        if cell["cell_type"] == "code" and cell["metadata"].get("papermill", {}).get("start_time")
    ]
    return begun[-1] if begun else 0
