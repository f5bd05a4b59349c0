"""The one place through which text for a learner goes on its way to another language.

Catalogues lie in `handson/locale/LANGUAGE/LC_MESSAGES/handson.mo`; the language is
chosen by the usual variables (`LANGUAGE`, `LC_ALL`, `LC_MESSAGES`, `LANG`). English is
the source and needs no catalogue.
"""

from __future__ import annotations

import gettext
from pathlib import Path

_ = gettext.translation("handson", Path(__file__).parent / "locale", fallback=True).gettext
