"""deploy/kubernetes against the published schema of Kubernetes, and its Indexed Job as the controller would run it, with processes for pods."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import uuid

from systems import ROOT, Refused, python_of

VENV = "readers"
LIMIT_S = 900  # of a Job, which takes seconds
MANIFEST = ROOT / "deploy/kubernetes/load.yaml"
VALIDATE = """
import json, sys
import kubernetes_validate, yaml
job = yaml.safe_load(open(sys.argv[1]))
kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
print(json.dumps({"version": kubernetes_validate.latest_version(), "job": job}))
"""


def validated():
    done = subprocess.run([python_of(VENV), "-c", VALIDATE, str(MANIFEST)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{MANIFEST}: {done.stderr.strip().splitlines()[-1]}", 1)
    said = json.loads(done.stdout)
    return said["version"], said["job"]


class IndexedJob:
    """As the Job controller makes it (https://kubernetes.io/docs/concepts/workloads/controllers/job): a pod an index, with JOB_COMPLETION_INDEX;
    one that fails is made again until backoffLimit is used up, then the others are terminated and the Job has failed."""

    def __init__(self, job, moecap, replaced, room):
        spec = job["spec"]
        assert spec["completionMode"] == "Indexed" and spec["template"]["spec"]["restartPolicy"] == "Never"
        assert spec["parallelism"] == spec["completions"], "all pods must run at once"
        self.count, self.retries = spec["completions"], spec["backoffLimit"]
        container = spec["template"]["spec"]["containers"][0]
        self.uid = str(uuid.uuid4())
        labels = {"metadata.labels['batch.kubernetes.io/controller-uid']": self.uid}
        self.environment = {entry["name"]: labels[entry["valueFrom"]["fieldRef"]["fieldPath"]] for entry in container["env"]}
        self.command = [moecap, *(self.expanded(replaced.get(word, word)) for word in container["args"])]
        self.room, self.pods = room, {}

    def expanded(self, word):
        for name, value in self.environment.items():
            word = word.replace(f"$({name})", value)
        return word

    def start(self, index):
        log = open(self.room / f"pod-{index}.log", "a")
        self.pods[index] = subprocess.Popen(self.command, env=os.environ | self.environment | {"JOB_COMPLETION_INDEX": str(index)},
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self, meanwhile=lambda job: None):
        """Whether it completed. `meanwhile` is called again and again. Refused, with what its pods said, after LIMIT_S: none should take that long."""
        for index in range(self.count):
            self.start(index)
        failures, succeeded, end_s = 0, set(), time.monotonic() + LIMIT_S
        while len(succeeded) < self.count:
            if time.monotonic() > end_s:
                self.terminate()
                raise Refused(f"the Job has not ended after {LIMIT_S} s, indexes {sorted(self.pods)} run: {self.last_words()}", 1)
            meanwhile(self)
            for index, pod in list(self.pods.items()):
                code = pod.poll()
                if code is None:
                    continue
                del self.pods[index]
                if code == 0:
                    succeeded.add(index)
                    continue
                failures += 1
                if failures > self.retries:
                    self.terminate()
                    return False
                self.start(index)
            time.sleep(0.02)
        return True

    def last_words(self):
        return "; ".join(f"{index}: {(self.room / f'pod-{index}.log').read_text().strip()[-200:]}" for index in self.pods)

    def terminate(self):
        for pod in self.pods.values():
            pod.terminate()
        for pod in self.pods.values():
            pod.wait()


def start_mock(moecap, room):
    ready = room / "ready"
    server = subprocess.Popen([moecap, "mock", "--ttft-s", "0.02", "--tpot-s", "0.02", "--ready-file", str(ready)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not ready.exists():
        if server.poll() is not None:
            raise Refused("moecap mock ended", 1)
        time.sleep(0.02)
    return server, ready.read_text().strip()


def compare(options):
    checks = []

    def check(what, good, detail=""):
        checks.append(good)
        print(f"{'ok  ' if good else 'FAIL'}  {what}{': ' + detail if detail else ''}", flush=True)

    version, job = validated()
    check(f"deploy/kubernetes/load.yaml is valid by the schema of Kubernetes {version}", True)
    moecap = str(options.moecap)
    with tempfile.TemporaryDirectory() as folder:
        room = pathlib.Path(folder)
        server, url = start_mock(moecap, room)
        replaced = {"http://server:8000": url, "/results": str(room / "results"), "4096": "16", "100000": "160"}
        try:
            whole = IndexedJob(job, moecap, replaced, room)
            check(f"a Job of {whole.count} indexes completes", whole.run())
            merged = merge(moecap, whole, room)
            summary = json.loads(merged.stdout) if merged.stdout else {}
            figures = summary["systems"][0]["cells"][0]["figures"] if summary else {}
            check("its shards merge into the whole load", merged.returncode == 0 and summary["complete"] and figures["requests"] == 160)
            killed = IndexedJob(job, moecap, replaced, room)
            check("a pod that is killed fails the Job", not killed.run(kill_third))
            merged = merge(moecap, killed, room)
            check("and the merge names it", merged.returncode == 1 and f"shard 3/{killed.count}" in merged.stderr,
                  merged.stderr.strip().splitlines()[-1].strip())
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    print(f"{sum(checks)} of {len(checks)} checks hold")
    return 0 if all(checks) else 1


def merge(moecap, job, room):
    return subprocess.run([moecap, "runs", "merge", str(room / "results/shards" / job.uid), "--results-dir", str(room / "results"), "--json"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)


def kill_third(job):
    """Once it measures."""
    logs = list((job.room / "results/shards" / job.uid).glob(f"3-of-{job.count}/measurements/*/events.0.bin"))
    if 3 in job.pods and any(log.stat().st_size > 500 for log in logs):
        job.pods[3].kill()
        job.pods[3].wait()
