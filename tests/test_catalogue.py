"""The page of all rules is complete: its catalogue is fresh and every rule it promises exists."""

from __future__ import annotations

import re
from pathlib import Path

from coordlint.report.catalogue import render_markdown
from coordlint.rule import index

PAGE = Path(__file__).parent.parent / "rules" / "README.md"


def test_the_catalogue_is_fresh() -> None:
    _, _, catalogue = PAGE.read_text(encoding="utf-8").partition("a test compares.\n\n")
    assert catalogue == render_markdown(index()), "run: coordlint rules --format markdown"


def test_every_claim_names_rules_that_exist() -> None:
    claims, _, _ = PAGE.read_text(encoding="utf-8").partition("## Catalogue")
    known = {entry.code for entry in index()}
    assert set(re.findall(r"[A-Z]{3}\d{3}", claims)) - known == set()
