"""A folder's scenes as one HTML file that needs no network, and as one JSON file."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from segscape import __version__
from segscape.errors import ConfigError, InputError
from segscape.files import atomic_write, explain_os_error
from segscape.labels import Label, hex_color
from segscape.report.panel import Panel, make_panel, percent
from segscape.report.relation_lines import FAMILIES
from segscape.report.statistics import AREA_EDGES, Statistics
from segscape.report.words import LANGUAGES, WORDS, around_object, predicate_words
from segscape.scene.clauses import PUNCTUATION, Clause, Description
from segscape.scene.colors import COLOR_NAMES
from segscape.scene.describe import LENGTHS
from segscape.scene.kind import KINDS_ZH
from segscape.scene.say_zh import PLACES as PLACES_ZH
from segscape.scene.scene import PLACES, Scene
from segscape.scene.vocabulary import name_en, name_zh
from segscape.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MOST_IMAGES = 100


def write_report(
    scenes: Iterable[Scene],
    folder: Path,
    *,
    lang: str = "en",
    title: str = "",
    max_images: int = MOST_IMAGES,
    failed: Sequence[Mapping[str, str]] = (),
) -> dict[str, Path]:
    """Write report.html and report.json into ``folder``, made when missing; earlier ones are replaced.

    Scenes are taken one by one and none is kept, so a folder of many images needs the memory of one. Photos are brought
    down to 960 px; an image takes some 0.2 to 0.5 MB of the page.

    Args:
        scenes: at least one. With their photos, the page shows them.
        folder: where to write.
        lang: "en" or "zh", the language in which the page opens; it holds both.
        title: of the page; "" is "Scenes".
        max_images: the page shows so many, the first ones; figures and report.json are of all.
        failed: "source" and "error" of each image that gave no scene, for the page to name. Looked at after the last of
            ``scenes``, so what makes them may fill it.

    Returns:
        "report" and "json": the paths written.

    Raises:
        ConfigError: lang or max_images is none.
        InputError: there is no scene, or ``folder`` cannot be written to.
        ResourceError: the disk is full.
    """
    check_options(lang, max_images)
    paths = {"json": folder / "report.json", "report": folder / "report.html"}
    environment = _environment(lang)
    statistics, contents = Statistics(), []
    with atomic_write(paths["json"]) as json_path, _scratch(folder) as panels, json_path.open("wb") as document:
        document.write(b'{"segscape_report": 1,\n"scenes": [')
        for number, scene in enumerate(scenes, start=1):
            descriptions = {one: {length: scene.describe(one, length) for length in LENGTHS} for one in LANGUAGES}
            statistics.add(scene)
            document.write(b",\n" if number > 1 else b"\n")
            document.write(_json(_entry(scene, descriptions)))
            if number <= max_images:
                panel = make_panel(number, scene, descriptions)
                html = environment.get_template("scene_panel.html.jinja").render(panel=panel, scene=scene)
                panels.write(_utf8(html))
                contents.append((panel.name, scene.kind.name, _texts(panel), len(panel.groups), len(_utf8(html))))
        if not statistics.num_images:
            raise InputError("there is no scene to report on")
        facts = {"title": title, "failed": list(failed), "statistics": statistics.to_dict()}
        document.write(b"],\n" + _json(facts)[1:] + b"\n")
        with atomic_write(paths["report"]) as page_path, page_path.open("wb") as page:
            values = {
                "title": printable(title),
                "statistics": statistics,
                "contents": contents,
                "failed": [{key: printable(text) for key, text in failure.items()} for failure in failed],
                "most_groups": max(entry[3] for entry in contents),
                "panels": _read_back(panels, [entry[4] for entry in contents]),
            }
            for piece in environment.get_template("scene_report.html.jinja").generate(values):
                page.write(_utf8(piece))
    return paths


def check_options(lang: str, max_images: int) -> None:
    """Raise a `ConfigError` if ``lang`` or ``max_images`` is none that `write_report` takes."""
    if lang not in LANGUAGES:
        raise ConfigError(f"a report opens in one of {', '.join(LANGUAGES)}, not {lang!r}")
    if max_images < 1:
        raise ConfigError(f"a report shows at least 1 image, not {max_images}")


def _entry(scene: Scene, descriptions: Mapping[str, Mapping[str, Description]]) -> dict[str, Any]:
    said = {one: {length: d.to_dict() for length, d in by_length.items()} for one, by_length in descriptions.items()}
    return {"scene": scene.to_dict(), "descriptions": said}


def _json(value: Any) -> bytes:
    return _utf8(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _utf8(text: str) -> bytes:
    """A file name that is no text stands as \\udcXX, which JSON reads back; `printable` keeps it out of the page."""
    return text.encode("utf-8", "backslashreplace")


def _texts(panel: Panel) -> tuple[str, str]:
    return panel.descriptions["en"]["short"].text, panel.descriptions["zh"]["short"].text


def _scratch(folder: Path) -> IO[bytes]:
    """A file without a name, on the disk the page goes to: the figures at its top are known after the last image."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise explain_os_error(error, folder) from error


