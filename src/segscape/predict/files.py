"""Many files: decoding, network and writing overlap, and one bad file stops nothing."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segscape.errors import ConfigError, InputError, ResourceError
from segscape.predict.pipeline import segmentations
from segscape.predict.predictor import Predictor
from segscape.result import Segmentation
from segscape.result_files import RESULT_SUFFIXES, safe_stem
from segscape.threads import num_threads

if TYPE_CHECKING:
    from segscape.predict.panoptic_predictor import PanopticPredictor

_AHEAD = 2  # images decoded or waiting to be written besides those in the network: bounds the memory


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one file: a segmentation and the files written, or the error."""

    source: Path
    segmentation: Segmentation | None = None
    written: dict[str, Path] | None = None
    error: InputError | ResourceError | None = None


def predict_files(
    predictor: Predictor | PanopticPredictor,
    files: Sequence[Path],
    out: Path | None,
    *,
    workers: int | None = None,
    stems: Sequence[str] | None = None,
    **options: Any,
) -> Iterator[Outcome]:
    """Segment files in their order and write the results.

    Args:
        predictor: the model, or the two of a panoptic one.
        files: see `segscape.image.image_files`.
        out: folder for overlay, label map and JSON of each; None writes nothing.
        workers: threads that decode, and as many that write; None for half as many as there are cores, at least one.
        stems: of the results' names, one a file or more, all different; None for `unique_stems`.
        options: as `Predictor.predict` takes them.

    Yields:
        one `Outcome` a file. An image that cannot be read or does not fit into memory is an outcome with its error.

    Raises:
        ConfigError: an option is out of range, or a result would overwrite one of ``files``.
        ResourceError: the disk is full.
        InputError: ``out`` cannot be written to.
    """
    stems = unique_stems(files) if stems is None else stems[: len(files)]
    if out is not None:
        spare_the_inputs(files, stems, out, RESULT_SUFFIXES.values())
    workers = workers or max(1, num_threads() // 2)
    ahead = _AHEAD + workers - 1
    writing: deque[tuple[Path, Segmentation, Future[dict[str, Path]]]] = deque()
    with (
        ThreadPoolExecutor(workers, "write") as writer,
        closing(segmentations(predictor, files, ahead=ahead, decoders=workers, **options)) as segmented,
    ):

        def written(most: int) -> Iterator[Outcome]:
            while len(writing) > most:
                path, result, future = writing.popleft()
                yield Outcome(path, result, future.result())

        try:
            for path, stem, segmentation in zip(files, stems, segmented, strict=True):
                try:
                    result = segmentation.result()
                except ConfigError:
                    raise  # it would be the same for every file
                except (InputError, ResourceError) as error:
                    yield from written(0)  # keeps the order of the files
                    yield Outcome(path, error=error)
                    continue
                if out is None:
                    yield Outcome(path, result)
                    continue
                writing.append((path, result, writer.submit(result.save, out, stem)))
                yield from written(ahead)
            yield from written(0)
        finally:
            writer.shutdown(wait=False, cancel_futures=True)


def spare_the_inputs(files: Sequence[Path], stems: Sequence[str], out: Path, suffixes: Iterable[str]) -> None:
    """Refuse to overwrite ``files``, and JSON of others, by results: the stems with the suffixes in ``out``.

    Raises:
        ConfigError: a result is one of the files, or a JSON file that is no result (LabelMe's lie beside the photos).
    """
    for stem in stems:
        document = out / f"{safe_stem(stem)}.json"
        if document.is_file() and b'"label_set"' not in document.read_bytes():
            raise ConfigError(
                f"{str(document)!r} was not written by Segscape, and a result would overwrite it; give another --out"
            )
    if out.resolve() not in {path.resolve().parent for path in files}:
        return
    inputs = {path.resolve() for path in files}
    for stem in stems:
        for suffix in suffixes:
            if (result := (out / f"{safe_stem(stem)}{suffix}").resolve()) in inputs:
                raise ConfigError(f"{str(result)!r} is an input, and a result would overwrite it; give another --out")


def unique_stems(files: Sequence[Path]) -> list[str]:
    """A name for each file's results: its stem, and where files share one, "stem", "stem-2", "stem-3".

    Names differ as file names, also where a file system ignores case or the way accents are stored; a file whose own
    stem is "stem-2" keeps it.
    """
    taken: set[str] = set()
    own = {_file_name(path.stem) for path in files}
    last: dict[str, int] = {}  # the last number given for a stem: counting again from 2 takes long for many
    stems = []
    for path in files:
        stem, number = path.stem, last.get(path.stem, 1)
        while (name := _file_name(stem)) in taken or (number > 1 and name in own):
            number += 1
            stem = f"{path.stem}-{number}"
        last[path.stem] = number
        taken.add(name)
        stems.append(stem)
    return stems


def _file_name(stem: str) -> str:
    return unicodedata.normalize("NFC", safe_stem(stem)).casefold()
