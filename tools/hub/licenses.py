"""Which licences let a fine-tuned copy of a model be published.

Names are those of the Hub (https://huggingface.co/docs/hub/repositories-licenses). What each allows
stands in its text: https://spdx.org/licenses, https://creativecommons.org/licenses,
https://www.licenses.ai. A licence that asks for something in return (the same licence, the name of
the author, no commerce) does allow it. What is not here has conditions that a person has to read.
"""

from collections.abc import Mapping
from typing import Any

FREE = frozenset(
    (
        "afl-3.0",
        "agpl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bigscience-openrail-m",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc",
        "cc-by-2.0",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "creativeml-openrail-m",
        "ecl-2.0",
        "epl-2.0",
        "eupl-1.2",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "mit",
        "mpl-2.0",
        "ms-pl",
        "openrail",
        "openrail++",
        "osl-3.0",
        "unlicense",
        "wtfpl",
        "zlib",
    )
)
FORBIDDING = {
    "cc-by-nd-4.0": "it allows no altered copies (NoDerivatives)",
    "cc-by-nc-nd-3.0": "it allows no altered copies (NoDerivatives)",
    "cc-by-nc-nd-4.0": "it allows no altered copies (NoDerivatives)",
}
WAY = "ask its authors, or say --accept_license where you have the right to"


def fault(source: Mapping[str, Any]) -> str | None:
    """Why the weights that a model was made from can't be published again; None where they can,
    or there were none.

    Args:
        source: of zoo.json, which has the base model and its licence.
    """
    base = source.get("repo") or source.get("model")
    if base is None:
        return None  # trained from scratch
    license = source.get("license")
    if not license:
        return f"the licence of {base}, which this model was made from, is not known: {WAY}"
    name = str(license).lower()
    if name in FREE:
        return None
    why = FORBIDDING.get(name, "its conditions are its own, which a person has to read")
    return f"{base}, which this model was made from, is under {license}: {why}; {WAY}"
