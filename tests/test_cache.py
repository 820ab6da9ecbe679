from pathlib import Path

import pytest

from segscape.cache import cache_folder
from segscape.errors import ConfigError


@pytest.mark.parametrize(
    ("stated", "xdg", "folder"),
    [
        ("/a/b", "/x", "/a/b"),
        ("~/c", "", "/home/me/c"),
        ("", "/x", "/x/segscape"),
        ("", "", "/home/me/.cache/segscape"),
    ],
)
def test_where_it_is(monkeypatch, stated, xdg, folder):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SEGSCAPE_CACHE", stated)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_folder() == Path(folder)


def test_a_home_that_is_not_there(monkeypatch):
    monkeypatch.setenv("SEGSCAPE_CACHE", "~nobody-of-this-name/x")
    with pytest.raises(ConfigError, match="set SEGSCAPE_CACHE"):
        cache_folder()
