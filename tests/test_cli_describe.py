"""``segscape describe``."""

import json

import pytest

from segscape.scene.document import from_dict


@pytest.mark.parametrize("arguments", [(), ("--lang", "zh"), ("--length", "short"), ("--length", "full")])
def test_it_says_what_the_scene_says(run, make_photo, tiny_bundle, tiny_predictor, arguments):
    photo = make_photo("a.png")
    code, out, err = run("describe", photo, "--model", tiny_bundle, "--engine", "torch", *arguments)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    scene = tiny_predictor.predict(photo).scene()
    said = scene.describe(options.get("--lang", "en"), options.get("--length", "normal")).text
    assert (code, out, err) == (0, said + "\n", "")
    assert any(name in out for label in scene.label_set for name in (label.name, label.zh))


def test_cited(run, make_photo, tiny_bundle):
    code, out, _ = run("describe", make_photo("a.png"), "--model", tiny_bundle, "--cite")
    assert code == 0
    assert "[1" in out


def test_several_are_told_apart_and_a_bad_one_stops_nothing(run, make_photo, tiny_bundle, tmp_path):
    make_photo("a.png")
    make_photo("c.png", seed=2)
    (tmp_path / "b.png").write_text("no picture")
    code, out, err = run("describe", "a.png", "b.png", "c.png", "--model", tiny_bundle)
    assert code == 2
    assert [line.split(": ")[0] for line in out.splitlines()] == ["a.png", "c.png"]
    assert "b.png" in err
    assert "1 of 3 inputs failed" in err


def test_json_holds_scene_and_sentences(run, make_photo, tiny_bundle, tiny_predictor):
    photo = make_photo("a.png")
    code, out, err = run("describe", photo, "--model", tiny_bundle, "--engine", "torch", "--json", "--lang", "zh")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert set(document) == {"model", "results", "failed"}
    (result,) = document["results"]
    scene = from_dict(result["scene"])
    assert scene.regions == tiny_predictor.predict(photo).scene().regions
    assert result["description"] == scene.describe("zh").to_dict()


def test_the_graph_is_written_in_every_form(run, make_photo, tiny_bundle, tmp_path):
    code, out, _ = run("describe", make_photo("a.png"), "--model", tiny_bundle, "--out", "res")
    endings = ["scene.json", "graph.jpg", "graph.graphml", "graph.dot", "graph.jsonld"]
    assert code == 0
    assert [line.strip() for line in out.splitlines()[1:]] == [f"res/a.{ending}" for ending in endings]
    assert {path.name for path in (tmp_path / "res").iterdir()} == {f"a.{ending}" for ending in endings}


def test_compared_with_a_later_photo(run, make_photo, tiny_bundle, tiny_predictor):
    before, after = make_photo("a.png"), make_photo("b.png", seed=5)
    arguments = ("describe", before, "--model", tiny_bundle, "--engine", "torch", "--compare", after)
    code, out, _ = run(*arguments)
    difference = tiny_predictor.predict(before).scene().diff(tiny_predictor.predict(after).scene())
    assert code == 0
    assert out.splitlines()[1] == difference.text("en")
    code, out, _ = run(*arguments, "--json")
    said = json.loads(out)["results"][0]["difference"]
    assert said.pop("text") == difference.text("en")
    assert said == json.loads(json.dumps(difference.to_dict()))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a.png", "--lang", "fr"), "fr"),
        (("a.png", "--length", "long"), "long"),
        (("a.png", "wide.png", "--compare", "a.png"), "one photo"),
        (("a.png", "--compare", "wide.png"), "wide.png"),
        (("a.png", "--compare", "nothing.png"), "nothing.png"),
        (("nothing.png",), "nothing.png"),
        (("a.png", "--panoptic", "one+two"), "leave --model out"),
    ],
)
def test_refused_in_one_line(run, make_photo, tiny_bundle, arguments, says):
    make_photo("a.png")
    make_photo("wide.png", width=50)
    model = () if "--model" in arguments else ("--model", tiny_bundle)
    code, out, err = run("describe", *arguments, *model)
    assert (code, out) == (2, "")
    assert says in err
