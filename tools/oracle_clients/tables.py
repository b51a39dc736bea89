"""Parquet tables of a run, read by pyarrow and DuckDB, beside what `moecap runs sql`, `moecap report` and the event logs say."""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from systems import HOME, ROOT, Refused, python_of

sys.path.insert(0, str(ROOT / "tools/soak"))
import event_log  # noqa: E402

VENV = "readers"
READ = """
import json, sys
import duckdb, pyarrow.parquet
folder, name = sys.argv[1:]
file = f"{folder}/{name}.parquet"
arrow = pyarrow.parquet.read_table(file)
duck = duckdb.sql(f"SELECT * FROM read_parquet('{file}')")
names = duck.columns
assert names == arrow.column_names, "the two readers see other columns"
rows = [dict(zip(names, row)) for row in duck.fetchall()]
assert rows == arrow.to_pylist(), "the two readers see other values"
print(json.dumps({"types": {field.name: str(field.type) for field in arrow.schema}, "rows": rows}))
"""


def read(folder, name):
    done = subprocess.run([python_of(VENV), "-c", READ, str(folder), name], capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{name}.parquet: {done.stderr.strip().splitlines()[-1]}", 1)
    return json.loads(done.stdout)


def call(moecap, *arguments):
    done = subprocess.run([moecap, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Refused(f"moecap {' '.join(arguments[:3])}: {done.stderr.strip()}", 1)
    return done.stdout


def make_run(moecap, room):
    """A load with answers that fail, of a server whose passes can be told."""
    ready = room / "ready"
    server = subprocess.Popen([moecap, "mock", "--ttft-s", "0.02", "--tpot-s", "0.005", "--fault", "reset=3@0.05", "--ready-file", str(ready)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if server.poll() is not None:
                raise Refused("moecap mock ended", 1)
            time.sleep(0.02)
        call(moecap, "load", ready.read_text().strip(), "--clients", "2,8", "--requests", "60", "--repeats", "2", "--warmup", "0", "--input-tokens",
             "16", "--output-tokens", "12", "--serves", "Qwen/Qwen3-30B-A3B", "--machine", "h100-sxm", "--results-dir", str(room / "results"))
    finally:
        server.terminate()
        server.wait()
    return next((room / "results").glob("*/manifest.json")).parent


def same_as_sql(moecap, room, name, rows):
    """Every value but lists, which SQL has as text; booleans are 0 and 1 there."""
    asked = json.loads(call(moecap, "runs", "sql", f"SELECT * FROM {name}", "--limit", "1000000", "--json", "--results-dir", str(room / "results")))
    plain = [column for column in asked["columns"] if not any(isinstance(row[column], (list, dict)) for row in rows)]
    ours = [{column: row[column] for column in plain} for row in asked["rows"]]
    return len(plain), ours == [{column: row[column] for column in plain} for row in rows]


def compare(options):
    checks = []

    def check(what, good, detail=""):
        checks.append(good)
        print(f"{'ok  ' if good else 'FAIL'}  {what}{': ' + detail if detail else ''}")

    moecap = str(options.moecap)
    with tempfile.TemporaryDirectory() as folder:
        room = pathlib.Path(folder)
        run = make_run(moecap, room)
        call(moecap, "runs", "export", run.name, "--format", "parquet", "--to", str(room / "tables"), "--results-dir", str(room / "results"))
        tables = {name: read(room / "tables", name)["rows"] for name in ("cells", "requests", "passes")}
        print(", ".join(f"{len(rows)} {name}" for name, rows in tables.items()) + ", read alike by pyarrow and DuckDB")
        for name in ("requests", "passes"):
            columns, alike = same_as_sql(moecap, room, name, tables[name])
            check(f"{name}: `runs sql` has the same values", alike and bool(tables[name]), f"{columns} columns")
        logs = [event_log.read(path) for path in sorted(run.glob("measurements/*/events.*.bin"))]
        requests = tables["requests"]
        check("requests: as many as in the event logs", len(requests) == sum(len(log.sent_ns) for log in logs), str(len(requests)))
        check("requests: their token times are as many as the logs' tokens",
              sum(len(row["token_s"] or []) for row in requests) == sum(count for log in logs for _, count in log.tokens))
        failed = sum(row["finish"] == "error" for row in requests)
        check("requests: those that failed", failed == sum(log.failed for log in logs) > 0, str(failed))
        cells = json.loads(call(moecap, "report", str(run), "--json"))["systems"][0]["cells"]
        check("cells: every figure of the report", all(row[key] == value for row, cell in zip(tables["cells"], cells, strict=True)
                                                        for key, value in cell["figures"].items()), f"{len(cells[0]['figures'])} figures")
    print(f"{sum(checks)} of {len(checks)} checks hold")
    return 0 if all(checks) else 1
