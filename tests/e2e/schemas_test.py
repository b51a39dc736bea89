"""What each verb prints with --json against docs/schemas: it must be valid, and hold nothing that its schema does not describe.

schemas_test.py MOECAP_BINARY. Exits with 77 where python3-jsonschema is missing.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs/schemas"
MODEL = str(ROOT / "models/tiny-moe/tiny-moe-f16.gguf")
EXAMPLES = ROOT / "examples"
TRACE = str(ROOT / "results/reference/h200-transformers-qwen3-30b-a3b-recorded/measurements/transformers-clients-{}-0/routing.moetrace")

# Schema, arguments. What they name is made by `prepare` or by the lines above.
CASES = [
    ("doctor", ["doctor"]),
    ("model", ["model", "Qwen/Qwen3-30B-A3B"]),
    ("model", ["model", MODEL]),
    ("hardware-list", ["hardware", "list"]),
    ("hardware-list", ["hardware", "search", "h100"]),
    ("hardware-links", ["hardware", "list", "--kind", "links"]),
    ("hardware-device", ["hardware", "show", "h100-sxm"]),
    ("hardware-link", ["hardware", "show", "nvlink4"]),
    ("machine", ["hardware", "detect"]),
    ("cost", ["cost", str(EXAMPLES / "machines/8xh100.yaml")]),
    ("systems", ["systems"]),
    ("systems-show", ["systems", "show", "vllm", "--model", "X"]),
    ("datasets", ["datasets"]),
    ("dataset", ["datasets", "show", "gsm8k"]),
    ("dataset-check", ["datasets", "check", "tinymath"]),
    ("plan", ["plan", str(EXAMPLES / "plan/200_users.yaml")]),
    ("plan", ["plan", "--model", "openai/gpt-oss-120b", "--clients", "64", "--device", "h100-sxm", "--most-devices", "1", "--max-running", "16",
              "--tpot", "20ms"]),
    ("plan-drafts", ["plan", "drafts", TRACE.format(1), "--model", "Qwen/Qwen3-30B-A3B", "--acceptance", "0.5"]),
    ("plan-experts", ["plan", "experts", TRACE.format(4), "--model", "Qwen/Qwen3-30B-A3B", "--own", "1xrtx-4090", "--dram", "64GB"]),
    ("plan-ranks", ["plan", "ranks", TRACE.format(4), "--model", "Qwen/Qwen3-30B-A3B", "--ep", "8", "--redundant", "0,8"]),
    ("plan-apart", ["plan", "apart", "--model", "deepseek-ai/DeepSeek-V3", "--devices", "64xh200-sxm", "--input", "4000", "--output", "1000",
                    "--tpot", "25ms", "--ttft", "2s"]),
    ("plan-apart", ["plan", "apart", "--model", "openai/gpt-oss-120b", "--devices", "8xh100-sxm", "--scenario", "chat"]),
    ("plan-load", ["plan", "load", "--model", "Qwen/Qwen3-30B-A3B", "--devices", "1xh100-sxm", "--input", "512", "--output", "256"]),
    ("plan-devices", ["plan", "devices", "--model", "Qwen/Qwen3-30B-A3B"]),
    ("plan-training", ["plan", "training", "--model", "deepseek-ai/DeepSeek-V3", "--on", "2048xh800-sxm", "--pp", "16", "--ep", "64"]),
    ("plan-training", ["plan", "training", "--model", "Qwen/Qwen3-30B-A3B", "--on", "8xa100-80-sxm", "--products", "fp8"]),
    ("plan-training", ["plan", "training", "--model", "Qwen/Qwen3-30B-A3B", "--on", "8xh100-sxm", "--step-s", "2"]),
    ("audit", ["audit", str(EXAMPLES / "paper/table1_models.yaml")]),
    ("synth", ["synth", "Qwen/Qwen3-30B-A3B", "--dry-run", "-o", "x.gguf"]),
    ("score-list", ["score", "--list"]),
    ("score", ["score", "--task", "gsm8k", "--contract", "lm-eval", "predictions.jsonl", "--against", "predictions.jsonl"]),
    ("metrics", ["metrics", str(ROOT / "tests/golden/run-0.1/passes.jsonl"), "--cell", "F16@2 clients", "--model", MODEL,
                 "--device", "h100-sxm"]),
    ("trace", ["trace", str(ROOT / "tests/golden/routed_experts/sglang-0.5.23-per_token.pt")]),
    ("systems-url", ["systems", "{url}"]),
    ("experiment", ["load", "{url}", "--clients", "1,2", "--requests", "4", "--warmup", "1", "--input-tokens", "32",
                    "--output-tokens", "8", "--repeats", "2", "--ttft", "1"]),
    ("watch", ["watch", "{url}", "--for", "1"]),
    ("experiment", ["quick", "{url}", "--seconds", "1"]),
    ("experiment", ["report", "latest"]),
    ("comparison", ["compare", "latest"]),
    ("runs", ["runs"]),
    ("run", ["runs", "show", "latest"]),
    ("runs-change", ["runs", "tag", "latest", "kept"]),
    ("runs-verify", ["runs", "verify"]),
    ("runs-rebuild", ["runs", "rebuild"]),
    ("runs-export", ["runs", "export", "latest", "--to", "copy"]),
    ("runs-import", ["runs", "import", "copy", "--results-dir", "elsewhere"]),
    ("runs-sql", ["runs", "sql", "SELECT run_id, problems, NULL AS empty FROM runs"]),
    ("shard", ["load", "{url}", "--requests", "2", "--warmup", "0", "--shard", "0/1", "--shard-group", "g", "--start-lead", "0.5"]),
    ("experiment", ["runs", "merge", "results/shards/g"]),
    ("sweep", ["sweep", "grid.yaml"]),
    ("judge", ["judge", "answers.jsonl", "--baseline", "base.jsonl", "--dataset", "arena-hard-v2", "--path", "question.jsonl"]),
]
# Answers that end with exit code 3, in which what may be null is.
MISSED_CASES = [
    ("plan-apart", ["plan", "apart", "--model", "Qwen/Qwen3-30B-A3B", "--devices", "2xh100-sxm", "--tpot", "0.001ms"]),
    ("plan", ["plan", "--model", "google/switch-c-2048", "--device", "rtx-4090", "--most-devices", "1", "--offload", "no"]),
    ("plan", ["plan", "--model", "deepseek-ai/DeepSeek-V3", "--own", "1xrtx-4090", "--dram", "64GB"]),
    ("plan", ["plan", "--model", "deepseek-ai/DeepSeek-V3", "--own", "1xh100-sxm", "--dram", "64GB", "--fidelity", "original"]),
]
# Of a build with the embedded engine.
ENGINE_CASES = [
    ("experiment", ["run", "tiny.yaml"]),
    ("validate", ["validate", MODEL, "--repeats", "0", "--batches", "1", "--contexts", "16"]),
    ("validate-drafts", ["validate", MODEL, "--drafts", "2", "--repeats", "1", "--requests", "1", "--output-tokens", "8", "--threads", "1"]),
]
# What `moecap serve` answers.
API_CASES = [
    ("api-cells", "/api/cells?all=1"),
    ("api-runs", "/api/runs"),
    ("experiment", "/api/runs/{run}"),
    ("api-progress", "/api/runs/{run}/progress"),
    ("api-live", "/api/live"),
    ("comparison", "/api/compare?cell={run}"),
    ("plan", "/api/plan?model=Qwen/Qwen3-30B-A3B&clients=16&changes=1"),
    ("api-error", "/api/runs/none"),
    ("api-error", "/api/cells?sort=none"),
]
# What a machine has differs, so what is described may be more or less than one test sees; ceilings take seconds to measure.
OPEN = {"machine", "watch"}
LINES = {"watch"}  # one object a line
NOT_RUN = {"ceilings", "validate-gpu"}  # the latter needs a GPU; check_gpu_passes looks at what one printed


def closed(schema):
    """The same schema, which refuses what it does not describe."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: closed(value) for key, value in schema.items()}
    if isinstance(out.get("properties"), dict) and "type" in out:
        out.setdefault("additionalProperties", False)
    return out


