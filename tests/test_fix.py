"""Fixes: which are applied, when they are not, and what the files are like afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from project import CLEAN, MISSPELT, UNRESOLVED, Program, read, write

from coordlint.check import Result
from coordlint.finding import Finding, Fix, Label, Severity
from coordlint.fix import ROUNDS, Fixed, apply_fixes
from coordlint.format import format_source
from coordlint.rule import Entry, Example, document, find, index
from coordlint.run import Request, run
from coordlint.source import Edit, Source, Span

# ------------------------------------------------------------------------------------------------ what the user sees


def test_safe_fixes_are_announced_and_applied(coordlint: Program):
    write("a.coord", UNRESOLVED)
    said = coordlint("check")
    assert said.code == 1
    assert ". 1 fixable with --fix\n" in said.out
    said = coordlint("check", "--fix")
    assert (said.code, said.err) == (0, "coordlint: applied 1 fix in 1 file\n")
    assert "no findings" in said.out
    assert read("a.coord") == CLEAN
    said = coordlint("check", "--fix", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_unsafe_fixes_are_announced_but_applied_only_on_demand(coordlint: Program):
    [bad, *_] = document(find("CON704")).bad
    options = ("--profile", bad.profile, "--select", "CON704")
    write("a.coord", bad.text)
    text = coordlint("check", *options).out
    assert ". 1 fixable with --fix --unsafe-fixes\n" in text
    assert "(unsafe: confirm it)" in text
    assert coordlint("check", *options, "--fix").err == "coordlint: applied 0 fixes in 0 files\n"
    assert read("a.coord") == bad.text
    assert coordlint("check", *options, "--fix", "--unsafe-fixes").err == "coordlint: applied 1 fix in 1 file\n"
    assert read("a.coord") != bad.text
    assert coordlint.check(*options).codes == []


def test_fixing_goes_on_round_by_round(coordlint: Program):
    write("a.coord", MISSPELT)
    said = coordlint("check", "--fix")
    assert said.code == 0, said
    assert read("a.coord") == CLEAN.replace("OrderPlaced", "OrderPlacedd")


def test_what_cannot_be_fixed_still_fails(coordlint: Program):
    write("a.coord", UNRESOLVED + "service Extra { uses Nowhere }\n")
    said = coordlint("check", "--fix", "--format", "concise")
    assert said.code == 1
    assert "there is no" in said.out
    assert "PlaceOrdr" not in read("a.coord")


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
def test_a_diff_changes_nothing_and_can_be_applied(coordlint: Program):
    write("sub/a.coord", UNRESOLVED)
    said = coordlint("check", "--diff")
    assert said.code == 1
    assert read("sub/a.coord") == UNRESOLVED
    assert "-external service Shopper { sends Orders.PlaceOrdr }\n+external" in said.out
    write("fix.patch", said.out)
    subprocess.run(["patch", "-p0", "-i", "fix.patch"], check=True, capture_output=True)
    assert read("sub/a.coord") == CLEAN
    said = coordlint("check", "--diff")
    assert (said.code, said.out) == (0, "")
    write("sub/a.coord", UNRESOLVED)
    assert coordlint("check", "--diff", "--exit-zero").code == 0


def test_standard_input_is_fixed_to_standard_output(coordlint: Program):
    said = coordlint("check", "-", "--fix", stdin=UNRESOLVED)
    assert (said.code, said.out) == (0, CLEAN)
    said = coordlint("check", "-", "--fix", stdin="\ufeff" + UNRESOLVED)
    assert said.out == "\ufeff" + CLEAN
    said = coordlint("check", "-", "--fix", stdin=CLEAN)
    assert (said.code, said.out) == (0, CLEAN)
    broken = "service {"
    said = coordlint("check", "-", "--fix", "--output", "report.txt", stdin=broken)
    assert (said.code, said.out) == (1, broken)
    assert "SYN001" in read("report.txt")
    assert coordlint("check", "-", "--diff", stdin=UNRESOLVED).out.startswith("--- <stdin>\n+++ <stdin>\n")


def test_fixes_reach_included_files(coordlint: Program):
    write("parts/b.coord", UNRESOLVED)
    write("a.coord", 'include "parts/b.coord"\n')
    assert coordlint("check", "a.coord", "--fix").code == 0
    assert read("parts/b.coord") == CLEAN


def test_a_file_that_is_included_twice_is_fixed_once(coordlint: Program):
    write("b.coord", UNRESOLVED)
    write("a.coord", 'include "b.coord" as one\ninclude "b.coord" as two\n')
    assert coordlint("check", "a.coord", "--fix").code == 0
    assert read("b.coord") == CLEAN


# ------------------------------------------------------------------------------------------------ what the files are like


def test_a_fix_keeps_permissions_and_leaves_no_scratch_file(coordlint: Program):
    write("a.coord", UNRESOLVED)
    os.chmod("a.coord", 0o640)
    coordlint("check", "--fix")
    assert stat.S_IMODE(os.stat("a.coord").st_mode) == 0o640
    assert os.listdir() == ["a.coord"]


def test_a_file_is_written_whole_or_not_at_all(coordlint: Program, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write("a.coord", UNRESOLVED)
    monkeypatch.setattr("coordlint.source.os.replace", fail)
    assert coordlint.complaint("check", "--fix") == "cannot write `a.coord`: no space left on device"
    assert read("a.coord") == UNRESOLVED
    assert os.listdir() == ["a.coord"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_stay(coordlint: Program, newline: str, mark: str):
    write("a.coord", mark + UNRESOLVED.replace("\n", newline))
    coordlint("check", "--fix")
    assert read("a.coord") == mark + CLEAN.replace("\n", newline)


UNUSED = """\
external service Shopper { sends Orders.PlaceOrder }
command PlaceOrder
event OrderPlaced,  Leftover

