"""The HTML report and the Mermaid text in a real browser: headless Chromium, axe-core and Mermaid's own parser.

Needs `chromium` and `chromedriver` on the path and a folder with the npm packages `axe-core` and `mermaid`, named by
COORDLINT_NODE_MODULES. `.ci/run` installs them; elsewhere the tests are skipped, but where CI is set their absence fails.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import pytest
from bench.generate import design as generated

from coordlint.analysis.landscape import landscape
from coordlint.analysis.sequences import sequences
from coordlint.check import check, select_rules
from coordlint.cli import graphviz
from coordlint.cli.report import FAULTS, LIMIT, MANY
from coordlint.design import load
from coordlint.explore.verify import Settings
from coordlint.report import graph, runs
from coordlint.report.html import render
from coordlint.report.sequence_text import mermaid
from coordlint.source import Source

ROOT = Path(__file__).parent.parent
SYSTEMS = sorted((ROOT / "fixtures" / "systems").glob("*/*.coord"))
each_system = pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)
MODULES = Path(os.environ.get("COORDLINT_NODE_MODULES", "nowhere"))
MISSING = [
    name
    for name, there in (
        ("chromium", shutil.which("chromium")),
        ("chromedriver", shutil.which("chromedriver")),
        ("axe-core", (MODULES / "axe-core/axe.min.js").exists()),
        ("mermaid", (MODULES / "mermaid/dist/mermaid.min.js").exists()),
    )
    if not there
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(MISSING)}"),
]

SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()

HOSTILE = """
system X "</title><script>window.evil = 1</script>"
event "<img src=x onerror='window.evil = 2'>"
external service "👩 اسم 订单" { sends "{{ 7 * 7 }}"."</svg><script>window.evil = 3</script>" }
command "</svg><script>window.evil = 3</script>" { note "'; window.evil = 4; '" }
service "{{ 7 * 7 }}" {
  handles "</svg><script>window.evil = 3</script>" { acts "<b>LONG</b>"  emits "<img src=x onerror='window.evil = 2'>" }
}
service "LONG" { on "<img src=x onerror='window.evil = 2'>" }
flow "--> <!--" {
  starts with "</svg><script>window.evil = 3</script>" from "👩 اسم 订单"
  succeeds with "<img src=x onerror='window.evil = 2'>"
}
""".replace("LONG", "long " * 2000)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    assert not MISSING, f"not installed: {', '.join(MISSING)}"
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in SWITCHES:
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of the reports of all public systems, of a hostile and of a large design."""
    folder = tmp_path_factory.mktemp("pages")
    sources = {path.stem: (str(path), None) for path in SYSTEMS}
    designs = {name: load(path) for name, (path, _) in sources.items()}
    designs["hostile"] = load("hostile.coord", stdin=Source("hostile.coord", HOSTILE))
    designs["hundred"] = load("hundred.coord", stdin=Source("hundred.coord", generated(100)))
    found = {}
    for name, design in designs.items():
        file = folder / f"{name}.html"
        design.verify = Settings(FAULTS, LIMIT, many=MANY)
        result = check(design, select_rules())
        file.write_text(render(design, result, engine=graphviz.engine), encoding="utf-8")
        found[name] = file.as_uri()
    return found


