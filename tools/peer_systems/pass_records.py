"""passes.jsonl (docs/formats/records.md) from inside a Python server: one line for each forward pass, written by a thread of its own."""
import json
import queue
import threading
from dataclasses import dataclass


@dataclass
class Sequence:
    """What one request contributed to a pass."""
    request_id: str | None
    context_tokens: int  # in the KV cache before the pass
    new_tokens: int      # rows of the pass
    prompt_tokens: int   # of the request

    @property
    def is_prefill(self):
        return self.context_tokens < self.prompt_tokens


@dataclass
class Part:
    """One request's share of a batch, as the server knows it before the pass."""
    request_id: str | None
    rows: int | None  # None: all of them
    prompt_tokens: int


def sequences_of(parts, positions):
    """Of a pass whose rows are the parts' one after another; the position of a request's first row is what its cache holds. Without
    parts nobody knows whose the rows are: they count as one prompt."""
    sequences, row = [], 0
    for part in parts or [Part(None, None, positions[0] + len(positions))]:
        rows = len(positions) if part.rows is None else part.rows
        sequences.append(Sequence(part.request_id, positions[row], rows, part.prompt_tokens))
        row += rows
    return sequences


def kind_of(sequences):
    prefills = sum(sequence.is_prefill for sequence in sequences)
    if prefills == 0:
        return "decode"
    return "prefill" if prefills == len(sequences) else "mixed"


def pass_record(index, start_s, latency_s, sequences, counts):
    """`counts`: rows routed to each expert, [MoE layer][expert]. `requests` is a key beyond the schema: the ids of the sequences."""
    return {
        "schema": 1,
        "pass": index,
        "kind": kind_of(sequences),
        "start_s": start_s,
        "latency_s": latency_s,
        "sequences": [{"context_tokens": s.context_tokens, "new_tokens": s.new_tokens} for s in sequences],
        "distinct_experts": [sum(count > 0 for count in layer) for layer in counts] or None,
        "expert_counts": counts,
        "requests": [s.request_id for s in sequences],
    }


class Writer:
    """Takes functions that make a record, so that the caller's thread does no more than hand over. Lines are whole at any time."""

    def __init__(self, path):
        self._file = open(path, "w", encoding="utf-8")
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, make_record):
        self._jobs.put(make_record)

    def close(self):
        self._jobs.put(None)
        self._thread.join()
        self._file.close()

    def _run(self):
        while (make_record := self._jobs.get()) is not None:
            self._file.write(json.dumps(make_record()) + "\n")
            self._file.flush()
