"""Ignore comments: what they cover, what they need, and what is said about those that are of no use (HYG953)."""

from __future__ import annotations

import json

import pytest
from project import CLEAN, UNHEARD, Program, read, write

TODAY = "1780000000"
"""2026-05-28, as SOURCE_DATE_EPOCH."""

LINE = "service Orders { handles PlaceOrder emits OrderPlaced }"
COMMENT = "# coordlint: ignore[EVT201] the data team listens"


@pytest.fixture
def coordlint(coordlint: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", TODAY)
    return coordlint


def behind(comment: str, design: str = UNHEARD) -> str:
    """The design with a comment at the end of the line of the finding."""
    assert LINE in design
    return design.replace(LINE, f"{LINE}  {comment}")


def above(comment: str, design: str = UNHEARD) -> str:
    """The design with a comment above the service of the finding."""
    return design.replace(LINE, f"{comment}\n{LINE}")


def first(comment: str, design: str = UNHEARD) -> str:
    """The design with a comment before the first declaration."""
    return f"{comment}\n{design}"


BROAD = """\
external service Shopper { sends Orders.PlaceOrder }
command PlaceOrder
event OrderPlaced

# coordlint: ignore[EVT201] the data team listens
service Orders {
  handles PlaceOrder {
    acts "notes it"
    emits OrderPlaced
  }
}
"""
CLAUSE = BROAD.replace("# coordlint: ignore[EVT201] the data team listens\n", "").replace(
    "    emits", f"    {COMMENT}\n    emits"
)
HANDLER = BROAD.replace("# coordlint: ignore[EVT201] the data team listens\n", "").replace(
    "  handles", f"  {COMMENT}\n  // about the handler\n  handles"
)


@pytest.mark.parametrize(
    "text",
    [
        behind(COMMENT),
        behind("// coordlint: ignore[EVT201] the data team listens"),
        behind("#coordlint:ignore[EVT201] the data team listens"),
        behind("# coordlint: ignore[event-never-consumed] the data team listens"),
        behind("# coordlint: ignore[Event-Never-Consumed] the data team listens"),
        behind("# coordlint: ignore[evt201] the data team listens"),
        behind("# coordlint: ignore[EVT201] the data team listens # and a word to the reader"),
        above(COMMENT),
        above(f"{COMMENT}\n# what it is about"),
        first("# coordlint: ignore-file[EVT201] the data team listens"),
        BROAD,
        CLAUSE,
        HANDLER,
    ],
)
def test_a_comment_hides_what_it_covers_and_the_reason_is_kept(coordlint: Program, text: str):
    write("a.coord", text)
    said = coordlint.check("--select", "EVT,HYG953", "--profile", "strict")
    assert (said.codes, said.code) == ([], 0)
    assert said.hidden == [("EVT201", "ignored", "the data team listens")]
    assert "1 ignored" in coordlint("check", "--select", "EVT").out


def test_a_comment_may_name_several_rules(coordlint: Program):
    both = CLEAN.replace("emits OrderPlaced", "emits OrderPlacedd").replace("event OrderPlaced\n", "event OrderPlaced, OrderPlacedd\n")  # fmt: skip
    write("a.coord", first("# coordlint: ignore-file[EVT202, EVT201] being renamed", both))
    said = coordlint.check()
    assert said.codes == ["HYG953"]  # EVT201 is folded into EVT202: nothing reports it
    assert said.data["findings"][0]["message"] == "nothing here is reported by `EVT201`"
    assert coordlint("check", "--fix").code == 0
    assert read("a.coord").startswith("# coordlint: ignore-file[EVT202] being renamed\n")


@pytest.mark.parametrize("text", [behind(COMMENT), above(COMMENT), BROAD, CLAUSE])
def test_all_is_shown_without_ignores(coordlint: Program, text: str):
    write("a.coord", text)
    said = coordlint.check("--no-ignores")
    assert "EVT201" in said.codes
    assert said.hidden == []


NEXT = '\n# coordlint: ignore[EVT201] of the next\nservice Mail { handles Wipe { acts "x" } }\ncommand Wipe\nexternal service B { sends Mail.Wipe }\n'


@pytest.mark.parametrize(
    ("text", "message", "left"),
    [
        # of no use
        (above("# coordlint: ignore[EVT202] x"), "nothing here is reported by `EVT202`", ["EVT201"]),
        (UNHEARD + NEXT, "nothing here is reported by `EVT201`", ["EVT201"]),
        (behind(COMMENT, CLEAN), "nothing here is reported by `EVT201`", []),
        # misplaced
        (UNHEARD + COMMENT + "\n", "the comment stands above nothing that it could cover", ["EVT201"]),
        (above(COMMENT + "\n\n", UNHEARD), "the comment stands above nothing that it could cover", ["EVT201"]),
        (
            UNHEARD + "# coordlint: ignore-file[EVT201] late\n",
            "`ignore-file` stands behind the first declaration, where it has no effect",
            ["EVT201"],
        ),
        # expired
        (behind("# coordlint: ignore[EVT201] until 2026-05-27: x"), "the ignore ended on 2026-05-27", ["EVT201"]),
        (behind("# coordlint: ignore[EVT201] until 2026-02-30: x"), "`2026-02-30` is no day of the calendar", ["EVT201"]),
        # without a reason
        (behind("# coordlint: ignore[EVT201]"), "the ignore gives no reason", []),
        (behind("# coordlint: ignore[EVT201] until 2027-01-01"), "the ignore gives no reason", []),
        # of unknown rules, or of none
        (behind("# coordlint: ignore[EVT999] x"), "there is no rule `EVT999` to ignore", ["EVT201"]),
        (behind("# coordlint: ignore[] x"), "the comment names no rule: write `ignore[rule-name] reason`", ["EVT201"]),
        (behind("# coordlint: ignore x"), "the comment names no rule: write `ignore[rule-name] reason`", ["EVT201"]),
        (behind("# coordlint: ignor[EVT201] x"), "`coordlint: ignor` means nothing, did you mean `ignore`?", ["EVT201"]),
    ],
)  # fmt: skip
def test_a_comment_that_is_no_good_is_a_finding(coordlint: Program, text: str, message: str, left: list[str]):
    write("a.coord", text)
    said = coordlint.check("--fail-on", "hint", "--select", "EVT,HYG953")
    assert said.code == 1
    problems = [finding for finding in said.data["findings"] if finding["code"] == "HYG953"]
    assert message in [problem["message"] for problem in problems]
    assert len(problems) == 1
    assert [code for code in said.codes if code != "HYG953"] == left


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (behind(COMMENT, CLEAN), CLEAN),
        (above(COMMENT, CLEAN), CLEAN),
        (first("# coordlint: ignore-file[EVT201] x", CLEAN), CLEAN),
        (CLEAN + COMMENT, CLEAN),
        (CLEAN + COMMENT + "\n", CLEAN),
        (behind("# coordlint: ignore[EVT202,EVT201] two"), behind("# coordlint: ignore[EVT201] two")),
        (behind("# coordlint: ignore[EVT201, EVT999] two"), behind("# coordlint: ignore[EVT201] two")),
        (behind("# coordlint: ignore[EVT201] until 2026-05-27: x"), UNHEARD),
        (behind(COMMENT, CLEAN).replace("\n", "\r\n"), CLEAN.replace("\n", "\r\n")),
        (above(COMMENT, CLEAN).replace("\n", "\r\n"), CLEAN.replace("\n", "\r\n")),
    ],
)
def test_the_fix_takes_away_what_is_of_no_use(coordlint: Program, text: str, after: str):
    write("a.coord", text)
    coordlint("check", "--fix")
    assert read("a.coord") == after
    assert "HYG953" not in coordlint.check().codes


