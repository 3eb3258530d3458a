"""Let a shared library that was built against glibc 2.38 load with an older one, in place.

Built there, a C program's `strtoul` is called `__isoc23_strtoul@GLIBC_2.38`, although nothing else of
glibc 2.38 is used. The shorter name is the end of the longer one, so the symbol can point there, and
the version that is asked for becomes one that any glibc has. A library that needs nothing newer than
this machine's glibc is left as it is.

Source of the structures: the System V ABI and the LSB's "Symbol Versioning".
"""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

PREFIX = b"__isoc23_"
NEW = b"GLIBC_2.38"
STRTAB, SYMTAB, VERSYM, VERNEED, VERNEEDNUM = 5, 6, 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF


def main(path: Path) -> None:
    """Rewrite one file, a little-endian 64-bit ELF."""
    have = tuple(int(part) for part in platform.libc_ver()[1].split(".") if part.isdigit())
    if have >= (2, 38):
        return
    data = bytearray(path.read_bytes())
    table = dynamic(data)
    strings, symbols, versions = table[STRTAB], table[SYMTAB], table[VERSYM]
    new, old = needed(data, table)
    if new is None or old is None:
        return
    number = 1
    while symbols + 24 * number < strings:
        name = struct.unpack_from("<I", data, symbols + 24 * number)[0]
        (version,) = struct.unpack_from("<H", data, versions + 2 * number)
        if version == new[1] and data[strings + name :].startswith(PREFIX):
            struct.pack_into("<I", data, symbols + 24 * number, name + len(PREFIX))
            struct.pack_into("<H", data, versions + 2 * number, old[1])
        number += 1
    # Hash and name of the version that is needed: ask for the old one twice.
    data[new[0] : new[0] + 4] = data[old[0] : old[0] + 4]
    data[new[0] + 8 : new[0] + 12] = data[old[0] + 8 : old[0] + 12]
    path.write_bytes(data)


def dynamic(data: bytearray) -> dict[int, int]:
    """Return the dynamic section's entries; addresses equal offsets in a library's first segment."""
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for place in range(offset, offset + size * count, size):
        kind = struct.unpack_from("<I", data, place)[0]
        if kind == 2:
            start, _, _, length = struct.unpack_from("<QQQQ", data, place + 8)
            pairs = struct.iter_unpack("<qQ", bytes(data[start : start + length // 16 * 16]))
            return dict(pairs)
    raise SystemExit("no dynamic section")


def needed(
    data: bytearray, table: dict[int, int]
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return place and number of the needed versions: the new one, and an old one beside it."""
    place = table[VERNEED]
    for _ in range(table[VERNEEDNUM]):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, place)
        entry, new, old = place + first, None, None
        for _ in range(count):
            _, _, number, name, step = struct.unpack_from("<IHHII", data, entry)
            text = bytes(data[table[STRTAB] + name :].split(b"\0", 1)[0])
            if text == NEW:
                new = (entry, number)
            elif text.startswith(b"GLIBC_2."):
                old = old if old and text == b"GLIBC_2.4" else (entry, number)
            entry += step
        if new:
            return new, old
        place += following
    return None, None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
