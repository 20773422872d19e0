"""The one thing that decoding needs from EXIF metadata: which way up the picture is."""

from __future__ import annotations

import struct


def exif_orientation(exif: object) -> int:
    """The orientation (1 to 8) that an EXIF block asks for; 1, upright, where the block is missing or damaged, as in
    browsers. Reads the one field instead of letting Pillow parse them all. Specification: CIPA DC-008, TIFF 6.0."""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (num_entries,) = struct.unpack_from(order + "H", tiff, directory)
        for position in range(directory + 2, directory + 2 + 12 * num_entries, 12):
            tag, kind, _ = struct.unpack_from(order + "HHI", tiff, position)
            if tag == 0x0112:
                (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, position + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