def test_a_reason_cannot_be_made_up(coordlint: Program):
    text = behind("# coordlint: ignore[EVT201]")
    write("a.coord", text)
    coordlint("check", "--fix", "--unsafe-fixes")
    assert read("a.coord") == text
    write("coordlint.toml", "require-reason = false")
    assert coordlint.check().codes == []


def test_an_ignore_holds_until_the_end_of_its_last_day(coordlint: Program, monkeypatch: pytest.MonkeyPatch):
    write("a.coord", behind("# coordlint: ignore[EVT201] until 2026-05-28: moves in summer"))
    said = coordlint.check()
    assert said.hidden == [("EVT201", "ignored", "moves in summer")]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(TODAY) + 86400))
    assert coordlint.check().codes == ["EVT201", "HYG953"]


def test_a_comment_is_only_called_unused_if_its_rule_ran(coordlint: Program):
    write("a.coord", behind(COMMENT, CLEAN))
    assert coordlint.check("--ignore", "EVT201").codes == []
    assert coordlint.check("--select", "HYG").codes == []
    write("a.coord", behind("# coordlint: ignore[EVT210] only asked for in strict", CLEAN))
    assert coordlint.check().codes == []
    assert coordlint.check("--profile", "strict", "--select", "EVT,HYG953").codes == ["HYG953"]


