"""Event logs (docs/formats/events.md), read without any of moecap's code."""
import dataclasses
import json
import pathlib
import struct


@dataclasses.dataclass
class Events:
    sent_ns: list  # of each request that was sent
    tokens: list  # of each chunk: when it was read in ns, its tokens
    ended: int = 0  # requests that ended
    failed: int = 0  # of them, with an error
    left_bytes: int = 0  # behind the last whole frame


def read(path):
    data = pathlib.Path(path).read_bytes()
    events, at = Events([], []), 12
    while at + 16 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if at + 16 + size > len(data):
            break
        if kind == 2:
            _read_frame(memoryview(data)[at + 16:at + 16 + size], events)
        at += 16 + size
    events.left_bytes = len(data) - at
    return events


def _read_frame(frame, events):
    at = 0
    while at < len(frame):
        event, flags, value, _ = struct.unpack_from("<BBHI", frame, at)
        if event == 1:
            events.sent_ns.append(struct.unpack_from("<q", frame, at + 8)[0])
            at += 32 + value
        elif event == 2:
            events.tokens.append((struct.unpack_from("<q", frame, at + 8)[0], value))
            at += 24 if flags & 2 else 16
        elif event == 3:
            at += 8
        elif event == 4:
            events.ended += 1
            events.failed += value != 0
            at += 128 + struct.unpack_from("<i", frame, at + 24)[0]
        elif event == 5:
            at += 24 + value
        elif event == 6:
            at += 32 + sum(struct.unpack_from("<iii", frame, at + 16))
        else:
            raise ValueError(f"event {event}")


def requests_of_server(path):
    """The requests in the log of `moecap mock` (docs/mock.md)."""
    with open(path) as lines:
        for line in lines:
            record = json.loads(line)
            if record["record"] == "request":
                yield record
