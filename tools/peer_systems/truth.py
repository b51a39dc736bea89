"""Several engines, one model, one truth: the same problems one at a time on the embedded engine and on real servers, and what they
have in common: the answers, token by token, and the experts of every token."""
import json
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import install
import serve
from systems import GGUF, HOME, ROOT, Refused, system_named

SYSTEMS = ("vllm", "sglang", "transformers-cb")
PATIENCE_S = 3600
PAGE = ROOT / "docs/systems.md"
BEGIN, END = "<!-- written by tools/peers truth -->\n", "<!-- end of what tools/peers truth wrote -->\n"


@dataclass
class Answers:
    """Of one system, one request after the other."""
    answers: dict  # id: (text, token ids)
    passes: list  # of each request in the order in which they were sent: its prefill pass and its decode passes


def by_request(lines):
    """Passes of requests that ran one at a time: each begins with its prompt."""
    requests = []
    for line in lines:
        record = json.loads(line)
        if record["kind"] == "prefill":
            requests.append([])
        if requests:
            requests[-1].append(record)
    return requests


def measure(moecap, system, problems, folder):
    config = folder / "truth.yaml"
    config.write_text(f"systems: [{json.dumps(system)}]\n"
                      f"dataset: {{path: {ROOT / 'datasets/tinymath/test.jsonl'}, problems: {problems}}}\n"
                      "load: {clients: [1]}\nmax_output_tokens: 200\n")
    done = subprocess.run([moecap, "run", config, "--results-dir", folder, "--json"], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    if done.returncode != 0:
        raise Refused(done.stderr.strip().splitlines()[-1])
    run_id = json.loads(done.stdout)["run_id"]
    measurement = next((folder / run_id / "measurements").iterdir())
    answers = {}
    for line in (measurement / "answers.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        answers[answer["id"]] = (answer["text"], answer.get("token_ids") or [])
    passes = measurement / "passes.jsonl"
    return Answers(answers, by_request(passes.read_text().splitlines()) if passes.exists() else [])


def measure_server(moecap, name, problems, folder, options):
    """With the experts that it tells, or those that our launcher recorded."""
    options.record = folder / "record.jsonl" if name.startswith("transformers") else None
    server = serve.start(system_named(name), options)
    try:
        model = str(HOME / "models/tiny-moe-float32")
        result = measure(moecap, {"name": name, "server": {"url": server["url"]}, "model": model, "machine": "here"}, problems, folder)
    finally:
        serve.end(server)
    if options.record:  # warm-up came before
        result.passes = by_request(options.record.read_text().splitlines())[-problems:]
    return result


def sets_of(record):
    """Per layer, the experts that were used."""
    return [{expert for expert, tokens in enumerate(layer) if tokens} for layer in record["expert_counts"]]


def compare_experts(ours, theirs):
    """(equal, all) layers of decode passes, which are single tokens, as far as both gave the same number of them."""
    equal = compared = 0
    for a, b in zip(ours.passes, theirs.passes):
        if len(a) != len(b):
            continue
        for mine, other in zip(a[1:], b[1:]):
            if not other.get("expert_counts"):
                continue
            for left, right in zip(sets_of(mine), sets_of(other)):
                compared += 1
                equal += left == right
    return equal, compared


def compare_answers(ours, theirs):
    """By token ids where the server tells them, else by text."""
    equal = 0
    for name, (text, ids) in ours.answers.items():
        other_text, other_ids = theirs.answers.get(name, ("", []))
        equal += ids == other_ids if ids and other_ids else text == other_text
    return equal, len(ours.answers)


def share(equal, compared):
    return f"{equal:,} of {compared:,} ({100 * equal / compared:.2f} %)" if compared else "-"


def write_page(lines):
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after, encoding="utf-8")


def truth(names, problems, moecap, options):
    chosen = [name for name in names or SYSTEMS if install.is_installed(system_named(name))]
    if not chosen:
        raise Refused("none of these systems is installed: tools/peers install SYSTEM", install.SKIPPED)
    lines = [f"| system | equal answers, {problems} problems | equal experts of a token in a layer |", "|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="moecap-truth-") as scratch:
        folder = pathlib.Path(scratch)
        ours = measure(moecap, {"name": "embedded", "model": str(GGUF)}, problems, folder)
        for name in chosen:
            own = folder / name
            own.mkdir()
            theirs = measure_server(moecap, name, problems, own, options)
            line = f"| {name} | {share(*compare_answers(ours, theirs))} | {share(*compare_experts(ours, theirs))} |"
            print(line, file=sys.stderr)
            lines.append(line)
    write_page(lines)
    print("\n".join(lines))
