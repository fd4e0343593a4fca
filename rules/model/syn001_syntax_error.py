"""Text that the language has no reading for.

## Why

What cannot be read cannot be checked. Every syntax error of a file is reported in one run, at the word where the reader
stumbled and with what it expected there. The declarations around it are kept and checked, so findings of other rules may be
missing, or be consequences, until the text is mended.

## Bad

```coord
service Orders {
  replicas three # SYN001
}
```

## Good

```coord
service Orders {
  replicas 3
}
```

## References

- The language reference in `grammar/README.md` lists every construct with an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("SYN001", "syntax-error", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Hand on what the parser reported."""
    return problems(design, "SYN001")
