"""Shards of `moecap load` under a real Slurm and mpirun, against `moecap mock`: what tools/slurm test runs inside its cluster."""

import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SHARDS = 8
checks = []


def check(name, good, detail=""):
    checks.append(good)
    print(f"{'ok  ' if good else 'FAIL'}  {name}{': ' + detail if detail else ''}", flush=True)


class Proof:
    def __init__(self, moecap, keep):
        self.moecap = moecap
        self.dir = os.path.abspath(keep) if keep else tempfile.mkdtemp(prefix="moecap-shards.")
        os.makedirs(self.dir, exist_ok=True)
        self.keep = keep
        self.results = os.path.join(self.dir, "results")
        self.mock = None

    def start_mock(self, *arguments):
        ready = os.path.join(self.dir, "ready")
        if os.path.exists(ready):
            os.remove(ready)
        with open(os.path.join(self.dir, "mock.log"), "a") as log:
            self.mock = subprocess.Popen(
                [self.moecap, "mock", *arguments, "--host", os.environ["MOECAP_SLURM_HOST"], "--ready-file", ready], stdout=log, stderr=log
            )
        while not os.path.exists(ready):
            time.sleep(0.02)
            assert self.mock.poll() is None, "the mock ended"
        with open(ready) as file:
            self.url = file.read().strip()

    def stop_mock(self):
        if self.mock:
            self.mock.terminate()
            self.mock.wait()
            self.mock = None

    def load(self, *arguments):
        return [self.moecap, "load", self.url, "--warmup", "0", "--results-dir", self.results, *arguments]

    def merge(self, group):
        done = subprocess.run(
            [self.moecap, "runs", "merge", self.group(group), "--results-dir", self.results, "--json"], capture_output=True, text=True
        )
        return done, json.loads(done.stdout) if done.stdout else None

    def group(self, group):
        return os.path.join(self.results, "shards", group)

    def finish(self):
        self.stop_mock()
        if not self.keep:
            shutil.rmtree(self.dir)


# What one event log says (docs/formats/events.md), read without any of moecap's code: of each request the time to the first token.
def first_tokens(path):
    with open(path, "rb") as file:
        data = file.read()
    at, origin, sent, first = 12, 0, {}, {}
    while at + 16 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        payload = data[at + 16 : at + 16 + size]
        at += 16 + size
        if len(payload) < size:
            break
        if kind == 1:
            origin = json.loads(payload)["origin_ns"]
            continue
        here = 0
        while here < size:
            event, flags, value, ticket = struct.unpack_from("<BBHI", payload, here)
            if event == 1:
                sent[ticket] = struct.unpack_from("<q", payload, here + 8)[0]
                here += 32 + value
            elif event == 2:
                time_ns, delay = struct.unpack_from("<q", payload, here + 8)[0], 0
                if flags & 2:
                    delay = struct.unpack_from("<q", payload, here + 16)[0]
                first.setdefault(ticket, time_ns - delay)
                here += 24 if flags & 2 else 16
            elif event == 3:
                here += 8
            elif event == 4:
                here += 128 + struct.unpack_from("<i", payload, here + 24)[0]
            elif event == 5:
                here += 24 + value
            elif event == 6:
                here += 32 + sum(struct.unpack_from("<iii", payload, here + 16))
            else:
                raise ValueError(f"{path}: event {event}")
    return [(first[ticket] - origin) * 1e-9 - (sent[ticket] - origin) * 1e-9 for ticket in first]


def logs_below(folder):
    return sorted(os.path.join(where, name) for where, _, names in os.walk(folder) for name in names if name.endswith(".bin"))


def union_of(folder):
    return sorted(ttft for path in logs_below(folder) for ttft in first_tokens(path))


def cell(summary):
    return summary["systems"][0]["cells"][0]


def gate(summary, name):
    return next(gate for gate in cell(summary)["gates"] if gate["name"] == name)


# Linear between order statistics, as numpy does it.
def quantile(ordered, q):
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    weight, step = at - low, ordered[high] - ordered[low]
    return ordered[low] + step * weight if weight < 0.5 else ordered[high] - step * (1 - weight)


def parts_below(folder):
    for where, _, names in os.walk(folder):
        if "manifest.json" not in names:
            continue
        with open(os.path.join(where, "manifest.json")) as file:
            for measurement in json.load(file)["measurements"]:
                yield from measurement.get("parts", [])


