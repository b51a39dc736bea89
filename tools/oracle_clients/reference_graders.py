"""Verdicts of lm-evaluation-harness and of the graders it calls. Runs in their environment; JSON lines in (task, prediction, gold, choices;
of LongBench dataset, answers, all_classes) and out ({filter: {extracted, right}}, or {filter: {score}}). Each task's own YAML decides: its filters, its metric's options, its process_results."""
import json
import logging
import pathlib
import sys

import lm_eval
from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters import build_filter_ensemble
from lm_eval.tasks._yaml_loader import load_yaml

TASKS = pathlib.Path(lm_eval.__file__).parent / "tasks"
YAML = {"gsm8k": "gsm8k/gsm8k.yaml", "gsm8k_cot": "gsm8k/gsm8k-cot.yaml", "gsm8k_cot_llama": "gsm8k/gsm8k-cot-llama.yaml",
        "mmlu_generative": "mmlu/generative/_default_template_yaml",
        "mmlu_flan_cot_zeroshot": "mmlu/flan_cot_zeroshot/_mmlu_flan_cot_zeroshot_template_yaml",
        "mmlu_cot_llama": "llama3/instruct/mmlu_cot/_mmlu_cot_llama_template_yaml", "mmlu_pro": "mmlu_pro/_default_template_yaml",
        "gpqa_cot_zeroshot": "gpqa/cot_zeroshot/_gpqa_cot_zeroshot_yaml", "aime": "aime/aime24.yaml",
        "hendrycks_math": "hendrycks_math/hendrycks_math_algebra.yaml", "minerva_math": "minerva_math/minerva_math_algebra.yaml"}
IN_PARENTHESES = ("mmlu_flan_cot_zeroshot", "gpqa_cot_zeroshot")  # their targets are "(A)"


class Response:
    """What a filter ensemble reads of an instance."""

    def __init__(self, row):
        self.resps, self.doc, self.filtered_resps = [row["prediction"]], {"choices": row.get("choices")}, {}


def by_filters(task, config, row):
    gold = f"({row['gold']})" if task in IN_PARENTHESES else row["gold"]
    options = {key: value for key, value in config["metric_list"][0].items() if key.startswith(("ignore", "regexes"))}
    verdicts = {}
    for listed in config["filter_list"]:
        steps = [[step["function"], {key: value for key, value in step.items() if key != "function"} or None] for step in listed["filter"]]
        response = Response(row)
        build_filter_ensemble(listed["name"], steps).apply([response])
        extracted = response.filtered_resps[listed["name"]]
        score = exact_match_hf_evaluate(predictions=[extracted], references=[gold], **options)["exact_match"]
        verdicts[listed["name"]] = {"extracted": None if extracted == "[invalid]" else extracted, "right": bool(score)}
    return verdicts


def by_share(config, row):
    return {"score": {"score": config["process_results"](row, [row["prediction"]])["score"]}}


def by_results(config, row):
    gold = row["gold"]
    document = {"solution": rf"\boxed{{{gold}}}", "answer": gold}
    if "minerva" in str(config["process_results"].__module__):
        module = sys.modules[config["process_results"].__module__]
        document["answer"] = module.normalize_final_answer(gold)
    return {name: {"right": bool(score)} for name, score in config["process_results"](document, [row["prediction"]]).items()}


def main():
    logging.disable(logging.CRITICAL)
    configs = {}
    out, sys.stdout = sys.stdout, sys.stderr  # the graders print
    for line in sys.stdin:
        row = json.loads(line)
        task = row["task"]
        name = YAML[task] if task in YAML else f"longbench/{row['dataset']}.yaml"
        if name not in configs:
            configs[name] = load_yaml(TASKS / name, resolve_func=True)
        config = configs[name]
        if task == "longbench":
            verdicts = by_share(config, row)
        else:
            verdicts = by_results(config, row) if "process_results" in config else by_filters(task, config, row)
        print(json.dumps(verdicts), file=out, flush=True)


main()
