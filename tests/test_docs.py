"""README and docs are true: written parts are fresh, commands parse, links lead somewhere, the snippet runs."""

from __future__ import annotations

import builtins
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from segscape.cli import app
from segscape.image import read_image
from segscape.losses import LOSSES
from segscape.models import MODELS
from segscape.models.bundle import read_card
from segscape.predict.locate import bundled_models
from segscape.result_files import write_jpeg

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def script(path: Path) -> ModuleType:
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as when it is run: scripts import their neighbours
    spec = importlib.util.spec_from_file_location(path.stem + "_script", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return script(ROOT / "docs" / "build.py")


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    return script(ROOT / "docs" / "networks.py")


def commands() -> list[str]:
    """Lines of the README's shell blocks that call segscape."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("segscape ")]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands())
def test_readme_command_parses(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


def test_cli_page_is_fresh(build: ModuleType) -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == build.cli_page(), "run `make docs`"


def test_cli_page_knows_every_verb(build: ModuleType) -> None:
    verbs = {verb for verb in app if not verb.startswith("-")}
    assert verbs - {verb.split()[0] for verb in build.VERBS if verb} == set()


def test_tables_are_those_of_the_benchmarks(build: ModuleType) -> None:
    assert build.huge_table() in (ROOT / "docs" / "huge.md").read_text("utf-8"), "run `make docs`"
    assert build.precision_table() in (ROOT / "docs" / "export.md").read_text("utf-8"), "run `make docs`"


def test_recipes_page_is_fresh(build: ModuleType) -> None:
    assert (ROOT / "docs" / "recipes.md").read_text() == build.recipes_page(), "run `make docs`"


def test_results_are_those_on_the_cards(build: ModuleType) -> None:
    table = build.results_table([read_card(path) for path in bundled_models().values()])
    assert "| **street** " in table
    assert table in (ROOT / "README.md").read_text(), "run `make docs`"


def test_networks_page_is_fresh(networks: ModuleType) -> None:
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert networks.written(text) == text, "run `make docs`"


def test_networks_page_knows_every_network_and_loss() -> None:
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert [name for name in (*MODELS, *LOSSES) if f"`{name}`" not in text] == []


def test_glossary_holds_the_terms_that_the_page_explains() -> None:
    body, glossary = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8").split("## Glossary")
    terms = re.findall(r"^\| [^|]+ \| ([^|]*[\u4e00-\u9fff][^|]*) \|$", glossary, re.M)[1:]
    assert len(terms) >= 40
    assert [term for term in terms if term not in body] == []
    explained = re.findall(r"\*\*[^()]*?\((?:Dice )?([\u4e00-\u9fff]+)", body)
    assert [term for term in explained if not any(term in known for known in terms)] == []


def test_networks_snippets_run_or_fail_as_the_page_says() -> None:
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(\w+): (.*?)\n```)?", text, re.S)
    assert len(blocks) == text.count("```python\n") >= 9
    names: dict[str, Any] = {}
    for code, error, message in blocks:
        if not error:
            exec(code, names)
            continue
        with pytest.raises(getattr(builtins, error)) as raised:
            exec(code, names)
        assert message in str(raised.value)
    assert sum(bool(error) for _, error, _ in blocks) == 3


def test_diagrams(networks: ModuleType, tmp_path: Path) -> None:
    networks.draw_border_weights(tmp_path / "border-weights.png")
    networks.draw_atrous(tmp_path / "atrous.png")
    for picture in tmp_path.iterdir():
        assert (ROOT / "docs" / "networks" / picture.name).exists()
        assert 5_000 < picture.stat().st_size < 150_000


def test_skips_picture(networks: ModuleType, tiny_bundle: Path, tmp_path: Path) -> None:
    photo = ROOT / "examples" / "photos" / "temple.jpg"
    networks.draw_skips([str(tiny_bundle)] * 3, photo, tmp_path / "skips.jpg")
    height, width = read_image(tmp_path / "skips.jpg").pixels.shape[:2]
    assert width > 4 * networks.PANEL_WIDTH_PX
    assert height < width / 4
    assert (tmp_path / "skips.jpg").stat().st_size < 150_000


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def run_snippets(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All Python of a page, one after another, where before.jpg and photo.jpg are two streets; its names."""
    for name, photo in (("before.jpg", "crossing.jpg"), ("photo.jpg", "street.jpg")):
        scaled = read_image(ROOT / "examples" / "photos" / photo).pixels[::3, ::3]
        write_jpeg(folder / name, np.ascontiguousarray(scaled))
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        exec(snippet, names)
    return names


def test_readme_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_snippets(ROOT / "README.md", tmp_path, monkeypatch)
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "photo.overlay.jpg",
        "photo.labels.png",
        "photo.json",
    }
    assert names["scene"].regions


def test_scene_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_snippets(ROOT / "docs" / "scene.md", tmp_path, monkeypatch)
    assert names["clause"].regions
    assert (tmp_path / "photo.graph.dot").exists()


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo = script(ROOT / "examples" / "demo.py")
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(tmp_path)])
    demo.main()
    said = capsys.readouterr().out
    photos = sorted((ROOT / "examples" / "photos").glob("*.jpg"))
    assert len(photos) >= 2
    for photo in photos:
        assert photo.name in said
        assert (tmp_path / f"{photo.stem}.overlay.jpg").stat().st_size > 10_000
        assert (tmp_path / f"{photo.stem}.graph.jpg").stat().st_size > 10_000
    assert "64 nuclei" in said
    assert "街景" in said
    assert (tmp_path / "overview.jpg").stat().st_size > 50_000
    assert "cells.png" in (tmp_path / "report.html").read_text("utf-8")
