"""What all drawings share: text of a known width, SVG elements with escaped text, heads of arrows."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from coordlint.report.xml import is_allowed
from coordlint.source import printable_char

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Verdana, sans-serif"
INK, SOFT, LINE, PAPER = "#1b1f24", "#57606a", "#6e7781", "#ffffff"
COMMAND, EVENT, UNDO, BAD = "#0b5cad", "#8a4b00", "#7a2fa0", "#b3261e"
FILLS = {
    "service": "#e3eefb",
    "external": "#ffffff",
    "workflow": "#ece4fa",
    "event": "#fdf0cf",
    "command": "#dff3e4",
    "query": "#f1faf3",
    "store": "#eceff2",
    "broker": "#f7e3ee",
    "context": "#fafbfc",
    "outside": "#ffffff",
    "step": "#e3eefb",
    "pivot": "#ffffff",
    "undo": "#f6ecfb",
    "point": "#eceff2",
}
"""Colours of things. Shapes differ too: nothing is told by colour alone."""


def shown(text: str) -> str:
    """Text on one line that can neither break a drawing nor turn it around."""
    return "".join(
        char if is_allowed(char) and printable_char(char) == char else printable_char(char)
        for char in " ".join(text.split())
    )


def escape(text: str) -> str:
    """Text for XML content and quoted attributes."""
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(char, entity)
    return text


def width(text: str, size: float) -> float:
    """The width of a text in pixels, after the widest of the usual system fonts (Verdana and DejaVu Sans)."""
    return size * sum(_advance(char) for char in text)


def clip(text: str, size: float, room: float) -> str:
    """The text, or its beginning with an ellipsis, so that it takes at most that many pixels."""
    text = shown(text)
    if width(text, size) <= room:
        return text
    used, kept = size, 0
    for char in text:
        used += size * _advance(char)
        if used > room:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return (
        f"{value:.1f}".removesuffix(".0").replace("-0", "0") if abs(value) < 0.05 else f"{value:.1f}".removesuffix(".0")
    )


def element(name: str, attributes: dict[str, object], content: str = "") -> str:
    """An element; attributes that are None are left out, numbers rounded, everything else escaped. Content is markup."""
    parts = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        text = number(value) if isinstance(value, int | float) else escape(str(value))
        parts.append(f'{key}="{text}"')
    head = " ".join(parts)
    return f"<{head}>{content}</{name}>" if content else f"<{head}/>"


def label(text: str, x: float, y: float, room: float, *, size: float = 12, **attributes: object) -> str:
    """A text of that size that is clipped to its room; what was cut is told when pointed at."""
    whole = shown(text)
    cut = clip(whole, size, room)
    title = element("title", {}, escape(whole[:300])) if cut != whole else ""
    names = _names(attributes)
    return element("text", {"x": x, "y": y, **names}, title + escape(cut))


class Pen:
    """Gathers lines, areas and words of one look, so that a drawing says each look once and stays small."""

    def __init__(self) -> None:
        self._strokes: dict[tuple[str, float, str | None], list[str]] = {}
        self._fills: dict[str, list[str]] = {}
        self._words: dict[tuple[float, str, str], list[str]] = {}

    def stroke(self, path: str, color: str, thick: float, dash: str | None) -> None:
        """A line."""
        self._strokes.setdefault((color, thick, dash), []).append(path)

    def fill(self, path: str, color: str) -> None:
        """An area."""
        self._fills.setdefault(color, []).append(path)

    def words(self, text: str, x: float, y: float, room: float, size: float, color: str, anchor: str) -> None:
        """A text with a rim of paper, clipped to its room."""
        self._words.setdefault((size, color, anchor), []).append(label(text, x, y, room, size=size))

    def drawn(self) -> list[str]:
        """Lines first, words last."""
        parts = []
        for (color, thick, dash), paths in self._strokes.items():
            parts.append(element("path", {
                "d": "".join(paths), "fill": "none", "stroke": color, "stroke-width": thick, "stroke-dasharray": dash,
            }))  # fmt: skip
        for color, paths in self._fills.items():
            parts.append(element("path", {"d": "".join(paths), "fill": color}))
        words = [
            element("g", {
                "font-size": size if size != 12 else None, "fill": color,
                "text-anchor": anchor if anchor != "start" else None,
            }, "".join(texts))
            for (size, color, anchor), texts in self._words.items()
        ]  # fmt: skip
        rim = {"stroke": PAPER, "stroke-width": 4, "paint-order": "stroke", "stroke-linejoin": "round"}
        return [*parts, element("g", rim, "".join(words))] if words else parts


def head(x: float, y: float, angle: float, *, filled: bool, size: float = 8) -> str:
    """The path of an arrow's head: a filled triangle for commands, an open angle for events."""
    points = []
    for turn in (math.radians(155), math.radians(-155)):
        points.append((x + size * math.cos(angle + turn), y + size * math.sin(angle + turn)))
    (ax, ay), (bx, by) = points
    close = "z" if filled else ""
    return f"M{number(ax)} {number(ay)}L{number(x)} {number(y)}L{number(bx)} {number(by)}{close}"


def alone(drawing: str) -> str:
    """A drawing of a page as a document of its own."""
    extra = f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{escape(FONT)}" '
    return drawing.replace("<svg ", extra, 1) + "\n" if drawing else '<svg xmlns="http://www.w3.org/2000/svg"/>\n'


def svg(wide: float, high: float, content: Iterable[str], *, title: str, about: str, **attributes: object) -> str:
    """A whole drawing, to stand inline in a page; see :func:`alone`."""
    names = _names(attributes)
    inner = element("title", {}, escape(shown(title)[:300])) + (
        element("desc", {}, escape(shown(about)[:600])) if about else ""
    )
    return element(
        "svg",
        {
            "viewBox": f"0 0 {number(wide)} {number(high)}",
            "width": round(wide),
            "height": round(high),
            "font-size": 12,
            "fill": INK,
            **names,
        },
        inner + "".join(content),
    )


def _names(attributes: dict[str, object]) -> dict[str, object]:
    return {key.replace("_", "-").removesuffix("-"): value for key, value in attributes.items()}


@lru_cache(maxsize=4096)
def _advance(char: str) -> float:
    if char in "iljI.,:;'|!`":
        return 0.36
    if char in 'ftr()[]-/ "*':
        return 0.44
    if char in "mwMW@%…":
        return 1.0
    if char.isascii():
        return 0.7 if char.isupper() else 0.645
    category = unicodedata.category(char)
    if category in {"Mn", "Me", "Cf"}:
        return 0.0
    if unicodedata.east_asian_width(char) in "WF" or category == "So":
        return 1.3
    return 0.85
