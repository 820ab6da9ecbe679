"""``segscape index`` and ``segscape query``, as they are typed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from segscape import cli
from segscape.store import indexing
from segscape.store.parts import parts_folder
from segscape.store.store import Store


@pytest.fixture
def index(run, tiny_bundle):
    """index("photos"): what the command says, as JSON."""

    def go(*inputs, code=0, model=tiny_bundle):
        got, out, err = run("index", *inputs, "--store", "s.duckdb", "--model", model, "--json", "--quiet")
        assert got == code, err
        return json.loads(out)

    return go


def counts(said):
    return {name: said[name] for name in ("added", "kept", "moved", "doubles", "removed", "images") if said[name]}


def stored(tmp_path):
    with Store.open(tmp_path / "s.duckdb", read_only=True) as store:
        return {Path(path).name: number for number, path in store.sql("SELECT id, path FROM images").rows}


def test_running_again_does_what_is_new(index, make_photo, tmp_path, monkeypatch):
    for i in range(3):
        make_photo(f"photos/{i}.png", seed=i)
    assert counts(index("photos")) == {"added": 3, "images": 3}

    def no_reading(*_):
        raise AssertionError

    with monkeypatch.context() as patch:  # of files that look the same not even a byte is read
        patch.setattr(indexing.hashlib, "file_digest", no_reading)
        assert counts(index("photos")) == {"kept": 3, "images": 3}
    os.utime(tmp_path / "photos/0.png", (1, 1))
    assert counts(index("photos")) == {"kept": 3, "images": 3}
    make_photo("photos/3.png", seed=3)
    assert counts(index("photos")) == {"added": 1, "kept": 3, "images": 4}


def test_moved_swapped_changed_and_doubled_photos(index, make_photo, tmp_path):
    photos = tmp_path / "photos"
    for i in range(4):
        make_photo(f"photos/{i}.png", seed=i)
    index("photos")
    assert stored(tmp_path) == {"0.png": 1, "1.png": 2, "2.png": 3, "3.png": 4}
    (photos / "0.png").rename(photos / "moved.png")
    assert counts(index("photos")) == {"kept": 4, "moved": 1, "images": 4}
    assert stored(tmp_path) == {"moved.png": 1, "1.png": 2, "2.png": 3, "3.png": 4}
    (photos / "1.png").rename(photos / "x")
    (photos / "2.png").rename(photos / "1.png")
    (photos / "x").rename(photos / "2.png")
    assert counts(index("photos")) == {"kept": 4, "moved": 2, "images": 4}
    assert stored(tmp_path) == {"moved.png": 1, "2.png": 2, "1.png": 3, "3.png": 4}
    make_photo("photos/3.png", seed=9)
    assert counts(index("photos")) == {"added": 1, "kept": 3, "removed": 1, "images": 4}
    assert stored(tmp_path)["3.png"] == 5
    (photos / "double.png").write_bytes((photos / "3.png").read_bytes())
    assert counts(index("photos")) == {"kept": 4, "doubles": 1, "images": 4}
    (photos / "1.png").write_bytes((photos / "3.png").read_bytes())  # of 3, which is known: what 1 was is replaced
    assert counts(index("photos")) == {"kept": 3, "doubles": 2, "removed": 1, "images": 3}
    (photos / "3.png").unlink()
    assert counts(index("photos/moved.png")) == {"kept": 1, "images": 3}  # of what is not named nothing is known


def test_two_models_in_one_store(index, make_photo, tiny_objects):
    make_photo("a.png")
    index("a.png")
    assert counts(index("a.png", model=tiny_objects)) == {"added": 1, "images": 2}


def test_bad_images_are_reported_and_skipped(run, index, make_photo, tmp_path):
    make_photo("photos/a.png")
    (tmp_path / "photos/bad.jpg").write_text("no image")
    (tmp_path / "photos/empty.jpg").write_bytes(b"")
    said = index("photos", code=2)
    assert counts(said) == {"added": 1, "images": 1}
    assert [Path(failure["source"]).name for failure in said["failed"]] == ["bad.jpg", "empty.jpg"]
    code, out, err = run("index", "photos", "--store", "s.duckdb", "--model", "street", "--max-pixels", "9", "--quiet")
    assert code == 2
    assert "3 of 3 inputs failed" in err
    assert out == "s.duckdb: 1 images; \n"


def test_a_photo_that_changes_while_it_is_looked_at(index, make_photo, monkeypatch):
    make_photo("a.png")
    real = indexing.identify

    def identify(path, store):
        photo = real(path, store)
        os.utime(path, (1, 1))
        return photo

    monkeypatch.setattr(indexing, "identify", identify)
    assert "changed while it was looked at" in index("a.png", code=2)["failed"][0]["error"]


def test_interrupt_keeps_what_is_done(tiny_bundle, make_photo, tmp_path):
    for i in range(200):
        make_photo(f"photos/{i}.png", seed=i)
    source = str(Path(cli.__file__).parents[2])
    command = [sys.executable, "-m", "segscape", "index", "photos", "--store", "s.duckdb", "--model", str(tiny_bundle)]
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted" in err
    done = 1 + len(out.splitlines())
    assert done <= len(stored(tmp_path)) <= done + 1
    assert len(stored(tmp_path)) < 200


@pytest.fixture
def store(index, make_photo, tmp_path):
    """A store of three photos."""
    for i in range(3):
        make_photo(f"photos/{i}.png", seed=i)
    index("photos")
    return tmp_path / "s.duckdb"


def test_a_process_ends_without_a_word(store):
    source = str(Path(cli.__file__).parents[2])
    command = [sys.executable, "-m", "segscape", "query", str(store), "sky or road or car"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_query_on_the_terminal(run, store):
    code, out, err = run("query", store, "sky or road or car", "--limit", 2)
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["1", "photos/0.png"], ["2", "photos/1.png"]]
    assert out.endswith("3 found, the first 2\n")
    code, out, _ = run("query", store, "SELECT count(*) AS n FROM images", "--sql")
    assert (code, out.split()) == (0, ["n", "3", "1", "found"])
    assert run("query", store, "not (sky or road or car)")[1] == "0 found\n"


def test_query_as_json_and_csv(run, store):
    said = json.loads(run("query", store, "sky or road or car", "--limit", 1, "--json")[1])
    assert said["total"] == 3
    assert said["query"] == "sky or road or car"
    (result,) = said["results"]
    assert result["image"] == 1
    assert result["found"]
    assert result["matches"][0]["subject"] in result["regions"]
    assert "description" in result
    lines = run("query", store, "SELECT id FROM images ORDER BY id", "--sql", "--format", "csv")[1].splitlines()
    assert lines == ["id", "1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.json", b'{"query"'),
        ("a.csv", b"image,path"),
        ("a.html", b"<!doctype html>"),
        ("a.jpg", b"\xff\xd8"),
        ("a.txt", b"image  path"),
    ],
)
def test_query_into_a_file(run, store, tmp_path, name, start):
    code, out, err = run("query", store, "sky or road or car", "--out", name)
    assert (code, out, err) == (0, f"{name}: 3 found\n", "")
    assert (tmp_path / name).read_bytes().startswith(start)
    if name == "a.jpg":
        with Image.open(tmp_path / name) as sheet:
            assert min(sheet.size) > 200
    written = json.loads(run("query", store, "car", "--out", name, "--json")[1])["written"]
    assert written == name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["car touchin road"], "column 5: no relation 'touchin'\n  car touchin road\n      ^\ndid you mean 'touching'"),
        (["DROP TABLE images", "--sql"], "the SQL was refused"),
        (["car", "--format", "pdf"], "unknown format 'pdf'"),
        (["car", "--out", "x.pdf"], "'x.pdf': no known suffix"),
        (["car", "--format", "html"], "needs --out FILE"),
        (["car", "--format", "csv", "--json"], "needs --out FILE beside --json"),
        (["SELECT 1", "--sql", "--format", "contact", "--out", "x"], "the SQL needs a column image"),
        (["car", "--lang", "fr"], "--lang"),
        (["car", "--limit", "0"], "limit must be at least 1"),
    ],
)
def test_query_errors(run, store, tmp_path, arguments, said):
    code, out, err = run("query", store, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "x").exists()


def test_a_second_writer_is_told(run, store, tiny_bundle):
    with Store.open(store):
        code, _, err = run("index", "photos", "--store", store, "--model", tiny_bundle)
    assert code == 4
    assert f"process {os.getpid()} is writing to this store" in err


def test_no_such_store(run):
    code, _, err = run("query", "none.duckdb", "car")
    assert code == 2
    assert "no such store" in err


def test_without_the_extra(run, make_photo, tiny_bundle, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert "pip install 'segscape[store]'" in run("query", store, "car")[2]
    assert "pip install 'segscape[store]'" in run("index", "photos", "--store", "t.duckdb", "--model", tiny_bundle)[2]


def test_quick_enough_to_index_many(store, tmp_path):
    """Opening and closing a store that is up to date writes nothing."""
    before = sorted(parts_folder(store).rglob("*"))
    start = time.monotonic()
    with Store.open(store):
        pass
    assert time.monotonic() - start < 5
    assert sorted(parts_folder(store).rglob("*")) == before
