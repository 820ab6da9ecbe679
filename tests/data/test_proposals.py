"""What stray label values probably mean."""

import pytest

from segscape.data.proposals import propose_map
from segscape.labels import Label, LabelSet


def classes(count, ignore=255):
    return LabelSet("t", tuple(Label(f"c{i}", (20 * i, 0, 0)) for i in range(count)), ignore)


@pytest.mark.parametrize(
    ("label_set", "found", "strays", "expected", "words"),
    [
        (classes(11, 11), {*range(12), 37}, [37], {"37": 11}, "leaving"),
        (classes(11, 11), {0, 1, 37}, [37], {"37": 11}, "leaving"),
        (classes(2), {0, 255}, [], {"255": 1}, "0 and 255"),
        (classes(2, 9), {0, 255}, [255], {"255": 1}, "0 and 255"),
        (classes(3), {1, 2, 3}, [3], {"1": 0, "2": 1, "3": 2}, "count from 1"),
        (classes(3), {1, 3, 255}, [3], {"1": 0, "2": 1, "3": 2}, "count from 1"),
        (classes(3), {0, 1, 2, 3}, [3], {"3": 255}, "leaving"),
        (classes(3), {0, 1, 37}, [37], {"37": 255}, "leaving"),
        (classes(3), {0, 127, 254}, [127, 254], {"127": 1, "254": 2}, "spread"),
        (classes(2), set(range(376)) - {255}, [*range(2, 376)], {"1-65535": 1}, "numbered objects"),
        (classes(2), set(range(20)), [*range(2, 20)], {"1-255": 1}, "numbered objects"),
        (classes(2), {0, 1, 2}, [2], {"2": 255}, "leaving"),
        (classes(3), {(0, 0, 0), (23, 2, 0)}, [(23, 2, 0)], {"#170200": 1}, "same colour"),
        (classes(3), {(0, 0, 0), (0, 90, 0)}, [(0, 90, 0)], {"#005a00": 255}, "same colour"),
    ],
)
def test_proposals(label_set, found, strays, expected, words):
    proposed, supposed = propose_map(found, strays, label_set)
    assert proposed == expected
    assert words in supposed
