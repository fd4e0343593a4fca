"""What the XML formats share: text that no design can break out of."""

from __future__ import annotations

from coordlint.source import printable_char

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def escape(text: str) -> str:
    """The text for an attribute or an element; what cannot be printed, or not be in XML, becomes an escape such as `\\x00`."""
    return "".join(_ESCAPES.get(char) or printable_char(char) for char in text)


def tag(name: str, /, **attributes: object) -> str:
    """The inside of a start tag."""
    return " ".join((name, *(f'{key}="{escape(str(value))}"' for key, value in attributes.items())))


def is_allowed(char: str) -> bool:
    """Whether XML 1.0 can hold the character."""
    return " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
