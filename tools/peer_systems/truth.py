"""Several engines, one model, one truth: the same problems one at a time on the embedded engine and on real servers, and what they
have in common: the answers, token by token, the experts of every token in every layer, the distinct experts of every pass. Where
they differ, transformers' router logits of the same text say by how little the choice was made."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

import install
import pages
import serve
from moetrace import read_passes
from systems import GGUF, HERE, ROOT, Refused, python_of, system_named

SYSTEMS = ("vllm", "sglang", "transformers", "transformers-cb")
PATIENCE_S = 3 * 3600
DATA = ROOT / "datasets/tinymath/test.jsonl"
PAGE, PROGRAM = ROOT / "docs/validation.md", "tools/peers truth"
COLUMNS = ("system", "problems", "equal answers", "equal experts of a token in a layer", "experts of transformers' logits",
           "equal distinct experts of a pass in a layer", "their mean, embedded and here",
           "first difference of an answer: how many, gap: median, largest", "all gaps: median, share up to that largest",
           "differences behind another one of the same answer")


@dataclass
class Answers:
    """Of one system, one request after the other."""
    texts: dict                                   # problem: (text, token ids)
    requests: list = field(default_factory=list)  # each its prompt's passes and those of its answer, one a token


@dataclass
class Tally:
    """What two engines have in common; a pass here is that of one request."""
    equal: int = 0
    compared: int = 0

    def add(self, is_equal):
        self.compared += 1
        self.equal += is_equal

    def __str__(self):
        return f"{self.equal:,} of {self.compared:,} ({100 * self.equal / self.compared:.2f} %)" if self.compared else "-"


def by_request(records):
    """Passes of requests that ran one at a time: each begins with its prompt, which may have been cut into several passes."""
    requests, last = [], None
    for record in records:
        goes_on = last and end_of(last) == record["sequences"][-1]["context_tokens"]
        if record["kind"] != "decode" and not (goes_on and last["kind"] != "decode"):
            requests.append([])
        if requests:
            requests[-1].append(record)
        last = record
    return requests


def end_of(record):
    """Tokens of the request that are in the cache after the pass."""
    return record["sequences"][-1]["context_tokens"] + record["sequences"][-1]["new_tokens"]


def by_problem(requests, routes):
    """{problem: passes}: the next request with as many prompt tokens, in the order in which the problems were sent."""
    found, begin = {}, 0
    for problem, of in routes.items():
        at = next((i for i in range(begin, len(requests)) if prompt_tokens(requests[i]) == of["prompt_tokens"]), None)
        if at is not None:
            found[problem], begin = requests[at], at + 1
    return found


def prompt_tokens(passes):
    return max((end_of(record) for record in passes if record["kind"] != "decode"), default=0)


def measure(moecap, system, problems, folder):
    config = folder / "truth.yaml"
    config.write_text(f"systems: [{json.dumps(system)}]\n"
                      f"dataset: {{path: {DATA}, problems: {problems}}}\n"
                      "load: {clients: [1]}\nmax_output_tokens: 200\nwarmup_requests: 1\n")
    done = subprocess.run([moecap, "run", config, "--results-dir", folder, "--json"], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    if done.returncode != 0:
        raise Refused(done.stderr.strip().splitlines()[-1])
    run_id = json.loads(done.stdout)["run_id"]
    measurement = next((folder / run_id / "measurements").iterdir())
    lines = (measurement / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    texts = {answer["id"]: (answer["text"], answer.get("token_ids") or []) for answer in map(json.loads, lines)}
    passes = measurement / "passes.jsonl"
    return Answers(texts, by_request(read_passes(passes)) if passes.exists() else [])


def recorded(path, problems):
    """Of our launcher: those whose id, which is the client's, ends with that of a problem; warm-up and others have other ends."""
    return [request for request in by_request(read_passes(path))
            if (request[0]["requests"][0] or "").endswith(tuple(problems))]


def measure_server(moecap, name, problems, folder, options):
    """With the experts that it tells, or those that our launcher recorded."""
    options.record = folder / "record.jsonl" if name.startswith("transformers") else None
    server = serve.start(system_named(name), options)
    try:
        served = {} if options.record else {"model": str(serve.hf_model("float32")), "machine": "here"}
        result = measure(moecap, {"name": name, "server": {"url": server["url"]}} | served, problems, folder)
    finally:
        serve.end(server)
    if options.record:
        result.requests = recorded(options.record, result.texts)
    return result


