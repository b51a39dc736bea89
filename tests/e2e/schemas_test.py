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
    ("plan-drafts", ["plan", "drafts", TRACE.format(1), "--model", "Qwen/Qwen3-30B-A3B", "--acceptance", "0.5"]),
    ("plan-experts", ["plan", "experts", TRACE.format(4), "--model", "Qwen/Qwen3-30B-A3B", "--own", "1xrtx-4090", "--dram", "64GB"]),
    ("plan-ranks", ["plan", "ranks", TRACE.format(4), "--model", "Qwen/Qwen3-30B-A3B", "--ep", "8", "--redundant", "0,8"]),
    ("plan-apart", ["plan", "apart", "--model", "deepseek-ai/DeepSeek-V3", "--devices", "64xh200-sxm", "--input", "4000", "--output", "1000",
                    "--tpot", "25ms", "--ttft", "2s"]),
    ("plan-apart", ["plan", "apart", "--model", "openai/gpt-oss-120b", "--devices", "8xh100-sxm", "--scenario", "chat"]),
    ("plan-load", ["plan", "load", "--model", "Qwen/Qwen3-30B-A3B", "--devices", "1xh100-sxm", "--input", "512", "--output", "256"]),
    ("plan-devices", ["plan", "devices", "--model", "Qwen/Qwen3-30B-A3B"]),
    ("plan-training", ["plan", "training", "--model", "deepseek-ai/DeepSeek-V3", "--on", "2048xh800-sxm", "--pp", "16", "--ep", "64"]),
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
]
# Of a build with the embedded engine.
ENGINE_CASES = [
    ("experiment", ["run", "tiny.yaml"]),
    ("validate", ["validate", MODEL, "--repeats", "0", "--batches", "1", "--contexts", "16"]),
    ("validate-drafts", ["validate", MODEL, "--drafts", "2", "--repeats", "1", "--requests", "1", "--output-tokens", "8", "--threads", "1"]),
]
# What a machine has differs, so what is described may be more or less than one test sees; ceilings take seconds to measure.
OPEN = {"machine", "watch"}
LINES = {"watch"}  # one object a line
NOT_RUN = {"ceilings"}


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


def check(binary, room, url, name, arguments):
    """What is wrong with one output; None when nothing is."""
    words = [word.format(url=url) if word == "{url}" else word for word in arguments] + ["--json"]
    done = subprocess.run([binary] + words, cwd=room, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip()[-300:]}"
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema if name in OPEN else closed(schema))
    documents = done.stdout.splitlines() if name in LINES else [done.stdout]
    errors = [error for document in documents for error in validator.iter_errors(json.loads(document))]
    if not errors:
        return None
    first = min(errors, key=lambda error: len(error.absolute_path))
    return f"{len(errors)} faults, first {first.json_path}: {first.message[-300:]}"


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
            for name, arguments in CASES + (ENGINE_CASES if has_engine else []):
                fault = check(binary, room, url, name, arguments)
                if fault:
                    bad += 1
                    print(f"moecap {' '.join(arguments)} --json against docs/schemas/{name}.schema.json: {fault}")
        finally:
            server.terminate()
            server.wait()
    known = {name for name, _ in CASES + ENGINE_CASES} | NOT_RUN
    for path in SCHEMAS.glob("*.schema.json"):
        Draft202012Validator.check_schema(json.loads(path.read_text()))
        if path.name.removesuffix(".schema.json") not in known:
            bad += 1
            print(f"{path.name}: nothing is checked against it")
    sys.exit(1 if bad else 0)


main()