# The process that is this task of a step, by its environment.
def process_of(task, words):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        is_moecap = os.path.basename(line[0]) == b"moecap" and words.encode() in line
        if is_moecap and f"SLURM_PROCID={task}".encode() in environment:
            return int(pid)
    return None


def wait_for_events(proof, group, shard, shards=SHARDS):
    folder = os.path.join(proof.group(group), f"{shard}-of-{shards}")
    while not any(os.path.getsize(path) > 500 for path in logs_below(folder)):
        time.sleep(0.01)


SRUN = ["srun", "--kill-on-bad-exit=0", "-n", str(SHARDS), "-N", str(SHARDS)]


def same_as_union(proof, group, summary, what):
    union = union_of(proof.group(group))
    figures = cell(summary)["figures"]
    for name, q in (("ttft_p50_s", 0.5), ("ttft_p90_s", 0.9), ("ttft_p99_s", 0.99)):
        if figures[name] is None:
            continue
        check(f"{what}: {name} of the merge is that of the union", figures[name] == quantile(union, q), f"{figures[name]!r}")
    check(f"{what}: every request is there once", figures["requests"] == len(union), f"{len(union)} requests")


# Of the starts of each measurement, by the shards' own clocks, which are one on one machine.
def widest_skew(folder):
    late = {}
    for where, _, names in os.walk(folder):
        if "manifest.json" in names:
            with open(os.path.join(where, "manifest.json")) as file:
                for measurement in json.load(file)["measurements"]:
                    late.setdefault(measurement["repeat"], []).extend(part["start_late_s"] for part in measurement.get("parts", []))
    return max(max(starts) - min(starts) for starts in late.values())


def shards_under_srun(proof):
    load = ["--clients", "32", "--requests", "320", "--repeats", "25", "--input-tokens", "16", "--output-tokens", "8"]
    subprocess.run(
        [*SRUN, *proof.load(*load, "--shard", "auto", "--shard-group", "srun", "--start-lead", "1")],
        check=True, stderr=subprocess.DEVNULL,
    )
    done, summary = proof.merge("srun")
    check("8 shards under srun merge into a complete run", done.returncode == 0 and summary["complete"], done.stderr.strip()[-200:])
    same_as_union(proof, "srun", summary, "srun")
    late = sorted(part["start_late_s"] for part in parts_below(proof.group("srun")))
    p50, p99 = quantile(late, 0.5), quantile(late, 0.99)
    skew = gate(summary, "start skew of shards")
    print(
        f"      start behind the common time, {len(late)} starts: median {1e3 * p50:.3f} ms, p99 {1e3 * p99:.3f} ms, "
        f"worst {1e3 * late[-1]:.3f} ms; widest skew within a measurement {1e3 * skew['value']:.3f} ms"
    )
    check("the gate has the widest skew", skew["value"] >= widest_skew(proof.group("srun")) - 1e-9, f"{1e3 * skew['value']:.3f} ms")


def killed(proof):
    load = proof.load("--clients", "16", "--requests", "96", "--input-tokens", "16", "--output-tokens", "40")
    step = subprocess.Popen([*SRUN, *load, "--shard", "auto", "--shard-group", "killed"], stderr=subprocess.DEVNULL)
    wait_for_events(proof, "killed", 3)
    os.kill(process_of(3, "killed"), signal.SIGKILL)
    step.wait()
    done, summary = proof.merge("killed")
    named = "shard 3/8" in gate(summary, "shards of the load")["explanation"]
    check("a killed shard leaves the run incomplete and is named", done.returncode == 1 and not summary["complete"] and named,
          done.stderr.strip().splitlines()[-1].strip())
    check("and no figure is given of the rest", cell(summary)["figures"]["ttft_p50_s"] is None)


def paused(proof):
    load = proof.load("--clients", "16", "--requests", "96", "--input-tokens", "16", "--output-tokens", "40")
    step = subprocess.Popen([*SRUN, *load, "--shard", "auto", "--shard-group", "paused"], stderr=subprocess.DEVNULL)
    wait_for_events(proof, "paused", 5)
    pid = process_of(5, "paused")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)
    step.wait()
    stall = gate(proof.merge("paused")[1], "longest stall of a shard")
    check("a paused shard trips a gate that names it", stall["state"] == "tripped" and "shard 5/8" in stall["explanation"],
          f"{stall['value']:.2f} s")