def prepare(room):
    with open(ROOT / "datasets/tinymath/test.jsonl") as problems:
        answers = [json.loads(next(problems))["answer"] for _ in range(3)]
    (room / "predictions.jsonl").write_text("".join(json.dumps({"prediction": a, "gold": a}) + "\n" for a in answers))
    # Answers to a judge's questions, and what it said of them before.
    (room / "question.jsonl").write_text("".join(
        json.dumps({"uid": f"q{i}", "category": "hard_prompt", "subcategory": "s", "prompt": f"question {i}?"}) + "\n" for i in range(3)))
    (room / "answers.jsonl").write_text("".join(json.dumps({"id": f"q{i}", "text": f"mine {i}"}) + "\n" for i in range(3)))
    (room / "base.jsonl").write_text("".join(json.dumps({"id": f"q{i}", "text": f"theirs {i}"}) + "\n" for i in range(3)))
    (room / "tiny.yaml").write_text(
        f"name: tiny\nsystems: [{{name: F16, model: {MODEL}}}, {{name: again, model: {MODEL}, experts: {{budget: 50 %}}}}]\n"
        f"dataset: {{path: {ROOT}/datasets/tinymath/test.jsonl, problems: 2, scoring: gsm8k-strict-match}}\n"
        "load: {clients: [1, 2]}\nrepeats: 2\nmax_output_tokens: 20\n")