service Orders { handles PlaceOrder emits OrderPlaced }
service Mail { on OrderPlaced { notifies } }
"""


def test_a_formatted_file_is_formatted_afterwards(coordlint: Program):
    tidy = format_source(Source("a", UNUSED))
    assert coordlint("fmt", "-", stdin=tidy).out == tidy
    write("a.coord", tidy)
    assert coordlint("check", "--fix").code == 0
    assert read("a.coord") != tidy
    assert coordlint("fmt", "--check").code == 0


def test_a_fix_reformats_no_file_that_was_not_formatted(coordlint: Program):
    untidy = UNRESOLVED.replace("service Orders { handles", "service   Orders{handles").replace("\n\n", "\n\n\n\n")
    write("a.coord", untidy)
    assert coordlint("check", "--fix").code == 0
    assert read("a.coord") == untidy.replace("PlaceOrdr", "PlaceOrder")


def test_what_could_not_be_decoded_is_not_written_back(coordlint: Program):
    data = UNRESOLVED.encode() + b"# caf\xe9\n"
    Path("a.coord").write_bytes(data)
    assert coordlint("check", "--fix").code == 1
    assert Path("a.coord").read_bytes() == data


# ------------------------------------------------------------------------------------------------ the engine


Check = Callable[[str], list[Finding]]


def error(code: str, source: Source, word: str, fix: str | None = None, nth: int = 1, **more: object) -> Finding:
    start = -1
    for _ in range(nth):
        start = source.text.index(word, start + 1)
    span = Span(source, start, start + len(word))
    edit = None if fix is None else Fix("replace it", (Edit(span, fix),), safe=True)
    return Finding(
        primary=Label(span), message="a fact", code=code, severity=Severity.ERROR, fix=edit,
        fingerprint=f"{code}{start}", **more,
    )  # fmt: skip


def fixing(text: str, check: Callable[[Source], list[Finding]]) -> tuple[Fixed, int, str]:
    """What comes of fixing, how many times it was checked, and the text afterwards."""
    times = 0

    def again(overlay: Mapping[str, Source]) -> Result:
        nonlocal times
        times += 1
        source = overlay.get(os.path.realpath("a.coord"), Source("a.coord", text))
        return Result(tuple(check(source)), sources=(source,))

    fixed = apply_fixes(again({}), again)
    [(_, after)] = fixed.sources.values() or [(None, Source("a.coord", text))]
    return fixed, times - 1, after.text


def test_it_ends_after_ten_rounds(here: Path):
    fixed, times, text = fixing("x", lambda source: [error("X", source, "x", "xx")])
    assert (times, len(text)) == (ROUNDS, ROUNDS + 1)
    assert fixed.stopped == "the fixes did not settle in ten rounds"


def test_it_ends_when_fixes_undo_each_other(here: Path):
    fixed, times, text = fixing(
        "ping", lambda source: [error("X", source, source.text, "pong" if source.text == "ping" else "ping")]
    )
    assert fixed.stopped == "the fixes undo each other"
    assert (times, text, fixed.sources) == (2, "ping", {})


def test_of_overlapping_fixes_one_is_applied_in_a_round(here: Path):
    def check(source: Source) -> list[Finding]:
        found = []
        if "abc" in source.text:
            found = [error("A", source, "ab", "AB"), error("B", source, "bc", "BC")]
        elif "ABc" in source.text:
            found = [error("B", source, "Bc", "BC")]
        return found

    fixed, times, text = fixing("abc", check)
    assert (text, times, fixed.applied, fixed.stopped) == ("ABC", 2, 2, "")


def test_a_fix_that_brings_errors_is_left_out_and_the_others_are_applied(here: Path):
    def check(source: Source) -> list[Finding]:
        found = [error("A", source, "a", "b", nth) for nth in range(1, source.text.count("a") + 1)]
        found += [error("C", source, "c", "!")] if "c" in source.text else []
        found += [error("SYN001", source, "!")] if "!" in source.text else []
        return sorted(found, key=lambda one: one.primary.span.start)

    fixed, _, text = fixing("a a c a a", check)
    assert (text, fixed.applied) == ("b b c b b", 4)
    assert fixed.stopped == "a fix would have brought new errors"


def test_an_error_for_another_is_no_repair(here: Path):
    def check(source: Source) -> list[Finding]:
        return [error("A", source, "a", "b")] if "a" in source.text else [error("B", source, "b")]

    fixed, _, text = fixing("a", check)
    assert (text, fixed.applied, [one.code for one in fixed.result.findings]) == ("a", 0, ["A"])


# ------------------------------------------------------------------------------------------------ the rules' own fixes


def fixable(entry: Entry) -> list[Example]:
    """The bad examples of a rule whose findings carry a fix."""
    return [
        bad
        for bad in document(entry).bad
        if any(finding.code == entry.code and finding.fix for finding in outcome(bad.text, bad.profile).findings)
    ]


def outcome(text: str, profile: str) -> Result:
    return run(request(text, profile)).result


def request(text: str, profile: str) -> Request:
    return Request(stdin=Source("example.coord", text), profile=profile, isolated=True)


@pytest.fixture(scope="module")
def examples() -> dict[str, list[Example]]:
    return {entry.code: found for entry in index() for found in (fixable(entry),) if found}


def test_at_least_fifteen_rules_carry_a_fix(examples: dict[str, list[Example]]):
    assert len(examples) >= 15, sorted(examples)


def test_the_engine_repairs_every_bad_example_that_carries_a_fix(examples: dict[str, list[Example]]):
    left = []
    for code, found in examples.items():
        for bad in found:

            def again(overlay: Mapping[str, Source], bad: Example = bad) -> Result:
                source = overlay[os.path.realpath("example.coord")]
                return outcome(source.text, bad.profile)

            fixed = apply_fixes(outcome(bad.text, bad.profile), again, unsafe=True)
            fixed_before = {one.fingerprint for one in outcome(bad.text, bad.profile).findings if one.fix}
            if fixed.stopped or fixed_before & {one.fingerprint for one in fixed.result.findings}:
                left.append((code, fixed.stopped, [one.message for one in fixed.result.findings]))
    assert left == []
