"""Reading ahead: images are decoded on some threads while others have the network at work, in order and in bounds."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Any

from segscape.image import Image, as_image
from segscape.result import Segmentation

if TYPE_CHECKING:
    from segscape.predict.panoptic_predictor import PanopticPredictor
    from segscape.predict.predictor import Predictor

Enough = Callable[[tuple[int, int]], tuple[int, int]]
"""Says for an image's (height, width) which (height, width) of it suffices for the network."""


def image_reader(enough: Enough, *, keep_image: bool, max_pixels: int) -> Callable[[Any], Image]:
    """What decodes a source: whole, or no larger than is ``enough`` where the image need not be kept."""
    return functools.partial(as_image, max_pixels=max_pixels, at_least=None if keep_image else enough)


def segmentations(
    predictor: Predictor | PanopticPredictor,
    sources: Iterable[Any],
    *,
    ahead: int,
    decoders: int = 1,
    **options: Any,
) -> Generator[Future[Segmentation], None, None]:
    """Segment images, in their order; as many are in the network at once as the engine has use for.

    Args:
        predictor: segments each.
        sources: whatever `Predictor.predict` takes; taken no faster than they are needed.
        ahead: images decoded or done besides those in the network: bounds the memory.
        decoders: threads that decode.
        options: as `Predictor.predict` takes them.

    Yields:
        of each a future that is done: it has the segmentation or the error.

    Raises:
        ConfigError: an option is out of range.
    """
    read, at_once = predictor.reader(**options), predictor.concurrency
    running: deque[Future[Segmentation]] = deque()
    todo = iter(sources)
    with ThreadPoolExecutor(decoders, "decode") as decoder, ThreadPoolExecutor(at_once, "predict") as pool:

        def segment(image: Future[Image]) -> Segmentation:
            return predictor.predict(image.result(), **options)

        def start(given: int) -> None:
            for source in islice(todo, ahead + at_once + given - len(running)):
                running.append(pool.submit(segment, decoder.submit(read, source)))

        try:
            start(0)
            while running:
                wait([running[0]])
                start(1)
                yield running.popleft()  # held by no name here while another works on it
        finally:
            for executor in (pool, decoder):
                executor.shutdown(wait=False, cancel_futures=True)
