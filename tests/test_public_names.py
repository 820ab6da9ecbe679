import pytest

import segscape

NAMES = [
    "ConfigError",
    "DataError",
    "HugeResult",
    "Image",
    "ImageError",
    "InputError",
    "Label",
    "LabelSet",
    "ModelError",
    "Predictor",
    "Region",
    "Relation",
    "ResourceError",
    "RunLengths",
    "Scene",
    "SceneRegion",
    "SegscapeError",
    "Segmentation",
    "TrainingDiverged",
    "load",
    "predict_huge",
]


def test_the_public_names_are_these_and_no_more():
    assert sorted(segscape.__all__) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves(name):
    assert getattr(segscape, name).__name__ == name
    assert name in dir(segscape)


def test_other_names_do_not():
    with pytest.raises(AttributeError, match="'segscape' has no attribute 'nothing'"):
        _ = segscape.nothing