def visit(browser: Any, address: str, *, wide: int = 1440, dark: bool = False) -> None:
    size = {"width": wide, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(address)
    # A large page may still be on its way when other tests keep the machine busy.
    until = time.monotonic() + 60
    while time.monotonic() < until and not browser.execute_script(LOADED, address):
        time.sleep(0.1)


LOADED = "return document.readyState === 'complete' && location.href.split('#')[0] === arguments[0].split('#')[0]"


def visible(browser: Any) -> int:
    shown: int = browser.execute_script("return document.querySelectorAll('.finding:not([hidden])').length")
    return shown


@pytest.mark.parametrize("name", [*(path.stem for path in SYSTEMS), "hostile", "hundred"])
def test_no_error_no_request_no_sideways_scroll(browser: Any, pages: dict[str, str], name: str):
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    for wide in (360, 1440):
        visit(browser, pages[name], wide=wide)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= wide
        browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= wide
    assert browser.get_log("browser") == []
    asked = {
        entry["message"].split('"url":"')[-1].split('"')[0]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    }
    assert {address for address in asked if address.startswith(("http", "file", "data", "blob"))} <= {pages[name]}
    assert browser.execute_script("return window.evil") is None


@pytest.mark.parametrize("name", ["ftgo", "serverlesspresso", "trip-booking-saga", "hostile", "hundred"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(browser: Any, pages: dict[str, str], name: str, dark: bool):
    visit(browser, pages[name], dark=dark)
    browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.execute_script(
        "document.head.insertAdjacentHTML('beforeend', '<style>#things article,.finding{content-visibility:visible!important}</style>')"
    )
    browser.execute_script((MODULES / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], resultTypes: ['violations']}).then("
        "  result => done(result.violations.map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 300),"
        "    one.nodes[0].failureSummary])), error => done(String(error)))"
    )
    assert found == []


OVERLAPS = """
document.querySelectorAll('details').forEach(one => { one.open = true; });
document.querySelectorAll('.scroll').forEach(one => { one.style.maxHeight = 'none'; });
const found = [];
document.querySelectorAll('svg.map, svg.sequence').forEach(svg => {
  const frame = svg.getBoundingClientRect(), scale = frame.width / svg.viewBox.baseVal.width;
  const title = svg.querySelector('title').textContent;
  const texts = [...svg.querySelectorAll('text')].map(one => ({box: one.getBoundingClientRect(), text: one.textContent}));
  for (const {box, text} of texts) {
    if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
      found.push([title, 'cut', text]);
    }
  }
  texts.sort((a, b) => a.box.left - b.box.left);
  texts.forEach((one, i) => {
    for (const other of texts.slice(i + 1)) {
      if (other.box.left >= one.box.right - 1.5 * scale) { break; }
      const shared = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      if (shared > 3.5 * scale) { found.push([title, 'overlap', one.text, other.text]); }
    }
  });
});
return found;
"""


@pytest.mark.parametrize("name", [*(path.stem for path in SYSTEMS), "hostile", "hundred"])
def test_labels_neither_overlap_nor_are_cut(browser: Any, pages: dict[str, str], name: str):
    visit(browser, pages[name])
    assert browser.execute_script(OVERLAPS) == []


def test_filters_and_the_way_of_a_flow(browser: Any, pages: dict[str, str]):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    visit(browser, pages["ftgo"])
    whole = visible(browser)
    assert whole > 10

    def count(selector: str) -> int:
        return len(browser.find_elements(By.CSS_SELECTOR, selector))

    browser.find_element(By.CSS_SELECTOR, "[name=severity][value=error]").click()
    assert visible(browser) == whole - count(".finding[data-severity=error]")
    browser.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    time.sleep(0.1)
    assert visible(browser) == whole
    Select(browser.find_element(By.NAME, "rule")).select_by_value("SPF101")
    assert visible(browser) == count(".finding[data-rule=SPF101]") > 0
    assert count("section.rule:not([hidden])") == 1
    Select(browser.find_element(By.NAME, "rule")).select_by_value("")
    Select(browser.find_element(By.NAME, "service")).select_by_visible_text("Kitchen")
    assert visible(browser) == count('.finding[data-service~="service-Kitchen"]') > 0
    Select(browser.find_element(By.NAME, "service")).select_by_value("")
    Select(browser.find_element(By.NAME, "flow")).select_by_visible_text("OrderPlacement")
    number = browser.find_element(By.NAME, "flow").get_attribute("value")
    assert visible(browser) == count(f'.finding[data-flow~="{number}"]')
    lit = browser.execute_script(
        "return [...document.querySelectorAll('svg.map.lit .on text')].map(one => one.textContent)"
    )
    assert {"CreateOrderSaga", "Accounting", "AuthorizeCommand"} <= set(lit)
    assert "Courier" not in lit
    Select(browser.find_element(By.NAME, "flow")).select_by_value("")
    assert count("svg.lit") == 0
    field = browser.find_element(By.NAME, "text")
    field.send_keys("cdc-service")
    time.sleep(0.3)
    assert 0 < visible(browser) < whole
    assert str(whole) in browser.find_element(By.NAME, "shown").text


def test_keys_zoom_the_map_and_links_unfold(browser: Any, pages: dict[str, str]):
    from selenium.webdriver.common.by import By

    visit(browser, pages["eshop"])
    frame = browser.find_element(By.CSS_SELECTOR, ".pan")
    before = frame.find_element(By.TAG_NAME, "svg").size["width"]
    browser.execute_script("arguments[0].focus()", frame)
    frame.send_keys("+")
    assert frame.find_element(By.TAG_NAME, "svg").size["width"] > before
    frame.send_keys("0")
    assert frame.find_element(By.TAG_NAME, "svg").size["width"] <= frame.size["width"]
    visit(browser, pages["hundred"])
    browser.execute_script("location.hash = '#map-3'")
    time.sleep(0.3)
    assert browser.find_element(By.ID, "map-3").get_attribute("open") is not None


def test_every_fold_is_open_on_paper(browser: Any, pages: dict[str, str]):
    from pypdf import PdfReader

    visit(browser, pages["trip-booking-saga"])
    data = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": False})["data"]
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(base64.b64decode(data))).pages)
    text = "".join(unicodedata.normalize("NFKC", text).split())  # ligatures become letters again
    folded = browser.execute_script(
        "return [...document.querySelectorAll('details')].map(one => one.querySelector('p, li, td, svg text').textContent)"
    )
    assert len(folded) > 5
    assert [one for one in folded if "".join(one.split())[:30] not in text] == []