def test_a_comment_about_a_finding_that_the_profile_does_not_show_is_of_use(coordlint: Program):
    write("a.coord", behind(COMMENT))
    assert coordlint.check("--severity", "ALL=error", "--profile", "minimal").codes == []


def test_a_comment_that_is_of_use_in_one_design_of_several_is_of_use(coordlint: Program):
    shared = (
        "service Orders { handles PlaceOrder emits OrderPlaced }  # coordlint: ignore[EVT201] the data team listens\n"
    )
    start = 'include "shared.coord"\nexternal service Shopper { sends Orders.PlaceOrder }\ncommand PlaceOrder\nevent OrderPlaced\n'  # fmt: skip
    write("shared.coord", shared)
    write("a.coord", start)
    write("b.coord", start + "service Mail { on OrderPlaced { notifies } }\n")
    said = coordlint.check()
    assert (said.codes, said.hidden) == ([], [("EVT201", "ignored", "the data team listens")])
    assert coordlint.check("b.coord").codes == ["HYG953"]


def test_comments_at_the_same_place_of_two_files_are_two_comments(coordlint: Program):
    write("a.coord", 'include "b.coord"\ninclude "c.coord"\nexternal service Shopper { sends Orders.PlaceOrder }\n')
    comment = "# coordlint: ignore-file[EVT201] the data team listens\n"
    write("b.coord", comment + "command PlaceOrder\nevent OrderPlaced\n" + LINE + "\n")
    write("c.coord", comment + 'service Mail { handles Wipe { acts "x" } }\ncommand Wipe\nexternal service Ops { sends Mail.Wipe }\n')  # fmt: skip
    said = coordlint.check("a.coord")
    assert [(one["code"], one["primary"]["path"]) for one in said.data["findings"]] == [("HYG953", "c.coord")]


def test_the_findings_about_comments_can_be_ignored_by_their_own_name_only(coordlint: Program):
    write("a.coord", behind("# coordlint: ignore[EVT201, HYG953] kept for the next release", CLEAN))
    assert coordlint.check().codes == []


def test_ignored_findings_stay_in_the_reports(coordlint: Program):
    write("a.coord", behind("# coordlint: ignore[EVT201] <b>the data team</b> listens"))
    [result] = coordlint("check", "--format", "sarif").data["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "<b>the data team</b> listens"}]
    markdown = coordlint("check", "--format", "markdown").out
    assert "<details><summary>1 ignored</summary>" in markdown
    assert "&lt;b&gt;the data team&lt;/b&gt; listens" in markdown
    for format in ("concise", "full", "markdown"):
        assert "1 ignored" in coordlint("check", "--format", format).out
    assert json.loads(coordlint("check", "--format", "gitlab").out) == []


def test_hiding_one_of_two_equal_findings_changes_nothing_about_the_other(coordlint: Program):
    twice = UNHEARD.replace(LINE, f"{LINE}\nservice Shop {{ handles Ask emits OrderPlaced }}\ncommand Ask\nexternal service B {{ sends Shop.Ask }}")  # fmt: skip
    write("a.coord", twice)
    before = coordlint.check()
    marks = [finding["fingerprint"] for finding in before.data["findings"]]
    write("a.coord", behind(COMMENT, twice))
    after = coordlint.check()
    shown = [finding["fingerprint"] for finding in after.data["findings"]]
    hidden = [one["finding"]["fingerprint"] for one in after.data["hidden"]]
    assert sorted(shown + hidden) == sorted(marks)