def batch_script(proof):
    script = os.path.join(os.path.dirname(__file__), "../../deploy/slurm/load.sbatch")
    environment = dict(os.environ, PATH=os.path.dirname(proof.moecap) + ":" + os.environ["PATH"], RESULTS=proof.results)
    log = os.path.join(proof.dir, "sbatch.log")
    done = subprocess.run(
        ["sbatch", "--wait", "--ntasks=4", f"--output={log}", script, proof.url, "--clients", "8", "--requests", "80", "--warmup", "0",
         "--input-tokens", "16", "--output-tokens", "8"],
        env=environment, capture_output=True, text=True,
    )
    with open(log) as file:
        text = file.read()
    check("deploy/slurm/load.sbatch makes and merges a load of 4 shards", done.returncode == 0 and "8 clients" in text, text.strip()[-80:])


# An array job over files of configurations, as deploy/slurm/sweep.sbatch makes it.
def sweep_script(proof, name, array, **tokens):
    folder = os.path.join(proof.dir, name)
    os.makedirs(folder, exist_ok=True)
    cells = os.path.join(folder, "cells")
    with open(cells, "w") as listed:
        for cell, output_tokens in tokens.items():
            file = os.path.join(folder, f"{cell}.yaml")
            with open(file, "w") as out:
                out.write(f"name: {cell}\nserver: {{url: '{proof.url}'}}\nworkload: {{requests: 64, input_tokens: 16, output_tokens: "
                          f"{output_tokens}}}\nload: {{clients: [8]}}\nwarmup_requests: 0\n")
            listed.write(file + "\n")
    script = os.path.join(os.path.dirname(__file__), "../../deploy/slurm/sweep.sbatch")
    environment = dict(os.environ, PATH=os.path.dirname(proof.moecap) + ":" + os.environ["PATH"], RESULTS=proof.results)
    return subprocess.Popen(
        ["sbatch", "--wait", f"--array={array}", "--ntasks=2", f"--output={folder}/%a.log", script, cells],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ), folder


def sweep_scripts(proof):
    job, folder = sweep_script(proof, "script", "1-2%1", brief=4, long=16)
    _, said = job.communicate()
    logs = [open(os.path.join(folder, f"{i}.log")).read() for i in (1, 2)]
    check("deploy/slurm/sweep.sbatch makes and merges two cells of 2 shards", job.returncode == 0 and all("8 clients" in log for log in logs),
          said.strip()[-80:])


def sweep_script_with_a_kill(proof):
    job, folder = sweep_script(proof, "script-killed", "1", slow=200)
    while not (groups := loads_that_end_in(proof, ".slow")):  # slurm-JOB.slow
        if job.poll() is not None:
            raise SystemExit(f"the sweep ended before its second load: {job.communicate()[0]}")
        time.sleep(0.05)
    wait_for_events(proof, groups[0], 1, shards=2)
    os.kill(process_of(1, groups[0]), signal.SIGKILL)
    job.communicate()
    log = open(os.path.join(folder, "1.log")).read()
    check("of a killed shard deploy/slurm/sweep.sbatch fails and names it", job.returncode != 0 and "shard 1/2" in log, log.strip().splitlines()[-1])


def loads_that_end_in(proof, end):
    folder = os.path.join(proof.results, "shards")
    return [name for name in os.listdir(folder) if name.endswith(end)] if os.path.isdir(folder) else []