def reference(ours):
    """Transformers' routes of the embedded engine's texts, by problem."""
    questions = {problem["id"]: problem["question"] for problem in map(json.loads, DATA.read_text(encoding="utf-8").splitlines())}
    texts = [json.dumps({"prompt": f"Question: {questions[name]}\nAnswer:", "token_ids": ids}) for name, (_, ids) in ours.texts.items()]
    done = subprocess.run([python_of("transformers"), HERE / "router_reference.py", serve.hf_model("float32")],
                          input="\n".join(texts) + "\n", capture_output=True, text=True, timeout=PATIENCE_S,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    if done.returncode != 0:
        raise Refused(done.stderr.strip().splitlines()[-1], 1)
    return dict(zip(ours.texts, map(json.loads, done.stdout.splitlines()), strict=True))


def sets_of(record):
    """Per layer, the experts that were used."""
    return [{expert for expert, tokens in enumerate(layer) if tokens} for layer in record["expert_counts"]]


@dataclass
class Comparison:
    """Of a server with the embedded engine, and of both with the router's logits."""
    answers: Tally = field(default_factory=Tally)
    experts: Tally = field(default_factory=Tally)
    routed: Tally = field(default_factory=Tally)                 # the server's experts and those of the router's logits
    distinct: Tally = field(default_factory=Tally)
    used: list = field(default_factory=lambda: [0, 0])           # distinct experts, embedded and here, over all passes
    gaps: list = field(default_factory=list)                     # of the router, where the experts of an answer first differ
    followers: int = 0                                           # differences after those: what they computed differed already
    token_gaps: list = field(default_factory=list)               # of the next token, where answers part

    def add_answer(self, ours, theirs, routes):
        """By token ids where the server tells them, else by text."""
        ids, other_ids = ours[1], theirs[1]
        is_equal = ids == other_ids if ids and other_ids else ours[0] == theirs[0]
        self.answers.add(is_equal)
        if not is_equal and other_ids:
            at = next((i for i, (a, b) in enumerate(zip(ids, other_ids)) if a != b), min(len(ids), len(other_ids)))
            self.token_gaps.append(routes["token_gaps"][at])

    def add_prompt(self, ours, theirs):
        """Of one pass each; the embedded engine routes the last position alone in the last layer. Whether the experts differ."""
        if len(ours) != 1 or len(theirs) != 1 or not theirs[0].get("expert_counts") or ours[0]["sequences"] != theirs[0]["sequences"]:
            return False
        for left, right in list(zip(sets_of(ours[0]), sets_of(theirs[0])))[:-1]:
            self.add_distinct(left, right)
        return ours[0]["expert_counts"][:-1] != theirs[0]["expert_counts"][:-1]

    def add_tokens(self, ours, theirs, routes, differs):
        """Passes of one token each; row 0 of the routes is the prompt's last token. `differs`: the prompt's experts did."""
        if len(ours) != len(theirs):
            return
        for mine, other in zip(ours, theirs):
            if not other.get("expert_counts"):
                continue
            row = mine["sequences"][0]["context_tokens"] - routes["prompt_tokens"] + 1
            for layer, (left, right) in enumerate(zip(sets_of(mine), sets_of(other))):
                self.experts.add(left == right)
                self.routed.add(right == set(routes["experts"][row][layer]))
                self.add_distinct(left, right)
                if left != right and differs:
                    self.followers += 1
                elif left != right:
                    self.gaps.append(routes["gaps"][row][layer])
                    differs = True

    def add_distinct(self, left, right):
        self.distinct.add(len(left) == len(right))
        self.used[0] += len(left)
        self.used[1] += len(right)


def compare(ours, theirs, routes):
    comparison = Comparison()
    our_passes, their_passes = by_problem(ours.requests, routes), by_problem(theirs.requests, routes)
    for name, answer in ours.texts.items():
        comparison.add_answer(answer, theirs.texts.get(name, ("", [])), routes[name])
        if name in our_passes and name in their_passes:
            parts = [[[record for record in passes[name] if (record["kind"] == "decode") == is_answer] for is_answer in (False, True)]
                     for passes in (our_passes, their_passes)]
            differs = comparison.add_prompt(parts[0][0], parts[1][0])
            comparison.add_tokens(parts[0][1], parts[1][1], routes[name], differs)
    return comparison


def row(name, problems, found, all_gaps):
    differ, share = "-", "-"
    if found.gaps:
        largest = max(found.gaps)
        differ = f"{len(found.gaps)}; {statistics.median(found.gaps):.5f}, {largest:.5f}"
        share = f"{100 * sum(gap <= largest for gap in all_gaps) / len(all_gaps):.2f} %"
    means = ", ".join(f"{used / found.distinct.compared:.4f}" for used in found.used) if found.distinct.compared else "-"
    return [name, str(problems), *map(str, (found.answers, found.experts, found.routed, found.distinct)), means, differ,
            f"{statistics.median(all_gaps):.3f}, {share}", str(found.followers)]


def truth(names, problems, moecap, options):
    chosen = [name for name in names or SYSTEMS if install.is_installed(system_named(name))]
    if not chosen:
        raise Refused("none of these systems is installed: tools/peers install SYSTEM", install.SKIPPED)
    install.require_installed(system_named("transformers"))
    with tempfile.TemporaryDirectory(prefix="moecap-truth-") as scratch:
        folder = pathlib.Path(scratch)
        ours = measure(moecap, {"name": "embedded", "model": str(GGUF)}, problems, folder)
        routes = reference(ours)
        all_gaps = [gap for of in routes.values() for token in of["gaps"][1:-1] for gap in token]
        for name in chosen:
            own = folder / name
            own.mkdir()
            found = compare(ours, measure_server(moecap, name, problems, own, options), routes)
            line = pages.line_of(row(name, problems, found, all_gaps))
            pages.write_rows(PAGE, PROGRAM, COLUMNS, {name: line}, SYSTEMS)
            print(line, flush=True)
            if found.token_gaps:
                print(f"{name}: answers part where the likeliest token leads by {max(found.token_gaps):.5f} at most", file=sys.stderr)
