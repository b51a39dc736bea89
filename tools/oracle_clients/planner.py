"""AIConfigurator beside our planner on measured rows that both are asked about: rows of the silicon sample of its wheel."""
import csv
import hashlib
import io
import pathlib
import subprocess
import sys

from systems import HOME, ROOT, Refused, python_of

ROWS = pathlib.Path(__file__).parent / "aiconfigurator_rows.py"
VENV = "aiconfigurator"
SEEN = ("DeepSeek-R1", "DeepSeek-V3", "MiniMax-M2", "gpt-oss-120b", "Kimi-K2.5")   # models that our multipliers were fitted on
FRESH = ("Qwen3-235B", "Qwen3.5-397B", "GLM-5")


def wheel_sample():
    found = sorted((HOME / VENV / "lib").glob("python3*/site-packages/aiconfigurator_core/systems/silicon_sample.csv"))
    if not found:
        raise Refused("the wheel of AIConfigurator has no silicon_sample.csv")
    return found[0]


def is_served(row, marks):
    return row["mode"] == "agg" and row["silicon_tpot_ms"] and any(mark in row["model_path"] for mark in marks) and int(row["tp_size"] or 0) <= 8 \
        and "wip=True" not in row["silicon_data_source"] and "silicon_concurrency=" in row["silicon_data_source"] and int(row["attention_dp_size"] or 1) == 1


def question(row):
    clients = row["silicon_data_source"].split("silicon_concurrency=")[1].split(";")[0]
    return "|".join((row["model_path"], row["isl"], row["osl"], clients))


def choose(rows, marks, most):
    """Whole questions, so that GPU types can be compared, in an order that only their text decides."""
    questions = {}
    for row in rows:
        if is_served(row, marks):
            questions.setdefault(question(row), []).append(row)
    chosen = []
    for key in sorted(questions, key=lambda text: hashlib.sha256(text.encode()).hexdigest()):
        if len(chosen) < most:
            chosen += questions[key]
    return sorted(chosen, key=lambda row: (row["system"], row["backend"], row["model_path"], row["id"]))


def predictions(rows, fields):
    text = io.StringIO()
    writer = csv.DictWriter(text, fields)
    writer.writeheader()
    writer.writerows(rows)
    done = subprocess.run([python_of(VENV), str(ROWS)], input=text.getvalue(), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def compare(options):
    sample = wheel_sample()
    with open(sample, newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    chosen = choose(rows, SEEN, options.rows) + choose(rows, FRESH, options.rows // 2)
    print(f"AIConfigurator is asked about {len(chosen)} rows of {sample}", file=sys.stderr)
    beside = HOME / "log/aiconfigurator_rows.csv"
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(predictions(chosen, reader.fieldnames))
    program = ROOT / "build/release/planner_accuracy"
    if not program.exists():
        raise Refused(f"{program} does not exist: cmake --build --preset release --target planner_accuracy")
    return subprocess.run([program, options.sample, "--fresh", sample, "--beside", beside], check=False).returncode
