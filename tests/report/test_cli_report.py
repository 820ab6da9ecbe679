"""``segscape report``."""

from __future__ import annotations

import json

import pytest


def test_report_writes_the_page_and_says_where(run, make_photo, tiny_bundle, tmp_path):
    make_photo("photos/a.png")
    make_photo("photos/b.png", seed=1)
    code, out, err = run("report", "photos", "--model", tiny_bundle, "--out", "res", "--title", "My <title>", "--quiet")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("2 images, ")
    assert sorted(p.name for p in (tmp_path / "res").iterdir()) == ["report.html", "report.json"]
    assert all(name in out for name in ("report.html", "report.json"))
    page = (tmp_path / "res" / "report.html").read_text("utf-8")
    assert "<h1>My &lt;title&gt;</h1>" in page
    assert page.index("a.png") < page.index("b.png")


def test_report_json_is_one_document(run, make_photo, tiny_bundle, tmp_path):
    make_photo("a.png")
    code, out, err = run("report", "a.png", "--model", tiny_bundle, "--out", "res", "--json")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert said["images"][0]["source"] == "a.png"
    assert set(said["written"]) == {"report", "json"}
    document = json.loads((tmp_path / "res" / "report.json").read_text("utf-8"))
    assert document["scenes"][0]["scene"]["model"] == said["model"]
    assert len(document["scenes"][0]["scene"]["regions"]) == said["images"][0]["regions"]


def test_report_in_chinese_of_the_first_images(run, make_photo, tiny_bundle, tmp_path):
    for i in range(3):
        make_photo(f"photos/{i}.png", seed=i)
    options = ("--lang", "zh", "--max-images", 2, "--quiet")
    code, out, _ = run("report", "photos", "--model", tiny_bundle, "--out", "res", *options)
    page = (tmp_path / "res" / "report.html").read_text("utf-8")
    assert code == 0
    assert "first 2" in out
    assert '<html lang="zh">' in page
    assert "1.png" in page
    assert "2.png" not in page


def test_a_bad_image_is_named_and_the_others_are_done(run, make_photo, tiny_bundle, tmp_path):
    make_photo("a.png")
    (tmp_path / "bad.png").write_text("no image")
    code, out, err = run("report", "a.png", "bad.png", "--model", tiny_bundle, "--out", "res", "--quiet")
    assert code == 2
    assert out.startswith("1 image, ")
    assert "bad.png" in err
    assert "1 of 2 inputs failed; the others are done" in err
    assert "bad.png" in (tmp_path / "res" / "report.html").read_text("utf-8")
    code, out, err = run("report", "a.png", "bad.png", "--model", tiny_bundle, "--out", "res", "--json", "--quiet")
    assert code == 2
    assert [entry["source"] for entry in json.loads(out)["failed"]] == ["bad.png"]


def test_without_a_good_image_there_is_no_report(run, tiny_bundle, tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    code, out, err = run("report", "bad.png", "--model", tiny_bundle, "--out", "res")
    assert (code, out) == (2, "")
    assert "bad.png" in err
    assert not (tmp_path / "res").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--out", "res", "--lang", "fr"), "fr"),
        (("--out", "res", "--max-images", "0"), "at least 1"),
        (("--out", "res", "--panoptic", "a+b"), "--model"),
        ((), "--out"),
        (("--out", "a.png"), "a.png"),
    ],
)
def test_what_cannot_be_exits_with_2(run, make_photo, tiny_bundle, options, says):
    make_photo("a.png")
    code, out, err = run("report", "a.png", "--model", tiny_bundle, *options)
    assert (code, out) == (2, "")
    assert says in err
