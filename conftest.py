"""With `pytest --nbval notebooks`: a fresh lab for the notebooks, taken down at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

SANITIZE = Path(__file__).parent / "tests" / "notebooks" / "sanitize.cfg"
LAB = "nbval"


def _compares_notebooks(config: pytest.Config) -> bool:
    options = config.option
    if options.collectonly or hasattr(config, "workerinput"):
        return False
    return bool(getattr(options, "nbval", False) or getattr(options, "nbval_lax", False))


def pytest_configure(config: pytest.Config) -> None:
    if not _compares_notebooks(config):
        return
    from handson.lab import Lab
    from handson.workspace import Workspace

    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(SANITIZE)
    config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, 180)
    config.option.nbval_current_env = (
        True  # this interpreter, whatever kernels a user has installed
    )
    # Later notebooks say nothing more once an earlier one has failed.
    config.option.maxfail = config.option.maxfail or 1
    os.environ.update(
        HANDSON_NAME=LAB,
        HANDSON_WORKSPACE=tempfile.mkdtemp(prefix="handson-nbval-"),
        HANDSON_HEADLESS="1",
        HANDSON_FAULT="chrooted-smtpd",
        AWS_EC2_METADATA_DISABLED="true",
    )
    Lab(LAB).up(Workspace().public_key, print)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not _compares_notebooks(config):
        return
    from handson.lab import Lab

    Lab(LAB).down()
    shutil.rmtree(os.environ["HANDSON_WORKSPACE"], ignore_errors=True)