def start_server(binary, room):
    server = subprocess.Popen([binary, "mock", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm", "--port", "0",
                               "--ready-file", str(room / "ready")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (room / "ready").exists():
        if server.poll() is not None:
            sys.exit("moecap mock ended")
        time.sleep(0.01)
    return server, (room / "ready").read_text().strip()


def fault_in(name, documents):
    """What is wrong with documents of one schema; None when nothing is."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema if name in OPEN else closed(schema))
    errors = [error for document in documents for error in validator.iter_errors(document)]
    if not errors:
        return None
    first = min(errors, key=lambda error: len(error.absolute_path))
    return f"{len(errors)} faults, first {first.json_path}: {first.message[-300:]}"


def check(binary, room, url, name, arguments, code=0):
    """What is wrong with one output; None when nothing is."""
    words = [word.format(url=url) if word == "{url}" else word for word in arguments] + ["--json"]
    done = subprocess.run([binary] + words, cwd=room, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != code:
        return f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
    return fault_in(name, [json.loads(line) for line in (done.stdout.splitlines() if name in LINES else [done.stdout])])


def ask(request):
    """The answer as JSON, whatever its status."""
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def check_api(binary, room):
    """What is wrong with the answers of `moecap serve` over the runs that were made, a line each."""
    ready = room / "serve-ready"
    (room / "results/watch").mkdir()
    lines = subprocess.run([binary, "watch", (room / "ready").read_text().strip(), "--for", "0.2", "--interval", "0.1", "--json"],
                           capture_output=True, text=True, check=True).stdout
    (room / "results/watch/mine.jsonl").write_text(lines)
    serve = subprocess.Popen([binary, "serve", "--write", "--listen", "127.0.0.1:0", "--ready-file", str(ready)], cwd=room,
                             env=os.environ | {"MOECAP_SERVE_TOKEN": "0123456789abcdef"}, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if serve.poll() is not None:
                return ["moecap serve ended"]
            time.sleep(0.01)
        base = ready.read_text().strip()
        run = ask(base + "/api/runs?limit=1")["runs"][0]["run_id"]
        cases = [(name, base + path.format(run=run), "GET", None) for name, path in API_CASES]
        cases += [("api-upload", f"{base}/api/imports/mine/{path.relative_to(room / 'copy')}", "PUT", path.read_bytes())
                  for path in (room / "copy").rglob("*") if path.is_file()]
        cases.append(("api-import", base + "/api/imports/mine", "POST", None))
        faults = []
        for name, address, method, body in cases:
            request = urllib.request.Request(address, body, {"Authorization": "Bearer 0123456789abcdef"}, method=method)
            if fault := fault_in(name, [ask(request)]):
                faults.append(f"{method} {address} against docs/schemas/{name}.schema.json: {fault}")
        with urllib.request.urlopen(base + "/api/events?watches=1") as events:
            names = [next(events).decode().strip() for _ in range(4)]
        if names != ["event: hello", "data: {}", "", "event: watches"]:
            faults.append(f"/api/events: {names}")
        return faults
    finally:
        serve.terminate()
        serve.wait()


def check_gpu_passes():
    """The latencies in results/reference/h200-passes are members of what `validate --gpu` printed there."""
    members = json.loads((SCHEMAS / "validate-gpu.schema.json").read_text())["$defs"]["pass"]["properties"]
    faults = []
    for path in (ROOT / "results/reference/h200-passes").glob("*.json"):
        for measured in json.loads(path.read_text())["latencies"]["recording"]:
            for key in measured.keys() & members.keys():
                faults += [f"{path.name}, {key}: {error.message}" for error in
                           Draft202012Validator(closed(members[key])).iter_errors(measured[key])]
            if not {"bytes", "flops", "recording", "replay_matches"} <= measured.keys() & members.keys():
                faults.append(f"{path.name}: {sorted(measured)}")
    return faults


def main():
    binary = os.path.abspath(sys.argv[1])
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        room = pathlib.Path(folder)
        prepare(room)
        report = json.loads(subprocess.run([binary, "doctor", "--json"], cwd=room, capture_output=True, text=True).stdout)
        has_engine = any(f["what"] == "engine" and f["health"] != "absent" for f in report["findings"])
        server, url = start_server(binary, room)
        (room / "grid.yaml").write_text(f"config: {{server: {{url: '{url}'}}, workload: {{requests: 2}}, warmup_requests: 0}}\n")
        try:
            cases = [(0, *case) for case in CASES + (ENGINE_CASES if has_engine else [])] + [(3, *case) for case in MISSED_CASES]
            for code, name, arguments in cases:
                fault = check(binary, room, url, name, arguments, code)
                if fault:
                    bad += 1
                    print(f"moecap {' '.join(arguments)} --json against docs/schemas/{name}.schema.json: {fault}")
            for fault in check_api(binary, room) + check_gpu_passes():
                bad += 1
                print(fault)
        finally:
            server.terminate()
            server.wait()
    known = {name for name, _ in CASES + ENGINE_CASES + API_CASES} | {"api-upload", "api-import"} | NOT_RUN
    for path in SCHEMAS.glob("*.schema.json"):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        for key, figure in schema.get("$defs", {}).get("figures", {}).get("properties", {}).items():
            if "type" not in figure:
                bad += 1
                print(f"{path.name}: the figure {key} may be anything")
        if path.name.removesuffix(".schema.json") not in known:
            bad += 1
            print(f"{path.name}: nothing is checked against it")
    sys.exit(1 if bad else 0)


main()
