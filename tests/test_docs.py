"""README and docs are true: written parts are fresh, commands parse, links lead somewhere, the snippet runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from segscape.cli import app
from segscape.models.bundle import read_card
from segscape.predict.predictor import bundled_models

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem + "_script", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return script(ROOT / "docs" / "build.py")


def commands() -> list[str]:
    """Lines of the README's shell blocks that call segscape."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("segscape ")]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 6


@pytest.mark.parametrize("command", commands())
def test_readme_command_parses(command: str) -> None:
    app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


def test_cli_page_is_fresh(build: ModuleType) -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == build.cli_page(), "run `make docs`"


def test_recipes_page_is_fresh(build: ModuleType) -> None:
    assert (ROOT / "docs" / "recipes.md").read_text() == build.recipes_page(), "run `make docs`"


def test_results_are_those_on_the_cards(build: ModuleType) -> None:
    table = build.results_table([read_card(path) for path in bundled_models().values()])
    assert "| **street** " in table
    assert table in (ROOT / "README.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_readme_snippet_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    shutil.copy(ROOT / "examples" / "photos" / "street.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {"photo.overlay.jpg", "photo.labels.png", "photo.json"}


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
    assert (tmp_path / "overview.jpg").stat().st_size > 50_000
