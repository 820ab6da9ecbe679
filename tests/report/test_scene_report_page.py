"""The report's page at work in a browser, from the file system: with scripts, and what it says without them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from segscape.image import Image
from segscape.labels import Label, LabelSet
from segscape.report.page import write_report
from segscape.result import Segmentation
from segscape.scene.build import build_scene
from segscape.scene.scene import Scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LABELS = LabelSet(
    "tiny",
    (
        Label("sky", (70, 130, 180), "天空"),
        Label("road", (128, 64, 128), "道路"),
        Label("car", (0, 0, 142), "汽车", True),
        Label("person", (220, 20, 60), "人", True),
    ),
)
SKY, ROAD, PERSON, CAR = 2, 1, 4, 3  # ids by falling area


def make_scene(source: str, labels: LabelSet = LABELS, *, cars: bool = True) -> Scene:
    label_map = np.zeros((120, 180), np.uint8)
    label_map[58:] = 1
    if cars:
        label_map[70:100, 20:70] = 2
    label_map[70:105, 120:140] = 3
    pixels = np.random.default_rng(0).integers(0, 256, (120, 180, 3), np.uint8)
    return build_scene(Segmentation((120, 180), labels, label_map, image=Image(pixels, source), model="tiny@1"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenes = [make_scene("a.jpg"), make_scene("b.jpg", cars=False)]
    return write_report(scenes, tmp_path_factory.mktemp("report"))["report"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts, faults, requests = [], [], []

    def open_(path: Path, **options: object) -> Page:
        contexts.append(
            browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", **options)
        )  # pyright: ignore
        page = contexts[-1].new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults
    assert not [url for url in requests if not url.startswith(("file:", "data:"))]


def lit(page: Page, selector: str) -> list[str]:
    """Ids of the regions of the elements of the first scene that are lit up."""
    return sorted(page.locator(f"#image-1 {selector}.lit").evaluate_all("all => all.map(e => e.dataset.regions)"))


def visible(page: Page, selector: str) -> int:
    return page.locator(f"{selector}:visible").count()


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#image-1 .regions tbody tr > :nth-child({number})").all_inner_texts()


def clause_of(page: Page, region: int) -> str:
    """A selector of the first visible clause that speaks of one region alone, and of that one."""
    return f'#image-1 p.text-normal[lang=en] .clause[data-regions="{region}"]'


def test_a_class_can_be_hidden_and_shown(open_page, report):
    page = open_page(report)
    shape = page.locator(f'#image-1 .areas path[data-regions="{CAR}"]')
    chip = page.locator("#image-1 .chips.for-regions label", has_text="car")
    assert shape.is_visible()
    chip.click()
    assert not shape.is_visible()
    assert page.locator(f'#image-1 .areas path[data-regions="{PERSON}"]').is_visible()
    assert page.locator('#image-2 .areas path[data-regions="3"]').is_visible()
    chip.click()
    assert shape.is_visible()


def test_the_slider_sets_how_strong_the_colours_are(open_page, report):
    page = open_page(report)
    opacity = "e => Number(getComputedStyle(e).fillOpacity)"
    shape = page.locator("#image-1 .areas path").first
    assert shape.evaluate(opacity) == pytest.approx(0.55, abs=0.01)
    page.locator("#image-1 .slider input").fill("0")
    assert shape.evaluate(opacity) == 0
    page.locator("#image-1 .slider input").fill("100")
    assert shape.evaluate(opacity) == 1
    assert page.locator("#image-2 .areas path").first.evaluate(opacity) == pytest.approx(0.55, abs=0.01)


def test_a_clause_lights_up_its_regions(open_page, report):
    page = open_page(report)
    page.locator(clause_of(page, CAR)).first.hover()
    assert lit(page, ".areas path") == [str(CAR)]
    assert lit(page, ".regions tr") == [str(CAR)]
    assert page.locator("#image-1 .light path").count() == 2
    assert page.locator("#image-2 .lit").count() == 0
    page.mouse.move(2, 2)
    assert page.locator(".lit").count() == 0
    assert page.locator(".light path").count() == 0


def test_a_region_lights_up_its_clauses(open_page, report):
    page = open_page(report)
    page.locator("#image-1 .stage").scroll_into_view_if_needed()
    box = page.locator("#image-1 .stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 45 / 180, box["y"] + box["height"] * 85 / 120)  # on the car
    assert lit(page, ".areas path") == lit(page, ".regions tr") == [str(CAR)]
    clauses = lit(page, "p.text-normal[lang=en] .clause")
    assert str(CAR) in clauses
    assert all(str(CAR) in ids.split() for ids in clauses)
    tip = page.locator("#image-1 .tip")
    assert tip.is_visible()
    assert tip.inner_text().startswith(f"car {CAR} · ")


def test_a_row_and_the_keyboard_light_up_too(open_page, report):
    page = open_page(report)
    row = page.locator(f'#image-1 .regions tr[data-regions="{ROAD}"]')
    row.focus()
    assert lit(page, ".areas path") == [str(ROAD)]
    page.keyboard.press("ArrowDown")
    assert lit(page, ".areas path") == [str(SKY)]
    page.keyboard.press("ArrowUp")
    assert lit(page, ".areas path") == [str(ROAD)]
    page.locator(clause_of(page, PERSON)).first.focus()
    assert lit(page, ".regions tr") == [str(PERSON)]
    page.keyboard.press("Enter")
    row.hover()  # what is pinned stays
    assert lit(page, ".regions tr") == [str(PERSON)]
    assert page.locator('#image-1 .clause[aria-pressed="true"]').count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".lit, [aria-pressed]").count() == 0


def test_a_click_pins_and_a_second_lets_go(open_page, report):
    page = open_page(report)
    clause = page.locator(clause_of(page, CAR)).first
    clause.click()
    page.mouse.move(2, 2)
    assert lit(page, ".areas path") == [str(CAR)]
    clause.click()
    page.mouse.move(2, 2)
    assert page.locator(".lit").count() == 0


def test_the_language_is_that_of_the_whole_page(open_page, report):
    page = open_page(report)
    text = page.locator("body").inner_text()
    assert "Over all images" in text
    assert "总体统计" not in text
    page.locator("label[for=lang-zh]").click()
    text = page.locator("body").inner_text()
    assert "总体统计" in text
    assert "汽车" in text
    assert not [word for word in ("Over all images", "Regions", "share", "near", "sky", "The road") if word in text]
    assert page.locator("html").get_attribute("lang") == "zh"
    assert page.locator("#filter").get_attribute("placeholder").startswith("筛选")
    page.locator("#lang-zh").focus()
    page.keyboard.press("ArrowLeft")
    assert "Over all images" in page.locator("body").inner_text()
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_columns_sort_by_their_numbers_and_words(open_page, report):
    page = open_page(report)
    heads = page.locator("#image-1 .regions thead th")
    assert column(page, 1) == ["1", "2", "3", "4"]
    heads.nth(2).locator("button").click()  # share, largest first
    shares = [float(text.rstrip("%")) for text in column(page, 3)]
    assert shares == sorted(shares, reverse=True)
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    heads.nth(2).locator("button").click()
    assert column(page, 1) == ["4", "3", "2", "1"]
    assert heads.nth(2).get_attribute("aria-sort") == "ascending"
    assert heads.nth(0).get_attribute("aria-sort") is None
    heads.nth(1).locator("button").click()
    assert [name.strip() for name in column(page, 2)] == ["car", "person", "road", "sky"]


def test_the_graph_shows_the_predicate_that_is_chosen(open_page, report):
    page = open_page(report)
    assert visible(page, "#image-1 .graph .line") == 0
    page.locator("#image-1 .view-relations").check()
    assert visible(page, "#image-1 .graph .line") > 0
    assert visible(page, "#image-1 .regions") == 0
    page.locator("#image-1 .choose-on").check()
    lines = page.locator("#image-1 .graph .line:visible")
    rows = page.locator("#image-1 .relations tbody tr:visible")
    assert lines.count() == rows.count() > 0
    assert all(" on " in " ".join(text.split()) for text in rows.all_inner_texts())
    rows.first.hover()
    ids = rows.first.get_attribute("data-regions").split()
    assert lit(page, ".areas path") == sorted(ids)
    assert lit(page, ".graph .edge:not(.node)") == [" ".join(ids)]


def test_lengths_of_the_description(open_page, report):
    page = open_page(report)
    said = {}
    for length in ("short", "normal", "full"):
        page.locator(f"#image-1 .length-{length}").check()
        assert visible(page, "#image-1 .said p") == 1
        said[length] = page.locator("#image-1 .said p:visible").inner_text()
    assert len(said["short"]) < len(said["full"])


def test_the_filter_leaves_the_images_that_have_the_words(open_page, report):
    page = open_page(report)
    for words, images in (("car", ["image-1"]), ("person b.jpg", ["image-2"]), ("汽车", ["image-1"]), ("zebra", [])):
        page.locator("#filter").fill(words)
        assert page.locator(".scene:visible").evaluate_all("all => all.map(e => e.id)") == images
        assert visible(page, ".contents li") == len(images)
        assert page.locator("#no-match").is_visible() == (not images)
    page.locator("#filter").fill("")
    assert visible(page, ".scene") == 2


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_without_scripts_the_essentials_are_there(open_page, tmp_path, lang):
    scene = make_scene("a.jpg")
    path = write_report([scene, make_scene("b.jpg")], tmp_path, lang=lang)["report"]
    page = open_page(path, java_script_enabled=False)
    assert page.locator("#image-1 .stage img").is_visible()
    assert page.locator("#image-1 .areas path:visible").count() == 4
    assert visible(page, "#image-1 .regions tbody tr") == 4
    assert visible(page, "#statistics tbody tr") == 4
    assert visible(page, ".enhanced") == 0
    spoken = page.locator("#image-1 .said p:visible")
    assert spoken.count() == 1
    assert spoken.inner_text() == scene.describe(lang).text
    page.locator("#image-1 .view-relations").check()  # style sheets do this much
    assert visible(page, "#image-1 .relations tbody tr") > 0


def test_hostile_names_are_shown_as_they_are(open_page, tmp_path):
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    labels = LabelSet("nasty", tuple(replace(x, name=f"{x.name}{nasty}", zh=nasty + x.zh) for x in LABELS))
    page = open_page(write_report([make_scene(f"{nasty}.jpg", labels)] * 2, tmp_path, title=nasty)["report"])
    assert page.locator("h1").inner_text() == nasty
    assert page.locator("h3").filter(has_text="script>.jpg").count() > 0
    page.locator("#image-1 .areas path").first.hover(force=True)
    assert nasty in page.locator("#image-1 .tip").inner_text()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_the_window(open_page, report, width):
    page = open_page(report)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_one_image_and_none_found(open_page, tmp_path):
    empty = Segmentation((20, 30), LABELS, np.full((20, 30), LABELS.ignore_index, np.uint8))
    page = open_page(write_report([build_scene(empty)], tmp_path)["report"])
    assert page.locator("#filter").count() == 0
    assert "No regions" in page.locator("#image-1").inner_text()
