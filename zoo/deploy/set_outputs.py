"""Outputs that are a set: the queries of a detector, in whatever order a program gives them.

A detector whose queries begin with the best of many proposals sorts these by score, and rounding
swaps two that are nearly equal. Nothing is another one for that: the queries of two programs are
compared with those that are nearest, and by the rules of their kinds (`zoo.deploy.parity`).
"""

from collections.abc import Mapping

import numpy as np

from tasks.base import OutputKind

FAR = 1e6  # in place of a distance that is not finite

Arrays = Mapping[str, np.ndarray]


def aligned(
    found: Arrays, wanted: Arrays, kinds: Mapping[str, OutputKind | None]
) -> dict[str, np.ndarray]:
    """Return outputs with their queries in the order of those that they are compared with, each
    used once; unchanged where they are no set, which has boxes as centre, width and height.

    Args:
        found, wanted: by name, [rows, queries, ...].
        kinds: what each output is.
    """
    boxes = next((name for name, kind in kinds.items() if kind == "boxes_cxcywh"), None)
    same = {name for name, x in wanted.items() if name in found and found[name].shape == x.shape}
    if boxes not in same:
        return dict(found)
    of_queries = [name for name in same if wanted[name].shape[:2] == wanted[boxes].shape[:2]]
    order = _nearest([(wanted[name], found[name]) for name in of_queries])
    return {
        name: np.take_along_axis(x, order[..., None], 1) if name in of_queries else x
        for name, x in found.items()
    }


def _nearest(pairs: "list[tuple[np.ndarray, np.ndarray]]") -> np.ndarray:
    """Return for each query that is wanted the one found that belongs to it, int64 [rows, queries].

    Args:
        pairs: of each output what is wanted and what was found, [rows, queries, values].
    """
    from scipy.optimize import linear_sum_assignment

    rows = []
    for i in range(len(pairs[0][0])):
        apart = np.zeros((pairs[0][0].shape[1],) * 2)
        for wanted, found in pairs:
            mine, its = np.asarray(wanted[i], np.float64), np.asarray(found[i], np.float64)
            scale = max(float(mine.std()), 1e-12)
            with np.errstate(invalid="ignore"):
                apart += np.abs(mine[:, None] - its[None]).mean(-1) / scale
        rows.append(linear_sum_assignment(np.nan_to_num(apart, nan=FAR, posinf=FAR))[1])
    return np.array(rows, np.int64)
