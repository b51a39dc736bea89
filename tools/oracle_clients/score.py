"""The same answers and the same score, item by item: lm-evaluation-harness (`local-completions`) and `moecap run` on one server."""
import json
import os
import pathlib
import subprocess
import tempfile

from systems import HOME, ROOT

DATA = ROOT / "datasets/tinymath/test.jsonl"
TASK = pathlib.Path(__file__).parent / "tinymath.yaml"
FILTERS = ("strict-match", "flexible-extract")


def of_lm_eval(url, data, options, folder):
    """{filter: {problem: (text, extracted, right)}}, and the harness' own score of each filter."""
    tasks, out = folder / "tasks", folder / "lm-eval"
    tasks.mkdir()
    (tasks / "tinymath.yaml").write_text(TASK.read_text().replace("DATA}", f"{json.dumps(str(data))}}}"))
    arguments = {"model": "tiny-moe", "base_url": f"{url}/v1/completions", "num_concurrent": options.clients, "tokenizer_backend": "None",
                 "tokenized_requests": "False", "max_retries": 1, "max_length": 512}
    command = [HOME / "lm-eval/bin/lm_eval", "--model", "local-completions", "--model_args",
               ",".join(f"{key}={value}" for key, value in arguments.items()), "--tasks", "tinymath", "--include_path", tasks,
               "--log_samples", "--output_path", out]
    environment = os.environ | {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, env=environment, cwd=folder)
    items = {name: {} for name in FILTERS}
    for line in next(out.rglob("samples_*.jsonl")).read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        extracted = sample["filtered_resps"][0]
        items[sample["filter"]][sample["doc"]["id"]] = (sample["resps"][0][0], None if extracted == "[invalid]" else extracted,
                                                        sample["exact_match"] == 1)
    results = json.loads(next(out.rglob("results_*.json")).read_text())["results"]["tinymath"]
    return items, {name: results[f"exact_match,{name}"] for name in FILTERS}


def of_moecap(url, data, scoring, options, folder):
    """{problem: (text, extracted, right)}, and moecap's own score."""
    config = folder / f"{scoring}.yaml"
    config.write_text(f"systems:\n  - server: {{url: {url}}}\n"
                      f"dataset: {{path: {data}, scoring: gsm8k-{scoring}}}\n"
                      f"load: {{clients: [{options.clients}]}}\nmax_output_tokens: 200\n")
    done = subprocess.run([options.moecap, "run", config, "--results-dir", folder, "--json"], check=True, capture_output=True, text=True)
    summary = json.loads(done.stdout)
    answers = next((folder / summary["run_id"] / "measurements").glob("*/answers.jsonl")).read_text(encoding="utf-8").splitlines()
    return ({answer["id"]: (answer["text"], answer["extracted"], answer["score"] == 1) for answer in map(json.loads, answers)},
            summary["systems"][0]["cells"][0]["figures"]["accuracy"])


def compare(url, options):
    """Prints a line a filter; 1 where an item differs."""
    differs = False
    with tempfile.TemporaryDirectory(prefix="moecap-oracles-") as scratch:
        folder = pathlib.Path(scratch)
        data = folder / "tinymath.jsonl"
        data.write_text("\n".join(DATA.read_text(encoding="utf-8").splitlines()[:options.problems]) + "\n", encoding="utf-8")
        theirs, their_score = of_lm_eval(url, data, options, folder)
        print("| filter | problems | lm-eval | moecap | equal text | equal extracted answer | equal score |\n|---|---|---|---|---|---|---|")
        for name in FILTERS:
            ours, our_score = of_moecap(url, data, name, options, folder)
            equal = [sum(ours.get(problem, (None,) * 3)[part] == item[part] for problem, item in theirs[name].items()) for part in range(3)]
            print(f"| {name} | {len(ours)} | {100 * their_score[name]:.2f} % | {100 * our_score:.2f} % | "
                  + " | ".join(f"{count} of {len(theirs[name])}" for count in equal) + " |", flush=True)
            for problem, item in theirs[name].items():
                if ours.get(problem) != item:
                    print(f"{problem}: lm-eval {item}, moecap {ours.get(problem)}")
            differs = differs or equal != [options.problems] * 3
    return 1 if differs else 0