def sweep(proof):
    file = os.path.join(proof.dir, "grid.yaml")
    with open(file, "w") as out:
        out.write(
            f"name: grid\nshards: 2\nat_once: 2\nconfig:\n  server: {{url: '{proof.url}'}}\n  workload: {{requests: 40, input_tokens: 16}}\n"
            "  load: {clients: [4]}\n  warmup_requests: 0\naxes:\n  length: {short: {workload: {output_tokens: 4}}, "
            "long: {workload: {output_tokens: 16}}}\n  api: {completions: {}, chat: {server: {api: chat}}}\n"
        )
    command = [proof.moecap, "sweep", file, "--on", "slurm", "--results-dir", proof.results, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    cells = json.loads(done.stdout)["cells"] if done.stdout else []
    check("a sweep of 2 x 2 cells of 2 shards as an array job", done.returncode == 0 and len({c["run_id"] for c in cells}) == 4,
          done.stderr.strip()[-200:])
    again = subprocess.run(command, capture_output=True, text=True)
    check("a second call finds everything made", again.stdout == done.stdout)


def configure(text):
    with open(os.environ["SLURM_CONF"], "w") as out:
        out.write(text)
    subprocess.run(["scontrol", "reconfigure"], check=True)


# Slurm forgets a job some time after its end (MinJobAge: minutes, here seconds), and then knows no such id.
def sweep_of_a_forgotten_job(proof):
    folder = os.path.join(proof.results, "sweeps", "grid")
    with open(os.path.join(folder, "slurm_job")) as file:
        job = file.read().strip()
    with open(os.environ["SLURM_CONF"]) as file:
        remembers = file.read()
    configure(remembers + "MinJobAge=2\n")
    end_s = time.monotonic() + 600
    while "Invalid job id" not in (said := subprocess.run(["squeue", f"--jobs={job}"], capture_output=True, text=True).stderr):
        if time.monotonic() > end_s:
            raise SystemExit(f"Slurm still knows job {job}: {said}")
        time.sleep(1)
    configure(remembers)
    file = os.path.join(proof.dir, "grid.yaml")
    with open(file) as before:
        text = before.read()
    with open(file, "w") as out:
        out.write(text.replace("long: {", "longer: {workload: {output_tokens: 24}}, long: {"))
    done = subprocess.run([proof.moecap, "sweep", file, "--on", "slurm", "--results-dir", proof.results, "--json"], capture_output=True, text=True)
    cells = json.loads(done.stdout)["cells"] if done.stdout else []
    check("a sweep whose last job Slurm has forgotten goes on with two further cells", done.returncode == 0 and len({c["run_id"] for c in cells}) == 6,
          done.stderr.strip()[-200:])


def under_mpirun(proof):
    if shutil.which("mpirun") is None:
        print("skip  mpirun: not here; apt-get install openmpi-bin")
        return
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"}
    load = proof.load("--rate", "80", "--duration", "3", "--input-tokens", "16", "--output-tokens", "8")
    done = subprocess.run(
        ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "4", *load, "--shard", "auto", "--shard-group", "mpi"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )
    merged, summary = proof.merge("mpi")
    check("4 shards of an open loop under mpirun", done.returncode == 0 and merged.returncode == 0, done.stderr.strip()[-200:] if done.returncode else "")
    same_as_union(proof, "mpi", summary, "mpirun")


# Aggregate rate against a server that answers at once, on the cores that it shares with the clients.
def rates(proof):
    proof.stop_mock()
    proof.start_mock("--null")
    print("\n      shards  events/s  CPUs of the clients  events per CPU second of the clients")
    for shards in (1, 2, 4, 8):
        group = f"rate-{shards}"
        load = proof.load("--clients", "64", "--requests", "2000", "--repeats", "3", "--input-tokens", "16", "--output-tokens", "128")
        subprocess.run(
            ["srun", "-n", str(shards), "-N", str(shards), *load, "--shard", f"auto/{shards}", "--shard-group", group],
            check=True, stderr=subprocess.DEVNULL,
        )
        figures = cell(proof.merge(group)[1])["figures"]
        rate, cpus = figures["output_tokens_per_s"], figures["client_cpu_share"] * shards
        print(f"      {shards:6}  {rate:8.0f}  {cpus:19.2f}  {rate / cpus:34.0f}", flush=True)


def main():
    proof = Proof(os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    try:
        proof.start_mock("--ttft-s", "0.02", "--tpot-s", "0.002")
        for step in (shards_under_srun, batch_script, sweep_scripts, sweep, sweep_of_a_forgotten_job, under_mpirun):
            step(proof)
        proof.stop_mock()
        proof.start_mock("--ttft-s", "0.02", "--tpot-s", "0.02")
        killed(proof)
        sweep_script_with_a_kill(proof)
        paused(proof)
        rates(proof)
    finally:
        proof.finish()
    print(f"\n{sum(checks)} of {len(checks)} checks hold")
    sys.exit(0 if all(checks) else 1)


main()
