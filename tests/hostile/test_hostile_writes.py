"""Full disks, places that cannot be written to, and kill -9 in the middle: what stood there before stays whole."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import segscape.files
from segscape.cli import main
from segscape.errors import InputError, ResourceError
from segscape.models import build_model
from segscape.models.bundle import load_bundle, read_card, record_metrics, save_bundle

resource = pytest.importorskip("resource")

WRITER = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from segscape.files import write_bytes
target, versions = Path(sys.argv[2]), [Path(p).read_bytes() for p in sys.argv[3:]]
print("ready", flush=True)
for content in itertools.cycle(versions):
    write_bytes(target, content)
"""


@contextlib.contextmanager
def disk_with(num_bytes: int) -> Iterator[None]:
    """No file may grow beyond this, as if the disk were full then: the system itself fails in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("room", [0, 200, 1500])
def test_predict_on_a_full_disk_leaves_old_results_as_they_were(
    tiny_bundle, make_photo, tmp_path, monkeypatch, capsys, room
):
    monkeypatch.chdir(tmp_path)
    photo = make_photo("a.png")
    arguments = ["predict", str(photo), "--model", str(tiny_bundle), "--out", "res", "--quiet"]
    (tmp_path / "res").mkdir()
    for name in ("a.overlay.jpg", "a.labels.png", "a.json"):
        (tmp_path / "res" / name).write_bytes(b'"label_set" ' * 400)  # a result's, as far as anyone looks
    old = contents(tmp_path / "res")
    with disk_with(room):
        code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (4, "")
    assert "no space left to write it; free some disk space" in err
    assert "Traceback" not in err
    new = contents(tmp_path / "res")
    assert set(new) == set(old)  # nothing half written lies about
    assert new["a.overlay.jpg"] == old["a.overlay.jpg"]
    assert new["a.json"] == old["a.json"]
    assert main(arguments) == 0  # and with room again it works
    assert all(new != old[name] for name, new in contents(tmp_path / "res").items())


def test_a_full_disk_leaves_the_old_bundle(tiny_bundle, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_bundle.read_bytes())
    old = contents(tmp_path)
    model, card = load_bundle(path)
    for act in (lambda: save_bundle(path, model.state_dict(), card), lambda: record_metrics(path, "test", {"miou": 1})):
        with disk_with(5000), pytest.raises(ResourceError, match=r"m\.safetensors.*no space left"):
            act()
        assert contents(tmp_path) == old


def test_recording_on_a_read_only_bundle_says_so(tiny_bundle, make_mask_folder, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "installed"
    folder.mkdir()
    bundle = folder / "m.safetensors"
    bundle.write_bytes(tiny_bundle.read_bytes())
    original = os.open

    def refuse(path, flags, *rest, **options):
        if flags & os.O_WRONLY and Path(path).parent == folder:  # root may write anywhere, so chmod would not do
            raise PermissionError(13, "Permission denied")
        return original(path, flags, *rest, **options)

    data = make_mask_folder(test=1)
    monkeypatch.setattr(segscape.files.os, "open", refuse)
    code = main(["evaluate", str(bundle), str(data), "--record", "--quiet"])
    monkeypatch.undo()
    assert code == 2
    assert "cannot be written here" in capsys.readouterr().err
    assert bundle.read_bytes() == tiny_bundle.read_bytes()


@pytest.mark.parametrize("place", ["file/sub", "file", "n" * 300])
def test_places_that_cannot_hold_results(tiny_predictor, make_photo, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    result = tiny_predictor.predict(make_photo("a.png"))
    with pytest.raises(InputError, match="cannot be written here"):
        result.save(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_killed_at_any_moment_the_bundle_is_the_old_or_the_new_one(tiny_bundle, tmp_path):
    card = read_card(tiny_bundle)
    versions = []
    for i in range(2):  # large enough for a kill to hit the middle of a write
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(i)
            options = {"base_channels": 32, "depth": 3}
            model = build_model("unet", len(card.label_set), options)
        path = tmp_path / f"{i}.safetensors"
        saved = save_bundle(
            path, model.state_dict(), type(card)("big", "unet", options, card.label_set, card.preprocess)
        )
        versions.append((path, saved.sha256))
    target = tmp_path / "target" / "best.safetensors"
    target.parent.mkdir()
    target.write_bytes(versions[0][0].read_bytes())
    source = Path(segscape.files.__file__).parents[1]
    delays = random.Random(0)
    for _ in range(7):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(source), str(target), *(str(path) for path, _ in versions)],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(delays.uniform(0.01, 0.25))
        child.kill()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        assert load_bundle(target)[1].sha256 in {digest for _, digest in versions}
        # What the killed one had begun is a hidden file of another name.
        assert all(path == target or path.name.startswith(".writing-") for path in target.parent.iterdir())
