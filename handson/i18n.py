"""The one place through which text for a learner goes on its way to another language.

Catalogues lie in `handson/locale/LANGUAGE/LC_MESSAGES/handson.mo`; the language is
chosen by the usual variables (`LANGUAGE`, `LC_ALL`, `LC_MESSAGES`, `LANG`). English is
the source and needs no catalogue.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def _(text: str) -> str:
    """Return a text in the learner's language, as it is chosen at this moment."""
    return _catalogue(*map(os.environ.get, VARIABLES)).gettext(text)


@cache
def _catalogue(*_language: str | None) -> gettext.NullTranslations:
    return gettext.translation("handson", Path(__file__).parent / "locale", fallback=True)


def N_(text: str) -> str:
    """Mark a text of a table for the catalogues; who shows it passes it through `_()`."""
    return text
