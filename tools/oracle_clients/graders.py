"""The same replies, judged by the reference tools themselves and by `moecap score`, verdict by verdict."""
import json
import os
import pathlib
import subprocess
import tempfile

import replies
from systems import python_of

REFERENCE = pathlib.Path(__file__).parent / "reference_graders.py"
# Each task of lm-eval: the form of its golds, its letters, the part of the verdicts that has to agree.
TASKS = {"gsm8k": ("number", "", 1), "gsm8k_cot": ("number", "", 1), "gsm8k_cot_llama": ("number", "", 1), "mmlu_generative": ("letter", "ABCD", 1),
         "mmlu_flan_cot_zeroshot": ("letter", "ABCD", 1), "mmlu_cot_llama": ("letter", "ABCD", 1), "mmlu_pro": ("letter", "ABCDEFGHIJ", 1),
         "gpqa_cot_zeroshot": ("letter", "ABCD", 1), "aime": ("integer", "", 1), "hendrycks_math": ("mathematics", "", 1),
         "minerva_math": ("mathematics", "", 0.97), "longbench": ("longbench", "", 1)}


def of_reference(rows_by_task):
    """{task: [{filter: verdict}]}: one process for all, as its imports take longer than its verdicts."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    asked = "".join(json.dumps(row | {"task": task}) + "\n" for task, rows in rows_by_task.items() for row in rows)
    done = subprocess.run([python_of("lm-eval"), str(REFERENCE)], input=asked, check=True, capture_output=True, text=True, env=environment)
    verdicts = iter(done.stdout.splitlines())
    return {task: [json.loads(next(verdicts)) for _ in rows] for task, rows in rows_by_task.items()}


# Where a filter of ours has the name of an older version's.
NAMES = {("minerva_math", "exact_match"): "exact_match-3.1"}


def of_moecap(task, rows, options, folder):
    predictions, items = folder / f"{task}.jsonl", folder / f"{task}-items.jsonl"
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [options.moecap, "score", "--task", task, "--contract", "lm-eval", predictions, "--items", items]
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return [{name: {"extracted": found["extracted"], "right": found["score"] == 1, "score": found["score"]} for name, found in json.loads(line)["filters"].items()}
            for line in items.read_text(encoding="utf-8").splitlines()]


def is_same(ours, theirs):
    return abs(ours - theirs) < 1e-9 if isinstance(theirs, float) else ours == theirs


def rows_of(task, options):
    form, letters, _ = TASKS[task]
    if form == "longbench":
        return list(replies.longbench_rows(options.replies, options.seed))
    return list(replies.rows_of(form, letters, options.replies, options.seed))


def differences(task, theirs, ours):
    """By filter, the rows where the verdict differs or, where the tool tells it, the extracted answer does."""
    found = {name: [] for name in theirs[0]}
    for row, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        for name, verdict in their.items():
            if not all(is_same(our[NAMES.get((task, name), name)][part], value) for part, value in verdict.items()):
                found[name].append(row)
    return found


def compare(options):
    """Prints a line a filter and each difference; 1 where fewer agree than must."""
    failed = False
    print("| task | filter | replies | right by the tool | the same |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="moecap-oracles-") as scratch:
        all_rows = {task: rows_of(task, options) for task in options.task or TASKS}
        for task, theirs in of_reference(all_rows).items():
            rows, required = all_rows[task], TASKS[task][2]
            ours = of_moecap(task, rows, options, pathlib.Path(scratch))
            for name, differing in differences(task, theirs, ours).items():
                right = sum(verdicts[name].get("right", verdicts[name].get("score")) for verdicts in theirs)
                print(f"| {task} | {name} | {len(rows)} | {right:g} | {len(rows) - len(differing)} |", flush=True)
                failed = failed or len(differing) > (1 - required) * len(rows)
                for row in differing[:options.show]:
                    print(f"  {json.dumps(rows[row])}: the tool {theirs[row][name]}, moecap {ours[row][NAMES.get((task, name), name)]}")
    return 1 if failed else 0
