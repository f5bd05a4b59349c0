"""Runs one notebook with papermill, in a kernel of this very interpreter."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from handson.i18n import _
from handson.record import Fault, find_fault, own_cells

ATTEMPTS = 3
START_SECONDS = 60


def run_notebook(
    source: Path,
    target: Path,
    environment: Mapping[str, str],
    cell_seconds: int,
    on_cell: Callable[[], None] = lambda: None,
) -> Fault | None:
    """Run a notebook from its first cell to its last and return what went wrong, or None.

    `target` is where the executed notebook is written, after every cell; `environment`
    is added to the kernel's. A cell may take `cell_seconds`. `on_cell` is called after
    each code cell.
    """
    for attempt in range(ATTEMPTS):
        try:
            papermill.execute_notebook(
                str(source),
                str(target),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(source.parent),
                start_timeout=START_SECONDS,
                execution_timeout=cell_seconds,
                kernel_manager_class=_manager(environment),
                on_cell_complete=lambda cell, cell_index: on_cell(),
            )
        except PapermillExecutionError:
            break  # the notebook says it itself
        except CellTimeoutError:
            return Fault(
                _last_begun(target),
                _("timeout"),
                _("This cell took longer than {seconds} s.").format(seconds=cell_seconds),
            )
        except DeadKernelError:
            return Fault(_last_begun(target), _("kernel"), _("The kernel died in this cell."))
        except (RuntimeError, OSError) as error:
            # Kernels that start at the same time may choose the same ports; the one that
            # came late dies before it has run anything.
            if attempt == ATTEMPTS - 1 or _last_begun(target):
                return Fault(_last_begun(target), _("kernel"), str(error))
            time.sleep(0.5)
        else:
            break
    return find_fault(nbformat.read(target, as_version=4))


def _manager(environment: Mapping[str, str]) -> type[AsyncKernelManager]:
    class OwnKernel(AsyncKernelManager):  # type: ignore[misc]
        """Starts kernels of the interpreter that runs this."""

        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            # Without folders to look in, 'python3' is sys.executable; a kernel of that
            # name in somebody's home folder may be any Python.
            return KernelSpecManager(parent=self, kernel_dirs=[])

        async def _async_pre_start_kernel(self, **arguments: Any) -> Any:
            arguments["env"] = {**os.environ, **environment}
            return await super()._async_pre_start_kernel(**arguments)

        pre_start_kernel = _async_pre_start_kernel

    return OwnKernel


def _last_begun(target: Path) -> int:
    """Return the place of the last cell that a kernel was given, or 0."""
    try:
        cells = own_cells(nbformat.read(target, as_version=4))
    except (OSError, ValueError):
        return 0
    begun = [
        number
        for number, cell in enumerate(cells, start=1)
        if cell["cell_type"] == "code"
        and cell["metadata"].get("papermill", {}).get("status", "pending") != "pending"
    ]
    return begun[-1] if begun else 0


# An event loop that papermill leaves open would warn when Python ends.
def close_loop() -> None:
    """Close the event loop in which notebooks were run."""
    loop = asyncio.get_event_loop_policy()._local._loop  # type: ignore[attr-defined]
    if loop and not loop.is_running():
        loop.close()
