"""The parse tables of the grammar: loaded from the user's cache, made by Lark (and kept there) when they are not.

Making them takes about a quarter of a second, which is more than the rest of a check on a small design.
"""

from __future__ import annotations

import hashlib
import marshal
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from coordlint import __version__, cache
from coordlint.lalr import Rule, Tables, tables_of

if TYPE_CHECKING:
    from lark import Lark


def load() -> Tables:
    """The tables.

    A cached file that is missing, truncated or of another version is replaced without a word; a folder that cannot be
    written to only costs the time of making them.
    """
    text = grammar_text()
    base = cache.folder()
    if base is None:
        return tables_of(build(text))
    key = hashlib.sha256(f"{__version__}{text}".encode()).hexdigest()[:16]
    path = os.path.join(base, f"grammar-{key}-{marshal.version}.bin")
    try:
        with open(path, "rb") as file:
            data = cache.unsealed(file.read())
        if data is not None:
            steps, rules, *rest = marshal.loads(data)
            return Tables(steps, [Rule(*rule) for rule in rules], *rest)
    except (OSError, ValueError, EOFError, TypeError):
        pass
    made = tables_of(build(text))
    scratch = f"{path}.{os.getpid()}"
    try:
        os.makedirs(base, exist_ok=True)
        with open(scratch, "wb") as file:
            file.write(cache.sealed(marshal.dumps((made.steps, [tuple(rule) for rule in made.rules], *made[2:]))))
        os.replace(scratch, path)
    except OSError:
        pass
    return made


def build(text: str | None = None) -> Lark:
    """Lark's own parser of the grammar, from which the tables come."""
    from lark import Lark

    return Lark(text or grammar_text(), parser="lalr", maybe_placeholders=False, keep_all_tokens=True)


def grammar_text() -> str:
    """The text of ``grammar/coord.lark``."""
    folder = import_module("coordlint.grammar").__path__[0]  # type checkers cannot follow it in a checkout
    return (Path(folder) / "coord.lark").read_text(encoding="utf-8")
