import errno
import json
import os
import stat
import threading

import pytest

from segscape.errors import InputError, ResourceError
from segscape.files import atomic_write, write_bytes, write_text


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("name", ["a.json", "no suffix", "-dash.png", "new\nline.txt", "<b>&.txt", "空.txt", ".hidden"])
def test_a_file_is_written_and_nothing_else(tmp_path, name):
    write_text(tmp_path / name, "天空\n")
    assert listing(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == "天空\n".encode()


def test_text_that_is_no_unicode_is_written_as_json_reads_it(tmp_path):
    text = json.dumps("caf\udce9 天空", ensure_ascii=False)
    write_text(tmp_path / "a.json", text)
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == "caf\udce9 天空"


def test_folders_are_made_and_files_replaced(tmp_path):
    target = tmp_path / "a" / "b" / "c.txt"
    write_bytes(target, b"old and longer")
    write_bytes(str(target), b"new")
    assert target.read_bytes() == b"new"
    assert listing(target.parent) == ["c.txt"]


def test_the_temporary_file_lies_beside_the_target_and_has_its_suffix(tmp_path):
    with atomic_write(tmp_path / "x.png") as path:
        assert path.parent == tmp_path
        assert path.suffix == ".png"
        assert not (tmp_path / "x.png").exists()
    assert listing(tmp_path) == ["x.png"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), InputError("no")])
def test_when_writing_fails_the_old_file_stays(tmp_path, error):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_write(target) as path:  # noqa: PT012
        path.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert listing(tmp_path) == ["x.txt"]


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.ENOSPC, ResourceError, "no space left"),
        (errno.EDQUOT, ResourceError, "no space left"),
        (errno.EFBIG, ResourceError, "no space left"),
        (errno.EIO, ResourceError, "could not be written"),
        (errno.EACCES, InputError, "cannot be written here"),
        (errno.EROFS, InputError, "cannot be written here"),
    ],
)
@pytest.mark.parametrize("when", ["body", "fsync", "open"])
def test_errors_of_the_system_say_what_to_do(tmp_path, monkeypatch, code, kind, says, when):
    def fail(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    (tmp_path / "x.txt").write_text("old")
    if when != "body":
        monkeypatch.setattr(os, when, fail)
    with pytest.raises(kind, match=rf"x\.txt.*{says}") as caught, atomic_write(tmp_path / "x.txt"):  # noqa: PT012
        if when == "body":
            fail()
    monkeypatch.undo()
    assert isinstance(caught.value.__cause__, OSError)
    assert listing(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_places_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for target in (tmp_path / "file" / "x.txt", tmp_path / "folder", tmp_path / ("n" * 300), tmp_path / ("n." * 150)):
        with pytest.raises(InputError, match="cannot be written here"):
            write_text(target, "x")
    assert listing(tmp_path) == ["file", "folder"]


def test_files_get_the_usual_mode_and_the_umask_is_never_touched(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        # Changing it even for a moment would change it for every thread that writes at that moment.
        monkeypatch.setattr(os, "umask", None)
        write_bytes(tmp_path / "x", b"")
        monkeypatch.undo()
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_readers_see_the_old_or_the_new_file_but_never_a_part(tmp_path):
    target = tmp_path / "x"
    versions = [bytes([i]) * 100_000 for i in range(4)]
    write_bytes(target, versions[0])
    writers = [threading.Thread(target=lambda v=v: [write_bytes(target, v) for _ in range(5)]) for v in versions]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert target.read_bytes() in versions
    assert listing(tmp_path) == ["x"]