def test_without_script_and_style_all_is_there(browser: Any, pages: dict[str, str], tmp_path: Path):
    page = Path(url2pathname(pages["ftgo"].removeprefix("file://"))).read_text(encoding="utf-8")
    bare = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    bare = bare.replace(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'", "default-src 'none'; sandbox"
    )
    file = tmp_path / "bare.html"
    file.write_text(bare, encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visit(browser, file.as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    text = browser.execute_script("return document.body.innerText")
    order = [
        text.index(word)
        for word in (
            "cannot work as written",
            "Verdict",
            "System map",
            "Flow OrderPlacement",
            "Workflow CreateOrderSaga",
            "Findings by rule",
            "Trade-offs of this design",
            "ran and found nothing",
        )
    ]
    assert order == sorted(order)
    assert "Severity" not in text, "what cannot work is not shown"
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg.map')].map(one => one.getBoundingClientRect().width)"
    )
    assert min(sizes) > 100


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> str:
    design = load("large.coord", stdin=Source("large.coord", generated(1000)), profile="production")
    file = tmp_path_factory.mktemp("large") / "large.html"
    file.write_text(render(design, check(design), engine=graphviz.engine), encoding="utf-8")
    return file.as_uri()


def test_a_thousand_services_stay_usable(browser: Any, thousand: str):
    visit(browser, thousand)
    measure = """
    const done = arguments[arguments.length - 1], field = document.querySelector('[name=' + arguments[0] + ']');
    field.value = arguments[1] || field.options[field.options.length >> 1].value;
    const start = performance.now();
    field.dispatchEvent(new Event('change', {bubbles: true}));
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
    """
    assert visible(browser) > 500
    for name in ("rule", "flow", "service"):
        times = [browser.execute_async_script(measure, name, "") for _ in range(3)]
        assert sorted(times)[1] < 200, (name, times)
    zoom = "const start = performance.now(); document.querySelector('.pan').zoom(1.25); document.body.offsetWidth; return performance.now() - start"
    assert browser.execute_script(zoom) < 200


@each_system
def test_mermaid_reads_every_drawing(browser: Any, path: Path):
    design = load(str(path))
    design.verify = Settings(FAULTS, LIMIT, many=MANY)
    texts = [graph.render(landscape(design.index), "mermaid")]
    texts += [mermaid(one) for view in design.flows for one in sequences(view).paths]
    texts += [runs.mermaid(told.run) for told in design.verification.told if told.run is not None]
    assert parsed(browser, texts) == []


def test_mermaid_reads_hostile_names(browser: Any):
    design = load("hostile.coord", stdin=Source("hostile.coord", HOSTILE))
    texts = [mermaid(one) for view in design.flows for one in sequences(view).paths]
    assert parsed(browser, [*texts, graph.render(landscape(design.index), "mermaid")]) == []


def parsed(browser: Any, texts: list[str]) -> list[str]:
    """What Mermaid's parser says against the texts."""
    browser.get("about:blank")
    source = (MODULES / "mermaid/dist/mermaid.min.js").read_text(encoding="utf-8")
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
    errors: list[str] = browser.execute_async_script(
        "const done = arguments[1]; mermaid.initialize({startOnLoad: false, maxTextSize: 1e7, maxEdges: 1e5});"
        "Promise.all(arguments[0].map(text => mermaid.parse(text).then(() => '', error => String(error) + text.slice(0, 200))))"
        ".then(found => done(found.filter(Boolean)), error => done([String(error)]))",
        texts,
    )
    return errors


def test_the_parser_of_mermaid_can_say_no(browser: Any):
    assert parsed(browser, ["sequenceDiagram\n  a->>"]) != []
