"""Multiple choice by log-likelihood: lm-evaluation-harness (`local-completions`) and `moecap run`, on one server and in the embedded engine."""
import csv
import json
import os
import pathlib
import random
import subprocess
import tempfile

from systems import GGUF, HOME, ROOT

DATA = ROOT / "datasets/tinymath/test.jsonl"
TASKS = pathlib.Path(__file__).parent
SUBJECT = "arithmetic"
SHOTS = 5
MOST_DIFFERENCE = 1e-3  # of a log-likelihood, between programs that compute in float32
# Ours, with the tasks of lm-eval that ask the same, and its name for what the prompt's scoring says.
FORMS = {"mmlu-likelihood": ("choices_letter", "acc"), "mmlu-continuation": ("choices_text", "acc_norm")}


def items(count, form):
    """MMLU's rows. Texts: a problem and the first step of its solution, with its result and three wrong ones, as tiny-moe has learned to
    answer. Letters: that step as the question, so that five examples fit into its context."""
    chance = random.Random(7)
    rows = []
    for line in DATA.read_text(encoding="utf-8").splitlines():
        problem = json.loads(line)
        step, right = problem["answer"].splitlines()[0].split("=")
        if not right.isdigit() or len(rows) == count:
            continue
        at = chance.randrange(len(right))
        wrong = [right + "0", f"{right[:at]}{(int(right[at]) + 1) % 10}{right[at + 1:]}", f"{right[:at]}{(int(right[at]) + 2) % 10}{right[at:]}"]
        options = wrong + [right]
        chance.shuffle(options)
        asked = (problem["question"], [f"{step}={option}" for option in options]) if form == "mmlu-continuation" else (f"What is {step}?", options)
        rows.append({"question": asked[0], "choices": asked[1], "answer": options.index(right), "subject": SUBJECT})
    return rows


def write_data(folder, rows):
    """As the authors' CSV files for us, as JSON lines for lm-eval; the last rows are the worked examples."""
    for split, part in (("test", rows[:-SHOTS]), ("dev", rows[-SHOTS:])):
        (folder / split).mkdir(parents=True)
        with open(folder / split / f"{SUBJECT}_{split}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([row["question"], *row["choices"], "ABCD"[row["answer"]]] for row in part)
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")


def of_lm_eval(url, data, options, folder):
    """{form: [(log-likelihoods, right)]} in the order of the rows, and the harness' own score of each form."""
    tasks, out = folder / "tasks", folder / "lm-eval"
    tasks.mkdir()
    for form, (task, _) in FORMS.items():
        files = json.dumps({split: str(data / form / f"{split}.jsonl") for split in ("test", "dev")})
        (tasks / f"{task}.yaml").write_text((TASKS / f"{task}.yaml").read_text().replace("DATA", files))
    arguments = {"model": "tiny-moe", "base_url": f"{url}/v1/completions", "num_concurrent": options.clients, "tokenizer_backend": "remote",
                 "max_retries": 1, "max_length": 512}
    command = [HOME / "lm-eval/bin/lm_eval", "--model", "local-completions", "--model_args",
               ",".join(f"{key}={value}" for key, value in arguments.items()), "--tasks", ",".join(task for task, _ in FORMS.values()),
               "--include_path", tasks, "--log_samples", "--output_path", out]
    environment = os.environ | {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, env=environment, cwd=folder)
    found, scores = {}, json.loads(next(out.rglob("results_*.json")).read_text())["results"]
    for form, (task, metric) in FORMS.items():
        lines = next(out.rglob(f"samples_{task}_*.jsonl")).read_text(encoding="utf-8").splitlines()
        samples = sorted(map(json.loads, lines), key=lambda sample: sample["doc_id"])
        found[form] = [([float(choice[0][0]) for choice in sample["resps"]], sample[metric] == 1) for sample in samples]
    return found, {form: scores[task][f"{metric},none"] for form, (task, metric) in FORMS.items()}


def of_moecap(url, data, form, options, folder):
    """{system: [(log-likelihoods, right)]}, and moecap's own score of each system."""
    config = folder / f"{form}.yaml"
    config.write_text(f"systems:\n  - {{name: vLLM, server: {{url: {url}}}}}\n"
                      f"  - {{name: 'embedded, all in float32', model: {GGUF}, weights: F32, float32_attention: true}}\n"
                      f"  - {{name: 'embedded, F16 weights', model: {GGUF}, float32_attention: true}}\n"
                      f"  - {{name: 'embedded, F16 weights and attention', model: {GGUF}}}\n"
                      f"workload: {{dataset: mmlu, path: {data / form}, prompt: {form}}}\nload: {{clients: [{options.clients}]}}\n"
                      "warmup_requests: 1\n")
    done = subprocess.run([options.moecap, "run", config, "--results-dir", folder, "--json"], check=True, capture_output=True, text=True)
    summary = json.loads(done.stdout)
    found, scores = {}, {}
    for system in summary["systems"]:
        cell = system["cells"][0]
        file = folder / summary["run_id"] / "measurements" / cell["measurements"][0]["name"] / "answers.jsonl"
        answers = {answer["id"]: answer for answer in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
        in_order = [answers[key] for key in sorted(answers, key=int)]
        found[system["name"]] = [(json.loads(answer["text"]), answer["score"] == 1) for answer in in_order]
        scores[system["name"]] = cell["figures"]["accuracy"]
    return found, scores


def compare(url, options):
    """Prints a line a prompt and system; 1 where a choice differs, or a log-likelihood by more than MOST_DIFFERENCE in float32."""
    differs = False
    with tempfile.TemporaryDirectory(prefix="moecap-oracles-") as scratch:
        folder = pathlib.Path(scratch)
        data = folder / "mmlu"
        for form in FORMS:
            write_data(data / form, items(options.problems + SHOTS, form))
        theirs, their_score = of_lm_eval(url, data, options, folder)
        print("| prompt | system | problems | lm-eval | moecap | equal verdict | largest difference of a log-likelihood | median |\n"
              "|---|---|---|---|---|---|---|---|")
        for form in FORMS:
            ours, our_score = of_moecap(url, data, form, options, folder)
            for system, answers in ours.items():
                pairs = list(zip(theirs[form], answers, strict=True))
                equal = sum(a[1] == b[1] for a, b in pairs)
                gaps = sorted(abs(x - y) for a, b in pairs for x, y in zip(a[0], b[0], strict=True))
                print(f"| {form} | {system} | {len(pairs)} | {100 * their_score[form]:.2f} % | {100 * our_score[system]:.2f} % | "
                      f"{equal} of {len(pairs)} | {gaps[-1]:.2g} | {gaps[len(gaps) // 2]:.2g} |", flush=True)
                differs = differs or ("F16" not in system and (equal < len(pairs) or gaps[-1] > MOST_DIFFERENCE))
    return 1 if differs else 0
