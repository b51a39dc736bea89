"""Joins what `tools/gpu/engine counters` leaves: the formula's JSON and ncu's CSV of the same passes.

    counters.py FOLDER SHAPE TYPE >results/reference/h200-counters/SHAPE.json

One entry a decode pass: its distinct experts, the formula's bytes by term and FLOPs, and what the counters saw. `kernels`: the same passes
of two layers, kernel by kernel, the largest readers. `flops`: instructions' counters of such a pass.
"""
import csv
import json
import pathlib
import re
import sys

READ, WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"
FLOP_COUNTER = re.compile(r"(smsp__sass_thread_inst_executed_op_\w+_pred_on|sm__ops_path_tensor_\w+|sm__inst_executed_pipe_tensor)\.sum$")
LEAST_SHARE = 0.002  # of a pass's reads, for a kernel to be listed


def rows_of(path):
    """The rows of ncu's CSV, without its messages and the row of units."""
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if line.startswith('"')))[1:]


def number(row, name):
    return float(row[name].replace(",", ""))


def decode_passes(path):
    return [entry for entry in json.loads(path.read_text())["passes"] if entry["phase"] == "decode"]


def joined(folder, shape):
    entries = decode_passes(folder / f"{shape}-dram.json")
    rows = rows_of(folder / f"{shape}-dram.csv")
    if len(entries) != len(rows):
        sys.exit(f"counters.py: {len(rows)} ranges for {len(entries)} passes of {shape}")
    for entry, row in zip(entries, rows):
        yield {
            "context_tokens": entry["context_tokens"],
            "batch": entry["batch"],
            "distinct_experts": entry["distinct_experts"],
            "bytes": entry["bytes"],
            "paper_bytes": entry["paper_bytes"],
            "flops": entry["flops"],
            "counted": {"read": number(row, READ), "written": number(row, WRITTEN)},
        }


def kernels(folder, shape):
    for path in sorted(folder.glob(f"{shape}-kernels-*.csv"), key=lambda p: int(p.stem.rpartition("-")[2])):
        (entry,) = decode_passes(path.with_suffix(".json"))
        rows = rows_of(path)
        read = sum(number(row, READ) for row in rows)
        yield {
            "batch": entry["batch"],
            "distinct_experts": entry["distinct_experts"],
            "bytes": entry["bytes"],
            "counted": {"read": read, "written": sum(number(row, WRITTEN) for row in rows)},
            "largest": [
                [re.sub(r"\(.*", "", row["Kernel Name"]).removeprefix("void ")[:70], number(row, READ), number(row, WRITTEN)]
                for row in rows
                if number(row, READ) > LEAST_SHARE * read
            ],
        }


def flops(folder, shape):
    for path in sorted(folder.glob(f"{shape}-flops-*.csv")):
        (entry,) = decode_passes(path.with_suffix(".json"))
        rows = rows_of(path)
        names = [name for name in rows[0] if FLOP_COUNTER.match(name)]
        yield {
            "batch": entry["batch"],
            "distinct_experts": entry["distinct_experts"],
            "formula_flops": entry["flops"],
            "counted": {name: sum(number(row, name) for row in rows) for name in names},
        }


def main(folder, shape, weights):
    info = json.loads((folder / f"{shape}-dram.json").read_text())
    document = {
        "shape": shape,
        "weights": weights,
        "layers": info["layers"],
        "passes": list(joined(folder, shape)),
        "kernels_of_two_layers": list(kernels(folder, shape)),
        "flops_of_two_layers": list(flops(folder, shape)),
    }
    print(json.dumps(document).replace('{"context_tokens"', '\n{"context_tokens"').replace('{"batch"', '\n{"batch"'))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3])
