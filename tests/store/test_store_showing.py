"""Answers as CSV, contact sheet and page: what is marked, what is said of missing photos, and that nothing is code."""

import csv
import io
import re

import numpy as np
import pytest
from PIL import Image
from stored_scenes import LABELS, SIZE, scene

from segscape.errors import InputError
from segscape.masks import RunLengths
from segscape.store import showing
from segscape.store.answers import Answer, Drawn, Found
from segscape.store.showing import contact_sheet, csv_text, page, picture
from segscape.store.store import Store

HOSTILE = "<script>alert(1)</script>\"'&.png"


@pytest.fixture
def asked(tmp_path):
    """asked(text, **options): the answer of a store of two photos, one of which is there, and the regions to draw."""

    def go(text, sql=False, **options):
        photo = tmp_path / HOSTILE.replace("/", "_")
        Image.fromarray(np.full((*SIZE, 3), 100, np.uint8)).save(photo)
        with Store.open(tmp_path / "scenes.duckdb") as store:
            store.add(scene("rc", [(2, "on", 1)], source=str(photo)), content_hash="0")
            store.add(scene("crr", [(1, "on", 3)], source=str(tmp_path / "gone.png")), content_hash="1")
            answer = store.sql(text) if sql else store.query(text, **options)
            return answer, store.drawn(answer)

    return go


def test_regions_that_matched_are_drawn_where_they_are(asked):
    answer, regions = asked("car on road")
    assert [(found.image, found.regions) for found in answer.images] == [(1, (1, 2)), (2, (1, 3))]
    assert {image: [(d.id, d.name, d.color) for d in drawn] for image, drawn in regions.items()} == {
        1: [(1, "road", LABELS[0].color), (2, "car", LABELS[1].color)],
        2: [(1, "car", LABELS[1].color), (3, "road", LABELS[0].color)],
    }
    plain, trouble = picture(answer.images[0], [])
    assert trouble == ""
    assert (plain == 100).all()
    assert plain.shape == (*SIZE, 3)  # never scaled up


def test_a_region_is_tinted_and_the_rest_stays_as_it_was(tmp_path):
    photo = tmp_path / "a.png"
    Image.fromarray(np.full((100, 200, 3), 100, np.uint8)).save(photo)
    mask = RunLengths.from_dense(np.ones((100, 80), bool))
    marked, _ = picture(Found(1, str(photo), 200, 100), [Drawn(1, "car", (0, 0, 200), (20, 0, 100, 100), mask)])
    assert (marked[10:30, 30:90] == (70, 70, 130)).all()
    assert (marked[:, :16] == 100).all()
    assert (marked[:, 104:] == 100).all()


def test_a_thin_region_does_not_vanish_in_a_small_picture(tmp_path):
    found = Found(1, str(tmp_path / "gone.png"), 4000, 3000)
    mask = RunLengths.from_dense(np.ones((3000, 2), bool))
    marked, trouble = picture(found, [Drawn(1, "pole", (255, 0, 0), (1000, 0, 1002, 3000), mask)])
    assert marked.shape == (240, 320, 3)
    assert trouble == "the photo is not there"
    assert (marked[:, 78:83] != showing._NO_PHOTO).any(axis=2).any(axis=1).all()
    assert (marked[:, 120:] == showing._NO_PHOTO).all()


def test_a_photo_that_changed_is_not_drawn_on(asked, tmp_path):
    answer, _ = asked("car")
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(answer.images[0].path)
    assert picture(answer.images[0], [])[1] == "the photo has changed"
    (tmp_path / "gone.png").write_text("not an image")
    assert picture(answer.images[1], [])[1] == "the photo is not there"


def test_contact_sheet(asked, monkeypatch):
    answer, regions = asked("car on road")
    one = contact_sheet(answer, regions)
    assert one.dtype == np.uint8
    assert one.ndim == 3
    assert contact_sheet(Answer("x", (), (), (), 0), {}).shape[1] == one.shape[1]
    many = Answer("x" * 1000, (), (), answer.images * 6, 12)
    assert contact_sheet(many, regions).shape[0] > 2 * 240
    monkeypatch.setattr(showing, "_MOST_TILES", 11)
    with pytest.raises(InputError, match="--limit of 11"):
        contact_sheet(many, regions)


def test_page(asked):
    answer, regions = asked("car on road", lang="zh")
    text = page(answer, regions, lang="zh")
    assert text.count("<figure") == text.count('src="data:image/jpeg;base64,') == 2
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert '<html lang="zh">' in text
    assert "汽车 #2 在 道路 #1 上" in text
    assert text.count("the photo is not there") == 1
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "<table" not in text


def test_page_of_sql(asked):
    answer, regions = asked("SELECT image, id AS region, class, NULL AS n, [1, 2] AS l FROM regions", sql=True)
    text = page(answer, regions)
    assert text.count("<figure") == 2
    assert "<td>road</td><td></td><td>[1, 2]</td>" in text
    assert "<figure" not in page(*asked("SELECT '<b>' AS \"<i>\"", sql=True))
    assert "<td>&lt;b&gt;</td>" in page(*asked("SELECT '<b>' AS \"<i>\"", sql=True))


def test_csv(asked):
    answer, _ = asked("car on road", limit=1)
    (head, row) = csv.reader(io.StringIO(csv_text(answer)))
    assert head == ["image", "path", "regions", "found", "description"]
    assert row[:1] + row[2:4] == ["1", "[1, 2]", '["car #2 on road #1"]']
