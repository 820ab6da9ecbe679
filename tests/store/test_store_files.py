"""What a store keeps, and that neither kills, nor second writers, nor odd names or files break it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from stored_scenes import LABELS, scene

from segscape.errors import InputError, ResourceError
from segscape.labels import Label, LabelSet
from segscape.masks import from_coco_string
from segscape.store import database, tables
from segscape.store import rows as rows_module
from segscape.store import store as store_module
from segscape.store.parts import part_numbers, parts_folder
from segscape.store.photos import Photo, as_text, photo_path
from segscape.store.store import Store

CARS = scene("rcc", [(2, "on", 1), (1, "supports", 2), (1, "between", 2, 3)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scenes.duckdb"


def rows(path, sql):
    with Store.open(path, read_only=True) as store:
        return list(store.sql(sql).rows)


def add(path, *scenes, **fields):
    """Add scenes of contents "0", "1", … and return which were new."""
    with Store.open(path) as store:
        return [store.add(one, content_hash=str(i), **fields) for i, one in enumerate(scenes)]


def test_everything_of_a_scene_is_kept(path, tmp_path):
    photo = tmp_path / "a.jpg"
    add(path, replace(CARS, source=str(photo)), file_bytes=7, modified_ns=8)
    with Store.open(path, read_only=True) as store:
        image = store.sql("SELECT * EXCLUDE (description_en, description_zh, indexed_at) FROM images").to_dict()
        assert image["results"] == [
            {
                "id": 1,
                "path": str(photo),
                "content_hash": "0",
                "file_bytes": 7,
                "modified_ns": 8,
                "model": "street@1",
                "scene_version": tables.SCENE_VERSION,
                "label_set": "stored",
                "width": 16,
                "height": 12,
                "kind": "street",
                "kind_strength": 0.8,
                "kind_reasons": ["road covers 27 % of the picture"],
                "single_objects": False,
            }
        ]
        assert store.sql("SELECT description_en, description_zh FROM images").rows == (
            (CARS.describe("en").text, CARS.describe("zh").text),
        )
        region = store.sql("SELECT * FROM regions WHERE id = 2").to_dict()["results"][0]
        assert (region["class"], region["x0"], region["y1"], region["color"]) == ("car", 2, 4, "#ff0000")
        assert from_coco_string(region["mask"], (2, 2)) == CARS.regions[1].mask
        relations = "SELECT * EXCLUDE (image, strength) FROM relations ORDER BY ALL"
        assert store.sql(relations).rows == (
            (1, "road", "between", 2, "car", 3, "car", '{"gap_px": 1.5}'),
            (1, "road", "supports", 2, "car", None, None, '{"gap_px": 1.5}'),
            (2, "car", "on", 1, "road", None, None, '{"gap_px": 1.5}'),
        )
        assert store.sql("SELECT class, count FROM classes ORDER BY class").rows == (("car", 2), ("road", 1))
        assert store.sql("SELECT class, zh FROM labels WHERE label = 1").rows == (("car", "汽车"),)


def test_every_column_is_filled_by_its_name():
    made = {
        "regions": rows_module.region_rows(CARS, 1)[0],
        "relations": rows_module.relation_rows(CARS, 1)[0],
        "labels": rows_module.label_rows(LABELS)[0],
    }
    for table, row in made.items():
        assert list(row) == [column.name for column in tables.TABLES[table]]


def test_the_tables_are_documented():
    page = (Path(__file__).parents[2] / "docs" / "query.md").read_text("utf-8")
    assert tables.markdown() in page


def test_adding_again_adds_nothing(path):
    assert add(path, CARS) == [True]
    before = sorted(parts_folder(path).rglob("*"))
    assert add(path, CARS) == [False]
    assert sorted(parts_folder(path).rglob("*")) == before
    assert rows(path, "SELECT count(*) FROM regions") == [(3,)]


def test_within_one_part_too(path):
    with Store.open(path) as store:
        assert [store.add(CARS, content_hash="0"), store.add(CARS, content_hash="0")] == [True, False]
        assert len(store) == 1
    assert rows(path, "SELECT count(*) FROM images") == [(1,)]


@pytest.mark.parametrize("flush", [False, True], ids=["same part", "another part"])
def test_another_content_of_a_path_replaces_what_was_there(path, flush):
    with Store.open(path) as store:
        store.add(CARS, content_hash="old")
        store.add(replace(CARS, model="indoor@1"), content_hash="old")
        store.add(replace(CARS, source="b.jpg"), content_hash="old b")
        if flush:
            store.flush()
        store.add(scene("r", model="street@2"), content_hash="new")  # another version of street
        assert len(store) == 3
    assert rows(path, "SELECT content_hash, model FROM images ORDER BY id") == [
        ("old", "indoor@1"),
        ("old b", "street@1"),
        ("new", "street@2"),
    ]
    assert rows(path, "SELECT count(*) FROM regions") == [(3 + 3 + 1,)]
    assert rows(path, "SELECT count(*) FROM relations WHERE image NOT IN (SELECT id FROM images)") == [(0,)]
    assert add(path, CARS) == [True]  # a number is not given twice
    assert rows(path, "SELECT max(id) FROM images") == [(5,)]


def test_another_version_of_scenes_replaces(path, monkeypatch):
    add(path, CARS)
    for module in (store_module, rows_module):
        monkeypatch.setattr(module, "SCENE_VERSION", tables.SCENE_VERSION + 1)
    assert add(path, CARS) == [True]
    assert rows(path, "SELECT scene_version FROM images") == [(tables.SCENE_VERSION + 1,)]


def test_pictures_without_a_file_do_not_replace_one_another(path):
    assert add(path, replace(CARS, source="<array>"), replace(CARS, source="<array>")) == [True, True]
    assert rows(path, "SELECT path FROM images") == [("<array>",)] * 2


@pytest.mark.parametrize("flush", [False, True], ids=["same part", "another part"])
def test_a_moved_photo_keeps_its_number(path, flush):
    with Store.open(path) as store:
        store.add(CARS, content_hash="0")
        if flush:
            store.flush()
        store.place(1, Photo("/elsewhere/x.jpg", "0", 5, 6))
        assert [known.id for known in store.at("/elsewhere/x.jpg")] == [1]
        assert store.at(photo_path("photo.jpg")) == []
    assert rows(path, "SELECT id, path, file_bytes, modified_ns FROM images") == [(1, "/elsewhere/x.jpg", 5, 6)]
    with Store.open(path) as store:
        assert store.find("0", "street@1").photo == Photo("/elsewhere/x.jpg", "0", 5, 6)


def test_label_sets_are_told_apart_by_what_they_say(path):
    other = LabelSet("stored", (*LABELS.labels[:3], Label("dog", (1, 2, 3), "狗", True)))
    add(path, CARS, replace(CARS, source="b.jpg", label_set=other))
    add(path, CARS, replace(CARS, source="c.jpg"))
    assert rows(path, "SELECT count(*), count(DISTINCT class) FROM labels") == [(5, 5)]


def test_hostile_names_are_only_data(path, tmp_path):
    name = "'; DROP TABLE images; -- \x1b[2J <script> \udcff 行人"
    labels = LabelSet(name.replace("\udcff", ""), (Label(name, (1, 2, 3), "\0"), *LABELS.labels[1:]))
    hostile = scene("c", source=str(tmp_path / name), model=f"{name}@1", label_set=labels)
    named = replace(hostile, regions=(replace(hostile.regions[0], name=name),), shares={name: 4 / 192})
    assert add(path, named) == [True]
    assert add(path, named) == [False]
    ((stored_path, model, label),) = rows(path, "SELECT path, model, class FROM images, regions")
    assert stored_path.endswith("<script> \\udcff 行人")
    assert model == as_text(f"{name}@1")
    assert label == as_text(name)
    with Store.open(path, read_only=True) as store:
        escaped = label.replace("\\", "\\\\")
        assert store.query(f'"{escaped}"').total == 1


@pytest.mark.parametrize("odd", ["a?b", "a\\b"])
def test_folders_of_any_name_but(odd, tmp_path):
    path = tmp_path / "a [b] *%20#'\"é" / "sc'enes.db"
    add(path, CARS)
    assert rows(path, "SELECT count(*) FROM images") == [(1,)]
    with pytest.raises(InputError, match="choose another place"):
        Store.open(tmp_path / odd / "scenes.duckdb")


# --- parts are the truth


def test_the_database_is_made_again_from_the_parts(path):
    add(path, CARS)
    add(path, CARS, replace(CARS, source="b.jpg"))
    before = rows(path, "SELECT * FROM relations ORDER BY ALL")
    path.unlink()
    path.with_name(path.name + ".wal").write_bytes(b"of the deleted file")
    assert rows(path, "SELECT * FROM relations ORDER BY ALL") == before
    assert add(path, CARS) == [False]


def test_parts_are_plain_parquet(path):
    add(path, CARS)
    files = str(parts_folder(path) / "*" / "relations.parquet")
    with duckdb.connect() as connection:
        found = connection.execute("SELECT count(*), min(predicate) FROM read_parquet(?)", [files]).fetchall()
    assert found == [(3, "between")]


def test_a_damaged_part_is_named(path):
    add(path, CARS)
    part = parts_folder(path) / "00000001" / "regions.parquet"
    part.write_bytes(part.read_bytes()[:50])
    path.unlink()
    with pytest.raises(InputError, match=r"00000001.*could not be taken in"):
        Store.open(path)
    with pytest.raises(InputError, match="00000001"):
        Store.open(path, read_only=True)


@pytest.mark.parametrize("content", [b"", b"not a database" * 500])
def test_a_file_that_is_no_store_is_left_alone(path, content):
    path.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(InputError, match="cannot be opened as a store"):
            Store.open(path, read_only=read_only)
    assert path.read_bytes() == content
    assert not parts_folder(path).exists()


def test_another_database_is_left_alone(path):
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(InputError, match="no store of segscape"):
        Store.open(path)
    assert not parts_folder(path).exists()


def test_a_store_of_another_layout_is_refused(path):
    add(path, CARS)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE segscape_store SET layout = 99")
    with pytest.raises(InputError, match="layout 99"):
        Store.open(path)


def test_there_must_be_a_store_to_read(path):
    with pytest.raises(InputError, match="no such store"):
        Store.open(path, read_only=True)
    assert not list(path.parent.iterdir())


def test_a_reader_cannot_write(path):
    add(path, CARS)
    with Store.open(path, read_only=True) as store, pytest.raises(InputError, match="for reading alone"):
        store.add(CARS, content_hash="1")


def test_relations_are_sorted_once_many_are_new(path, monkeypatch):
    monkeypatch.setattr(database, "_MOST_LOOSE_ROWS", 4)
    kinds = "SELECT predicate FROM relations"
    add(path, CARS)
    assert rows(path, kinds) == [("on",), ("supports",), ("between",)]
    add(path, CARS, replace(CARS, source="b.jpg"))
    assert rows(path, kinds) == [(name,) for name in ("between", "on", "supports") for _ in range(2)]
    add(path, CARS, replace(CARS, source="b.jpg"), replace(CARS, source="c.jpg"))
    assert rows(path, kinds)[6:] == [("on",), ("supports",), ("between",)]
    with Store.open(path, read_only=True) as store:
        assert store.query("car on road").total == 3


# --- several at once


def test_a_second_writer_is_refused_and_the_first_goes_on(path):
    with Store.open(path) as first:
        with pytest.raises(ResourceError, match=f"process {os.getpid()} is writing"):
            Store.open(path)
        first.add(CARS, content_hash="0")
    assert add(path, CARS) == [False]


def test_readers_and_a_writer_at_once(path):
    add(path, CARS)
    with Store.open(path, read_only=True) as one, Store.open(path, read_only=True) as two, Store.open(path) as writer:
        assert one.query("car").total == two.query("car").total == 1
        writer.add(replace(CARS, source="b.jpg"), content_hash="1")
        writer.flush()  # written, but the file is open for reading: taken in later
        assert (one.query("car").total, one.behind) == (1, True)
        one.close()
        two.close()
        writer.flush()
        assert writer.query("car").total == 2
    with Store.open(path, read_only=True) as store:
        assert (store.query("car").total, store.behind) == (2, False)


def test_a_reader_who_may_not_write_reads_what_is_there(path, monkeypatch):
    with Store.open(path) as writer:
        writer.add(CARS, content_hash="0")
        writer.flush()
        with Store.open(path, read_only=True) as reader:
            assert reader.query("car").total == 1  # from now on it has the file open
            writer.add(replace(CARS, source="b.jpg"), content_hash="1")
            writer.flush()
            monkeypatch.setattr(store_module.os, "access", lambda *_: False)
            with Store.open(path, read_only=True) as other:
                assert (other.query("car").total, other.behind) == (1, True)


def test_asking_needs_no_torch():
    code = "import segscape.store.store, segscape.store.showing, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_was_added_is_kept_when_the_block_ends_in_an_error(path):
    def interrupted():
        with Store.open(path) as store:
            store.add(CARS, content_hash="0")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert rows(path, "SELECT count(*) FROM images") == [(1,)]


def test_an_interrupt_while_writing_a_part_leaves_no_part(path, monkeypatch):
    with Store.open(path) as store:
        store.add(CARS, content_hash="0")

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("segscape.store.parts._flush", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.flush()
        assert [entry.name for entry in parts_folder(path).iterdir()] == ["lock"]
    assert rows(path, "SELECT count(*) FROM images") == [(1,)]


def test_many_images_are_written_in_between(path, monkeypatch):
    monkeypatch.setattr(store_module, "_MOST_IMAGES", 2)
    add(path, *(replace(CARS, source=f"{i}.jpg") for i in range(5)))
    assert part_numbers(parts_folder(path)) == [1, 2, 3]


# --- kill -9

WRITER = """
    import sys
    from dataclasses import replace
    sys.path.insert(0, sys.argv[2])
    from stored_scenes import scene
    from segscape.store.store import Store

    one = scene("rcc", [(2, "on", 1), (1, "supports", 2)])
    with Store.open(sys.argv[1]) as store:
        for i in range(100_000):
            store.add(replace(one, source=f"{i}.jpg"), content_hash=str(i))
            if i % 3 == 2:
                store.flush()
                print(i, flush=True)
"""


@pytest.mark.parametrize("wait_s", [0.0, 0.013, 0.029, 0.061, 0.11])
def test_a_killed_writer_leaves_a_whole_store(path, wait_s):
    """Killed at some moment of writing parts and taking them in, again and again on the same store."""
    for _ in range(2):
        command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            time.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
            said = (process.stdout.read().split() or [said.strip()])[-1]
        written = int(said) + 1
        with Store.open(path, read_only=True) as store:
            images = store.sql("SELECT count(*) FROM images").rows[0][0]
            assert images >= written
            assert images % 3 == 0
            for table, each in (("regions", 3), ("relations", 2)):
                counted = f"SELECT count(*) FROM {table} WHERE image IN (SELECT id FROM images)"
                assert store.sql(counted).rows == store.sql(f"SELECT count(*) FROM {table}").rows == ((each * images,),)
            assert store.query("car on road", limit=1).total == images
    with Store.open(path) as store:
        assert [entry.name for entry in parts_folder(path).iterdir() if entry.name.startswith(".")] == []
        assert store.add(replace(CARS, source="more.jpg"), content_hash="more")
    assert rows(path, "SELECT count(*), count(DISTINCT id), max(id) FROM images") == [(images + 1,) * 3]
