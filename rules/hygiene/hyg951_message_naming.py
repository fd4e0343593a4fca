"""The name of a message does not tell whether it reports what has happened or asks for something.

## Why

An event is a fact and reads as one, noun and past participle: `OrderPlaced`. A command is a request, verb and noun: `PlaceOrder`. Where
the forms are mixed up, people treat requests as facts that nobody may refuse, and facts as requests that somebody will answer.

The rule knows regular participles (`…ed`) and the usual irregular ones; the word `Event` or `Command` at the end does not count. Off in
the default profile, as it knows no language but English.

## Bad

```coord strict
event ProcessPayment { order_id: uuid } # HYG951
service Payments {
  outbox
  emits ProcessPayment
}
service Mail {
  on ProcessPayment {
    notifies
    acts "mails the buyer"
  }
}
```

## Good

```coord strict
event PaymentProcessed { order_id: uuid }
service Payments {
  outbox
  emits PaymentProcessed
}
service Mail {
  on PaymentProcessed {
    notifies
    acts "mails the buyer"
  }
}
```

## Exempt

Messages that are `external`, that another format declares, or that carry `technical`; queries.

## Options

`event`, `command` (empty): regular expressions that the whole name has to match instead.

## References

- NServiceBus documentation, *Messages, events, and commands*: naming.
- A. Brandolini: Introducing EventStorming, Leanpub: events in the past tense.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Message

IRREGULAR = {
    verb: participle
    for verb, _, participle in (
        pair.partition(":")
        for pair in (
            "begin:begun break:broken bring:brought build:built buy:bought catch:caught choose:chosen cut:cut do:done draw:drawn "
            "drive:driven fall:fallen find:found freeze:frozen get:got give:given go:gone grow:grown hear:heard hit:hit hold:held "
            "keep:kept know:known lay:laid lead:led leave:left lend:lent lose:lost make:made mean:meant meet:met overdraw:overdrawn "
            "pay:paid put:put read:read reset:reset run:run see:seen sell:sold send:sent set:set show:shown shut:shut split:split "
            "spend:spent stand:stood steal:stolen take:taken teach:taught tell:told think:thought throw:thrown understand:understood "
            "undo:undone win:won withdraw:withdrawn write:written"
        ).split()
    )
}
"""Irregular verbs and their past participles."""

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_ROLE = frozenset({"event", "events", "command", "message"})


@rule("HYG951", "message-naming", "–/H/H", evidence="O", options={"event": "", "command": ""})
def check(design: Design) -> Iterator[Finding]:
    """One finding per event or command, by name."""
    patterns = {kind: check.option(design, kind) for kind in ("event", "command")}
    for message in design.system.messages.values():
        if message.kind == "query" or _is_foreign(message):
            continue
        pattern = patterns[message.kind]
        if pattern:
            if not re.fullmatch(pattern, message.name):
                yield _finding(message, f"does not match `{pattern}`", "rename it, or change the option of this rule")
        elif message.kind == "event" and not any(map(_is_participle, _words(message))):
            yield _finding(message, "does not read as something that has happened", _as_event(message))
        elif message.kind == "command" and _reads_as_event(message):
            yield _finding(message, "reads as something that has happened", "name it verb first: `PlaceOrder`")


def _is_foreign(message: Message) -> bool:
    if message.visibility == "external" or message.fact("technical").declared:
        return True
    return not message.place.source.path.endswith(".coord") and "." in message.place.source.path.rsplit("/", 1)[-1]


def _words(message: Message) -> list[str]:
    words = _WORDS.findall(message.name.rsplit(".", 1)[-1])
    while len(words) > 1 and words[-1].casefold() in _ROLE:
        words.pop()
    return words


def _reads_as_event(message: Message) -> bool:
    """Noun and participle; `MarkAsPaid` is a request all the same."""
    words = _words(message)
    return len(words) > 1 and _is_participle(words[-1]) and words[-2].casefold() != "as"


def _is_participle(word: str) -> bool:
    word = word.casefold()
    return (len(word) > 3 and word.endswith("ed") and not word.endswith("eed")) or word in IRREGULAR.values()


def _as_event(message: Message) -> str:
    """A proposal: the first word as participle behind the others."""
    words = _words(message)
    if len(words) < 2:
        return "name it noun and past participle: `OrderPlaced`"
    verb = words[0].casefold()
    participle = IRREGULAR.get(verb, "")
    if not participle:
        participle = verb + ("d" if verb.endswith("e") else "ed")
        if re.search(r"[^aeiou]y$", verb):
            participle = f"{verb[:-1]}ied"
    return f"name it noun and past participle, perhaps `{''.join(words[1:])}{participle.capitalize()}`"


def _finding(message: Message, what: str, help: str) -> Finding:
    return Finding(
        primary=Label(message.place),
        message=f"{message.kind} `{message.name}` {what}",
        help=help,
        silence="the options `event` and `command` of this rule",
        subject=f"{message.kind} {message.name}",
    )
