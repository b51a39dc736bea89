"""What tools/oracles does; see the head of that script."""
import argparse
import pathlib
import signal
import subprocess
import sys

import choices
import graders
import install
import jobs
import planner
import score
import serve
import speed
import tables
from systems import ROOT, Refused, System, system_named

LM_EVAL = System("lm-eval", "0.4.13", command=lambda start: [], ready="", venv="lm-eval")
READERS = System("readers", "(pyarrow 26, DuckDB 2.0, kubernetes-validate 1.37)", command=lambda start: [], ready="", venv=tables.VENV)
AICONFIGURATOR = System("aiconfigurator", "0.12.0", command=lambda start: [], ready="", venv=planner.VENV)


def parser():
    main = argparse.ArgumentParser(prog="tools/oracles", description="Other clients against the same server: docs/validation.md")
    main.add_argument("--moecap", type=pathlib.Path, default=ROOT / "build/release/moecap", help="the program (default: build/release/moecap)")
    verbs = main.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install", help="lm-eval and AIConfigurator at their pinned versions, in environments of their own; twice is once")
    verb = verbs.add_parser("score", help="lm-eval's answers and scores, item by item, beside those of `moecap run`")
    verb.add_argument("--problems", type=int, default=512)
    verb.add_argument("--clients", type=int, default=4)
    verb = verbs.add_parser("graders", help="replies made by chance, judged by the reference tools and by `moecap score`")
    verb.add_argument("--replies", type=int, default=400, help="a task")
    verb.add_argument("--seed", type=int, default=1)
    verb.add_argument("--task", action="append", choices=list(graders.TASKS), help="this one alone; several times for several")
    verb.add_argument("--show", type=int, default=5, help="differences a filter")
    verb = verbs.add_parser("choices", help="multiple choice by log-likelihood: lm-eval's beside those of `moecap run`, of the server and the embedded engine")
    verb.add_argument("--problems", type=int, default=32)
    verb.add_argument("--clients", type=int, default=2)
    verb = verbs.add_parser("speed", help="`vllm bench serve` and `moecap load` in turn with equal parameters")
    verb.add_argument("--rounds", type=int, default=5, help="of both, one after the other")
    verb.add_argument("--clients", type=lambda text: [int(word) for word in text.split(",")], default=[1, 4])
    verb.add_argument("--requests", type=int, default=32)
    verb.add_argument("--input-tokens", type=int, default=128)
    verb.add_argument("--output-tokens", type=int, default=64)
    verb = verbs.add_parser("planner", help="AIConfigurator's predictions beside those of our planner, on the measured rows of its wheel")
    verb.add_argument("--sample", type=pathlib.Path, default=ROOT.parent / "shared/data/silicon_sample.csv", help="the rows that our multipliers were fitted on")
    verb.add_argument("--rows", type=int, default=200, help="about so many of models that were fitted, and half as many of others; three seconds a row")
    verbs.add_parser("tables", help="the parquet tables of a run, read by pyarrow and DuckDB")
    verbs.add_parser("jobs", help="deploy/kubernetes by Kubernetes' own schema, and run as its controller would")
    return main


def run(options):
    if options.verb == "install":
        install.install(LM_EVAL)
        return install.install(AICONFIGURATOR)
    if options.verb in ("tables", "jobs"):
        install.install(READERS)
        return (tables if options.verb == "tables" else jobs).compare(options)
    if options.verb == "planner":
        install.require_installed(AICONFIGURATOR)
        return planner.compare(options)
    vllm = system_named("vllm")
    needed = {"score": [vllm, LM_EVAL], "choices": [vllm, LM_EVAL], "graders": [LM_EVAL], "speed": [vllm]}
    for system in needed[options.verb]:
        install.require_installed(system)
    if not options.moecap.exists():
        raise Refused(f"{options.moecap} does not exist: build it, or name another with --moecap")
    if options.verb == "graders":
        return graders.compare(options)
    how = argparse.Namespace(port=None, model=None, dtype="float32", threads=1, plain=options.verb == "speed", record=None,
                             record_ids=False, extra=["--enable-tokenizer-info-endpoint"] * (options.verb == "choices"))
    server = serve.start(vllm, how)
    try:
        if options.verb == "score":
            return score.compare(server["url"], options)
        if options.verb == "choices":
            return choices.compare(server["url"], options)
        return speed.compare(server["url"], options)
    finally:
        serve.end(server)


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupt)  # so that the server ends, too
    try:
        sys.exit(run(parser().parse_args()))
    except Refused as refused:
        print(f"oracles: {refused}", file=sys.stderr)
        sys.exit(refused.exit_code)
    except subprocess.CalledProcessError as failed:
        print(f"oracles: {failed.cmd[0]} failed: {(failed.stderr or '').strip()[-500:]}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