def _read_back(panels: IO[bytes], lengths: Sequence[int]) -> Iterator[Markup]:
    from markupsafe import Markup

    panels.seek(0)
    for length in lengths:
        yield Markup(panels.read(length).decode("utf-8"))


def _environment(lang: str) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    def both(en: str, zh: str, tag: str = "span") -> Markup:
        """Text in both languages, of which the style sheet shows one."""
        if en == zh:
            return escape(en)
        return Markup('<{0} lang="en">{1}</{0}><{0} lang="zh">{2}</{0}>').format(Markup(tag), en, zh)

    def words(key: str, tag: str = "span") -> Markup:
        return both(*WORDS[key], tag=tag)

    def attribute(name: str, key: str) -> Markup:
        """An attribute in the page's first language; the script changes it with the language."""
        en, zh = WORDS[key]
        return Markup('{0}="{1}" data-attribute="{0}" data-en="{2}" data-zh="{3}"').format(
            Markup(name), zh if lang == "zh" else en, en, zh
        )

    def class_words(label: Label, tag: str = "span") -> Markup:
        return both(printable(name_en(label.name)), printable(name_zh(label.name, label.zh)), tag)

    def color_words(name: str) -> Markup:
        return both(name, COLOR_NAMES.get(name, name))

    def kind_words(name: str) -> Markup:
        return both(printable(name), printable(KINDS_ZH.get(name, name)))

    def spoken(clause: Clause) -> tuple[str, str, str]:
        """What stands before it, the words, and what follows: spaces and punctuation are not the clause's own."""
        body = printable(clause.text.strip(PUNCTUATION))
        before, _, after = printable(clause.text).partition(body)
        return before, body, after

    script = _own_text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=FunctionLoader(_own_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "hex": hex_color, "printable": printable}
    environment.globals |= {
        "lang": lang,
        "languages": LANGUAGES,
        "lengths": LENGTHS,
        "predicates": list(FAMILIES),
        "families": FAMILIES,
        "version": __version__,
        "style": Markup(_own_text("report.css")),
        "script": Markup(script),
        "script_digest": digest,
        "area_starts": ["0", *(f"{100 * edge:g}%" for edge in AREA_EDGES[:-1])],
        "both": both,
        "w": words,
        "attribute": attribute,
        "class_words": class_words,
        "predicate_words": lambda name: both(*predicate_words(name)),
        "predicate_words_en": lambda name: predicate_words(name)[0],
        "color_words": color_words,
        "places": PLACES,
        "spoken": spoken,
        "place_words": lambda place: both(place, PLACES_ZH[place]),
        "around_object": around_object,
        "kind_words": kind_words,
        "label_of": lambda row: Label(row["label"], tuple(row["color"]), row["zh"]),
    }
    return environment


def _own_text(name: str) -> str:
    return resources.files("segscape.report").joinpath(name).read_text("utf-8")
