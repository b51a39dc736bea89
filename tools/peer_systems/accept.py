"""`moecap load` against real systems with nothing but the URL, `moecap run` with what they serve besides, and what came of it."""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import install
import pages
import serve
from systems import ROOT, SYSTEMS, Refused, system_named

CLIENTS = (1, 4, 16)
PATIENCE_S = 3600  # for one command, on a busy machine
PAGE = ROOT / "docs/systems.md"
COLUMNS = ("system", "version", "load", "run", "equal answers", "accuracy, %", "asked by", "tokens from", "cached tokens", "experts",
           "passes", "takes and tells no", "what failed")
# Of what moecap may have found missing (systems[].capabilities of the manifest), that which changes what is measured.
LACKS = ("token ids in", "token ids out", "usage", "ignore_eos", "cache salt", "cached tokens", "routed experts")
# Figures that no answering server leaves unknown, whatever it tells; but for TPOT where moecap found, and the report says, why the
# tokens of every answer have no times of their own.
FIGURES = ("completed", "ttft_mean_s", "tpot_mean_s", "output_tokens_per_s")


@dataclass
class Outcome:
    """Of one command."""
    command: str
    exit_code: int = 0
    summary: dict | None = None
    faults: list = field(default_factory=list)

    @property
    def cells(self):
        return self.summary["systems"][0]["cells"] if self.summary else []

    def figure(self, name):
        """Of the first level that has it."""
        return next((cell["figures"][name] for cell in self.cells if cell["figures"][name] is not None), None)


