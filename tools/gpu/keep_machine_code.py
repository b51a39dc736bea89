"""Overwrites the machine code of other chips in CUDA libraries by zeros, so that they compress well.

    keep_machine_code.py ARCHITECTURE LIBRARY...      90 keeps sm_90 and sm_90a

A CUDA library holds its kernels in fat binaries: a header (magic u32, version u16, header bytes u16, payload bytes u64), then entries
(kind u16: 1 PTX, 2 machine code; u16; header bytes u32; payload bytes u64; ..., architecture u32 at byte 28). All headers stay, so the
driver chooses as before. A kernel that was built for other chips alone, or as PTX alone, is lost.
"""
import struct
import sys

MAGIC = struct.pack("<I", 0xBA55ED50)
HEADER_BYTES = 16
MACHINE_CODE = 2


def clear_entries(image, begin, end, architecture):
    """Clears the payloads of one fat binary's entries; returns the bytes kept."""
    kept = 0
    while begin < end:
        kind, _, header_bytes, payload_bytes = struct.unpack_from("<HHIQ", image, begin)
        (built_for,) = struct.unpack_from("<I", image, begin + 28)
        payload = begin + header_bytes
        if kind == MACHINE_CODE and built_for == architecture:
            kept += payload_bytes
        else:
            image[payload : payload + payload_bytes] = bytes(payload_bytes)
        begin = payload + payload_bytes
    return kept


def keep_machine_code(path, architecture):
    with open(path, "rb") as file:
        image = bytearray(file.read())
    kept = 0
    last = len(image) - HEADER_BYTES
    at = image.find(MAGIC)
    while 0 <= at <= last:
        version, header_bytes, payload_bytes = struct.unpack_from("<HHQ", image, at + len(MAGIC))
        begin = at + HEADER_BYTES
        is_header = version == 1 and header_bytes == HEADER_BYTES and begin + payload_bytes <= len(image)
        if is_header:
            kept += clear_entries(image, begin, begin + payload_bytes, architecture)
        at = image.find(MAGIC, begin + payload_bytes if is_header else at + 1)
    if kept == 0:
        sys.exit(f"keep_machine_code: {path} has no machine code for architecture {architecture}")
    with open(path, "wb") as file:
        file.write(image)
    print(f"{path}: {kept / 1e6:.1f} of {len(image) / 1e6:.1f} MB kept", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for library in sys.argv[2:]:
        keep_machine_code(library, int(sys.argv[1]))
