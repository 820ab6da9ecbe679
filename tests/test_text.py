import pytest

from segscape.text import printable


@pytest.mark.parametrize(
    ("name", "shown"), [("a b.jpg", "a b.jpg"), ("a\nb\u202e", "a\\nb\\u202e"), ("\udcff车", "\\udcff车")]
)
def test_printable(name, shown):
    assert printable(name) == shown


def test_lines_are_kept_where_asked_for():
    assert printable("a\nb\x1b[2J\r", keep_lines=True) == "a\nb\\x1b[2J\\r"
