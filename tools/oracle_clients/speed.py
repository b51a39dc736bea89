"""Latency and throughput of the same server by `vllm bench serve` and by `moecap load`, in turn, with equal parameters."""
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

import serve
from systems import python_of

BENCH = pathlib.Path(__file__).parent / "vllm_bench.py"
WARMUP = 4
# Ours and theirs, the median over requests, and tokens of all over the time from the first send to the last answer.
FIGURES = {"TTFT p50, ms": ("ttft_p50_s", "median_ttft_ms"), "TPOT p50, ms": ("tpot_p50_s", "median_tpot_ms"),
           "output tokens/s": ("output_tokens_per_s", "output_throughput")}


def of_bench(url, clients, seed, options, folder):
    command = [python_of("vllm"), BENCH, "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions",
               "--model", serve.hf_model("float32"), "--served-model-name", "tiny-moe", "--dataset-name", "random",
               "--random-input-len", options.input_tokens, "--random-output-len", options.output_tokens, "--ignore-eos",
               "--temperature", 0, "--num-prompts", options.requests, "--max-concurrency", clients, "--num-warmups", WARMUP,
               "--seed", seed, "--disable-tqdm", "--save-result", "--result-dir", folder, "--result-filename", "bench.json"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, env=environment)
    result = json.loads((folder / "bench.json").read_text())
    if result["total_output_tokens"] != options.requests * options.output_tokens:
        raise ValueError(f"vllm bench serve got {result['total_output_tokens']} tokens")
    return {name: result[theirs] for name, (_, theirs) in FIGURES.items()}


def of_moecap(url, clients, seed, options, folder):
    command = [options.moecap, "load", url, "--clients", clients, "--requests", options.requests, "--input-tokens", options.input_tokens,
               "--output-tokens", options.output_tokens, "--warmup", WARMUP, "--seed", seed, "--results-dir", folder, "--json"]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    figures = json.loads(done.stdout)["systems"][0]["cells"][0]["figures"]
    return {name: figures[ours] * (1000 if name.endswith("ms") else 1) for name, (ours, _) in FIGURES.items()}


def spread(values):
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def compare(url, options):
    """Prints a line a figure and level: the medians over the rounds with the range, and their ratio."""
    print("| clients | figure | moecap load | vllm bench serve | ratio of medians | ratios of the rounds: median (range) |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="moecap-oracles-") as scratch:
        folder = pathlib.Path(scratch)
        for clients in options.clients:
            ours, theirs = [], []
            for round_ in range(options.rounds):
                # Another seed each time: equal prompts would come from the prefix cache. In turn, and each first as often as the other.
                seed = 1000 * clients + round_
                turns = [(ours, of_moecap), (theirs, of_bench)]
                for found, measure in turns if round_ % 2 == 0 else reversed(turns):
                    found.append(measure(url, clients, seed, options, folder))
            for name in FIGURES:
                a, b = [of[name] for of in ours], [of[name] for of in theirs]
                ratios = [mine / other for mine, other in zip(a, b)]
                print(f"| {clients} | {name} | {spread(a)} | {spread(b)} | {statistics.median(a) / statistics.median(b):.3f} | "
                      f"{spread(ratios)} |", flush=True)
    return 0
