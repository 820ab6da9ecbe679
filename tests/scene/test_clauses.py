"""How a description's text is put together."""

import pytest

from segscape.scene.clauses import Clause, Description


@pytest.mark.parametrize(
    ("ids", "cited"),
    [
        ((), "Two cars."),
        ((4,), "Two cars [4]."),
        ((7, 4), "Two cars [4, 7]."),
        ((4, 5), "Two cars [4, 5]."),
        ((9, 2, 5, 6, 7, 8), "Two cars [2, 5–9]."),
        (tuple(range(1, 65)), "Two cars [1–64]."),
        (tuple(range(1, 100, 2)), f"Two cars [{', '.join(map(str, range(1, 48, 2)))}, …]."),
    ],
)
def test_citations(ids, cited):
    assert Description("en", "short", ((Clause("Two cars.", ids),),), cite=True).text == cited
    assert Description("en", "short", ((Clause("Two cars.", ids),),)).text == "Two cars."


@pytest.mark.parametrize(("lang", "text"), [("en", "One. Two."), ("zh", "One.Two.")])
def test_sentences_are_parted_as_the_language_does(lang, text):
    assert str(Description(lang, "short", ((Clause("One"), Clause(".")), (Clause("Two."),)))) == text
