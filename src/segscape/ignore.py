"""The one ignore mask: what the losses do not train on is what the metrics do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@overload
def valid_mask(target: np.ndarray, ignore_index: int) -> np.ndarray: ...
@overload
def valid_mask(target: Tensor, ignore_index: int) -> Tensor: ...
def valid_mask(target: Any, ignore_index: int) -> Any:
    """True where a pixel is trained on and counted.

    Args:
        target: class ids, any shape: a NumPy array of any integer type, or a torch tensor of one that holds
            ``ignore_index`` (torch would wrap it round: a uint8 tensor compares 65535 as 255).
        ignore_index: the id that is neither trained on nor counted.

    Returns:
        A bool array of the target's shape, of the target's kind and on its device.
    """
    return target != ignore_index
