"""The parse tables of the grammar: loaded from the user's cache, built (and kept there) when they are not.

Building them takes about a quarter of a second, which is more than the rest of a check on a small design.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from coordlint import cache

if TYPE_CHECKING:
    from lark import Lark


def load(builder: object) -> Lark:
    """The parser with ``builder`` as its callbacks.

    A cached file that is missing, truncated or of another version is replaced without a word; a folder that cannot be
    written only costs the time of building.
    """
    from lark import Lark, __version__

    text = grammar_text()
    base = cache.folder()
    options = {"parser": "lalr", "maybe_placeholders": False, "keep_all_tokens": True, "transformer": builder}
    if base is None:
        return Lark(text, **options)
    key = hashlib.sha256(f"{text}{__version__}{sys.version_info}".encode()).hexdigest()[:16]
    folder = Path(base)
    path = folder / f"grammar-{key}.bin"
    if path.exists():
        return Lark(text, cache=str(path), **options)
    scratch = folder / f"grammar-{key}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lark = Lark(text, cache=str(scratch), **options)
        scratch.replace(path)
    except OSError:
        return Lark(text, **options)
    return lark


def grammar_text() -> str:
    """The text of ``grammar/coord.lark``."""
    return resources.files("coordlint.grammar").joinpath("coord.lark").read_text(encoding="utf-8")
