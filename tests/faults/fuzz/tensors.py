"""safetensors files whose header lies about what follows."""

import json
import random
import struct

from tests.faults.fuzz import mutations

LENGTHS = (0, 1, 7, 2**31, 2**63, 2**64 - 1)


def spoil(draw: random.Random, content: bytes) -> mutations.Spoiled:
    """A file with one thing wrong, mostly in its header."""
    if draw.random() < 0.25:
        return mutations.spoil(draw, content, is_text=False)
    size = struct.unpack("<Q", content[:8])[0]
    header, data = content[8 : 8 + size], content[8 + size :]
    way = draw.random()
    if way < 0.2:
        length = draw.choice(LENGTHS)
        return struct.pack("<Q", length) + header + data, f"a header of {length} bytes"
    if way < 0.5:
        header, what = mutations.spoil_json(draw, header)
        return _joined(header, data), f"header: {what}"
    said = json.loads(header)
    name = draw.choice([key for key in said if key != "__metadata__"])
    what = draw.choice(("dtype", "shape", "data_offsets", "name", "value"))
    if what == "dtype":
        said[name]["dtype"] = draw.choice(("F64", "I8", "BOOL", "F8_E4M3", "X", "BF16"))
    elif what == "shape":
        said[name]["shape"] = draw.choice(
            ([], [0], [-1], [2**62, 4], [1] * 70, said[name]["shape"][::-1])
        )
    elif what == "data_offsets":
        said[name]["data_offsets"] = draw.choice(([0, 4], [4, 0], [0, 2**62], [-8, 0], [0]))
    elif what == "name":
        said[draw.choice(mutations.WORDS)] = said.pop(name)
    else:
        begin, end = said[name]["data_offsets"]
        value = draw.choice((b"\xff\xff\xff\x7f", b"\0\0\x80\x7f"))  # nan, inf
        data = data[:begin] + value * ((end - begin) // 4) + data[end:]
    return _joined(json.dumps(said).encode(), data), f"{name}: another {what}"


def _joined(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data
