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


def wheel_sample():
    found = sorted((HOME / VENV / "lib").glob("python3*/site-packages/aiconfigurator_core/systems/silicon_sample.csv"))
    if not found:
        raise Refused("the wheel of AIConfigurator has no silicon_sample.csv")
    return found[0]


def as_launched(row, read):
    """The row's columns with the layout, lengths and batch that were run (bench/planner_rows.cc), not as they stand."""
    tensor, expert = int(read["tensor"]), int(read["expert"])
    return {**row, "tp_size": tensor, "pp_size": 1, "attention_dp_size": 1, "moe_tp_size": tensor // expert, "moe_ep_size": expert,
            "isl": round(float(read["input_tokens"])), "osl": round(float(read["output_tokens"])), "batch_size": round(float(read["clients"]))}


def question(row):
    return "|".join(str(row[name]) for name in ("model_path", "isl", "osl", "batch_size"))


def choose(rows, most):
    """Whole questions, so that GPU types can be compared, in an order that only their text decides."""
    questions = {}
    for row in rows:
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
    program = ROOT / "build/release/planner_accuracy"
    if not program.exists():
        raise Refused(f"{program} does not exist: cmake --build --preset release --target planner_accuracy")
    sample = wheel_sample()
    log = HOME / "log"
    log.mkdir(parents=True, exist_ok=True)
    ask_ours = [program, options.sample, "--fresh", sample]
    (log / "planner_rows.csv").unlink(missing_ok=True)
    if subprocess.run([*ask_ours, "--rows-to", log / "planner_rows.csv"], stdout=subprocess.DEVNULL, check=False).returncode not in (0, 1):
        raise Refused(f"{program} could not read {options.sample} or {sample}")
    with open(log / "planner_rows.csv", newline="") as file:
        read = {row["id"]: row for row in csv.DictReader(file)}
    columns, rows = {}, {"fitted": [], "fresh": []}
    for path in (options.sample, sample):
        with open(path, newline="") as file:
            reader = csv.DictReader(file)
            columns.update(dict.fromkeys(reader.fieldnames))
            for row in reader:
                if one := read.pop(row["id"], None):
                    rows[one["set"]].append(as_launched(row, one))
    chosen = choose(rows["fitted"], options.rows) + choose(rows["fresh"], options.rows // 2)
    print(f"AIConfigurator is asked about {len(chosen)} rows of {sample}", file=sys.stderr)
    beside = log / "aiconfigurator_rows.csv"
    beside.write_text(predictions(chosen, list(columns)))
    return subprocess.run([*ask_ours, "--beside", beside], check=False).returncode