def sentence(text, url):
    """The message that moecap ended with, without the address; its other lines are progress, warnings and a path."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("moecap")]
    last = lines[-1].partition(": ")[2] if lines else (text.strip().splitlines() or ["no message"])[-1].strip()
    return last.replace(f"{url}: ", "").replace(url, "the server")


def tells_no_token_times(cell):
    loads = [measurement["load"] for measurement in cell["measurements"]]
    completed = sum(load["whole"]["completed"] for load in loads)
    return completed > 0 and completed == sum(gap["requests"] for load in loads for gap in load["timing_gaps"])


def missing_figures(cell):
    missing = [name for name in FIGURES if cell["figures"][name] is None]
    return [name for name in missing if name != "tpot_mean_s" or not tells_no_token_times(cell)]


def measure(moecap, words, url):
    command = [str(moecap), *map(str, words), "--json"]
    outcome = Outcome(" ".join(["moecap", *command[1:]]))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        outcome.exit_code, outcome.faults = -1, [f"not done after {PATIENCE_S} s"]
        return outcome
    outcome.exit_code = done.returncode
    if done.returncode != 0:
        outcome.faults.append(f"exit code {done.returncode}: {sentence(done.stderr, url)}")
        return outcome
    outcome.summary = json.loads(done.stdout)
    for cell in outcome.cells:
        figures = cell["figures"]
        missing = missing_figures(cell)
        if missing:
            outcome.faults.append(f"{cell['label']}: no {', '.join(missing)}")
        if figures["failed"]:
            outcome.faults.append(f"{cell['label']}: {figures['failed']:.0f} of {figures['requests']:.0f} requests failed")
    if len(outcome.cells) != len(CLIENTS):
        outcome.faults.append(f"{len(outcome.cells)} of {len(CLIENTS)} levels")
    return outcome


def load(moecap, url, requests, folder):
    return measure(moecap, ["load", url, "--clients", ",".join(map(str, CLIENTS)), "--requests", requests, "--results-dir", folder], url)


def run(moecap, url, problems, folder):
    path = folder / "systems.yaml"
    path.write_text(f"systems:\n  - server: {{url: {url}}}\n    model: {serve.hf_model('float32')}\n    machine: here\n"
                    f"dataset: {{path: {ROOT / 'datasets/tinymath/test.jsonl'}, problems: {problems}}}\n"
                    f"load: {{clients: {list(CLIENTS)}}}\n")
    return measure(moecap, ["run", path, "--results-dir", folder], url)


def equal_answers(outcome, folder):
    """How many problems got the same text at every level, of how many."""
    texts = {}
    for path in (folder / outcome.summary["run_id"] / "measurements").glob("*/answers.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            answer = json.loads(line)
            texts.setdefault(answer["id"], []).append(answer["text"])
    return sum(len(of) == len(CLIENTS) and len(set(of)) == 1 for of in texts.values()), len(texts)


def with_server(system, options, work):
    """`work(url)`; what it found, and whether the server lived through it. The log stays where something failed."""
    server = serve.start(system, options)
    try:
        outcome = work(server["url"])
        if not serve.answers(server["url"] + system.ready):
            outcome.faults.append("the server no longer answers: " + serve.last_words(pathlib.Path(server["log"])))
    finally:
        serve.end(server)
    if not outcome.faults:
        shutil.rmtree(pathlib.Path(server["log"]).parent)
    return outcome


def met(manifests):
    """How the server is asked, and what it lacks, as moecap found it."""
    if not manifests:
        return "-", "-"
    system = manifests[-1]["systems"][0]
    missing = {found["name"] for found in system["capabilities"] if found["support"] in ("no", "ignored")}
    return system["api"], ", ".join(name for name in LACKS if name in missing) or "-"


def told(outcomes, manifests):
    """What the server let moecap know, in the columns of the table."""
    sources = [source["source"] for outcome in outcomes for cell in outcome.cells for measurement in cell["measurements"]
               for source in measurement["load"]["token_sources"]]
    cells = [cell for outcome in outcomes for cell in outcome.cells]
    experts = any(cell["figures"]["decode_distinct_experts"] is not None for cell in cells)
    experts_told = any((measurement.get("server_passes") or {}).get("told") for manifest in manifests
                      for measurement in manifest["measurements"])
    passes = any(cell["utilization"]["all"]["passes"] for cell in cells)
    cached = any(outcome.figure("cached_input_share") is not None for outcome in outcomes)
    return [", ".join(dict.fromkeys(sources)) or "-", "yes" if cached else "-",
            "-" if not experts else "yes" if experts_told else "estimated", "yes" if passes else "-"]


def row(system, loaded, ran, folder):
    """One line of the table, and whether everything in it is as it should be."""
    faults = [f"{outcome.command.split()[1]}: {fault}" for outcome in (loaded, ran) for fault in outcome.faults]
    accuracy = ran.figure("accuracy")
    equal = equal_answers(ran, folder) if ran.summary else None
    manifests = [json.loads((folder / outcome.summary["run_id"] / "manifest.json").read_text()) for outcome in (loaded, ran)
                 if outcome.summary]
    api, lacks = met(manifests)
    if any(cell["figures"]["tpot_mean_s"] is None for outcome in (loaded, ran) for cell in outcome.cells):
        lacks = "times of single tokens" if lacks == "-" else f"{lacks}, times of single tokens"
    if equal and equal[0] != equal[1]:
        faults.append(f"run: {equal[1] - equal[0]} problems have different answers at different levels")
    cells = [system.name, system.version, *("no" if outcome.faults else "yes" for outcome in (loaded, ran)),
             f"{equal[0]} of {equal[1]}" if equal else "-", "-" if accuracy is None else f"{100 * accuracy:.1f}",
             api, *told((loaded, ran), manifests), lacks, "; ".join(faults) or "-"]
    return pages.line_of(cells), faults


def test_system(system, moecap, requests, options):
    with tempfile.TemporaryDirectory(prefix="moecap-peers-") as scratch:
        folder = pathlib.Path(scratch)
        # A server for each: what the first one did to it must not decide what the second one finds.
        loaded = with_server(system, options, lambda url: load(moecap, url, requests, folder))
        ran = with_server(system, options, lambda url: run(moecap, url, requests, folder))
        return row(system, loaded, ran, folder)


def test(names, moecap, requests, options):
    chosen = [system_named(name) for name in names] or [system for system in SYSTEMS if install.is_installed(system)]
    if not chosen:
        raise Refused("no system is installed: tools/peers install SYSTEM", install.SKIPPED)
    if not moecap.exists():
        raise Refused(f"{moecap} does not exist: build it, or name another with --moecap")
    for system in chosen:
        install.require_installed(system)
    rows, failed = {}, False
    for system in chosen:
        print(f"{system.name} {system.version} ...", file=sys.stderr)
        try:
            rows[system.name], faults = test_system(system, moecap, requests, options)
        except Refused as refused:
            faults = [str(refused)]
            rows[system.name] = pages.line_of([system.name, system.version, *["-"] * (len(COLUMNS) - 3), faults[0]])
        print(rows[system.name], flush=True)
        failed = failed or bool(faults)
        pages.write_rows(PAGE, "tools/peers test", COLUMNS, {system.name: rows[system.name]}, [system.name for system in SYSTEMS])
    return 1 if failed else 0


def default_options(threads):
    return argparse.Namespace(port=None, model=None, dtype="float32", threads=threads, plain=False, record=None, record_ids=False,
                              extra=[])
