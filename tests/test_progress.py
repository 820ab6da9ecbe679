import io
import sys

import pytest

from segscape import progress as module
from segscape.progress import Progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("screen", [True, False])
@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize("total", [3, None])
def test_everything_is_yielded_in_order(monkeypatch, screen, quiet, total):
    monkeypatch.setattr(sys, "stderr", Screen() if screen else io.StringIO())
    progress = Progress(quiet=quiet)
    assert list(progress.track(iter("abc"), total, "[b]work[/b]")) == ["a", "b", "c"]
    assert list(progress("abc", total, "work")) == ["a", "b", "c"]
    if quiet or not screen:
        assert sys.stderr.getvalue() == ""


def test_quiet_says_nothing(capsys):
    Progress(quiet=True).message("no")
    assert capsys.readouterr() == ("", "")


def test_a_message_goes_to_stderr(capsys):
    Progress().message("[b]yes[/b]")
    assert capsys.readouterr() == ("", "[b]yes[/b]\n")


def test_lines_say_how_far_and_how_long(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 25.0, 30.0, 50.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    progress = Progress()
    for i in progress.track(range(4), 10, "train", done=6):
        progress.note = f"loss {i}"
    # At 25 s two of four are done, 12.5 s each; the next line comes at least 20 s later.
    assert capsys.readouterr().err.splitlines() == ["train 8/10, 25 s left  loss 1", "train 10/10, 0 s left  loss 3"]


def test_lines_without_a_total(monkeypatch, capsys):
    clock = iter([0.0, 30.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    list(Progress().track(["a"], None, "read"))
    assert capsys.readouterr().err == "read 1\n"


@pytest.mark.parametrize("stdout_is_screen", [True, False])
def test_stdout_that_is_no_screen_stays_apart_from_the_bar(monkeypatch, stdout_is_screen):
    out, err = (Screen() if stdout_is_screen else io.StringIO()), Screen()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    for i in Progress().track(range(2), 2, "work"):
        print(f"result {i}")  # noqa: T201
    assert "work" in err.getvalue()
    if not stdout_is_screen:
        assert out.getvalue() == "result 0\nresult 1\n"
        assert "result" not in err.getvalue()


def test_a_loop_that_stops_early_gives_the_streams_back(monkeypatch):
    out, err = Screen(), Screen()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    loop = Progress().track(range(9), 9, "work")
    next(loop)
    loop.close()
    assert sys.stdout is out
    assert sys.stderr is err
