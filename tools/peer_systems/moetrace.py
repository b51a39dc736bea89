"""Counts per pass out of a .moetrace file (docs/formats/moetrace.md, grain 2), and passes.jsonl with the routing.moetrace beside it."""
import ctypes
import json
import struct

HEADER, PASSES = 1, 2
PASS_COUNTS = 2


def unpacked(body, size):
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(size)
    if zstd.ZSTD_decompress(room, ctypes.c_size_t(size), body, ctypes.c_size_t(len(body))) != size:
        raise ValueError("a frame cannot be unpacked")
    return room.raw


class Bytes:
    """Read from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            part = self.byte()
            value |= (part & 0x7F) << shift
            if part < 0x80:
                return value
            shift += 7

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)


def frames(data):
    """(type, passes, body) of each."""
    if data[:8] != b"MOETRACE":
        raise ValueError("not a .moetrace file")
    at = 12
    while at + 24 <= len(data):
        kind, passes, stored, raw = struct.unpack_from("<B3xIII", data, at)
        yield kind, passes, unpacked(data[at + 24:at + 24 + stored], raw)
        at += 24 + stored


def pass_counts(path):
    """{number of the pass: [layer][expert] tokens}."""
    counts, experts, layers = {}, 0, 0
    for kind, passes, body in frames(path.read_bytes()):
        read = Bytes(body)
        if kind == HEADER:
            if read.byte() != PASS_COUNTS:
                raise ValueError(f"{path} holds no counts per pass")
            read.byte()
            experts, _, layers = read.varint(), read.varint(), read.varint()
            continue
        for _ in range(passes):
            read.byte()
            if read.byte() != 0:
                raise ValueError("counts with sequences")
            number = read.zigzag()
            read.varint()
            counts[number] = [[read.varint() for _ in range(experts)] for _ in range(layers)]
    return counts


def read_passes(path):
    """The records of a passes.jsonl, with their expert_counts."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    beside = path.parent / "routing.moetrace"
    for number, counts in (pass_counts(beside) if beside.exists() else {}).items():
        records[number]["expert_counts"] = counts
    return records
