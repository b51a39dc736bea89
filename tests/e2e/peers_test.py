"""tools/peers without any real system: what it starts it ends whole, what it cannot download it says, what it records is passes.jsonl.

  python3 peers_test.py MOECAP_BINARY
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = sys.argv.pop(1)
SCRATCH = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = SCRATCH.name
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools/peer_systems"))
import accept
import install
import moetrace
import pages
import pass_records
import serve
from systems import SYSTEMS, Refused, System

# A server with a child, both of which must end.
PROGRAM = """
import http.server, subprocess, sys
subprocess.Popen(["sleep", "1000"])
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def options(**changed):
    given = {"port": None, "model": pathlib.Path("model"), "dtype": "float32", "threads": 1, "plain": False, "record": None,
             "record_ids": False, "extra": []}
    return argparse.Namespace(**(given | changed))


def fake(name, program):
    return System(name, "1", lambda start: [sys.executable, "-c", program, start.port], "/", ready_s=600)


class Servers(unittest.TestCase):
    def test_start_returns_when_it_answers_and_end_leaves_nothing(self):
        server = serve.start(fake("answers", PROGRAM), options())
        self.assertEqual(urllib.request.urlopen(server["url"]).status, 200)
        self.assertEqual([found["pid"] for found in serve.servers()], [server["pid"]])
        with self.assertRaisesRegex(Refused, "listens on port"):
            serve.start(fake("answers", PROGRAM), options(port=server["port"]))
        serve.end(server)
        self.assertFalse(serve.group_lives(server["pid"]))
        self.assertEqual(serve.servers(), [])

    def test_a_server_that_ends_says_its_last_words(self):
        with self.assertRaisesRegex(Refused, "ended before it was ready.*no such kernel") as failed:
            serve.start(fake("dies", "raise SystemExit('no such kernel')"), options())
        self.assertEqual(failed.exception.exit_code, 1)
        self.assertEqual(serve.servers(), [])

    def test_only_some_record(self):
        with self.assertRaisesRegex(Refused, "no recording launcher"):
            serve.start(fake("plain", PROGRAM), options(record=pathlib.Path("passes.jsonl")))


class Install(unittest.TestCase):
    def test_everything_is_pinned(self):
        for system in SYSTEMS:
            lines = install.lock_of(system).read_text().split() if system.venv else []
            self.assertEqual([line for line in lines if line.count("==") != 1], [], system.name)

    def test_no_package_index_is_skipped_and_said(self):
        try:
            import ensurepip  # noqa: F401
        except ImportError:
            self.skipTest("needs python3-venv")
        nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_EXTRA_INDEX_URL": "",
                   "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1", "PIP_DEFAULT_TIMEOUT": "1"}
        done = subprocess.run([ROOT / "tools/peers", "install", "xllamacpp"], env=os.environ | nowhere, capture_output=True, text=True)
        self.assertEqual(done.returncode, install.SKIPPED, done.stderr)
        self.assertIn("xllamacpp was skipped: its packages cannot be downloaded here", done.stderr)
        self.assertFalse(any(install.is_installed(system) for system in SYSTEMS if system.name == "xllamacpp"))

    def test_names(self):
        done = subprocess.run([ROOT / "tools/peers", "start", "vlm"], capture_output=True, text=True)
        self.assertEqual((done.returncode, "vlm is none of the systems: llama-server, vllm" in done.stderr), (2, True), done.stderr)


class Test(unittest.TestCase):
    """The acceptance against `moecap mock`, whose answers are known."""

    def mock(self, *words):
        return System("mock", "1", lambda start: [BINARY, "mock", "--dialect", "vllm", "--served-name", "tiny-moe", "--ttft-s", "0.001",
                                                  "--tpot-s", "0.0005", "--port", start.port, *words], "/health")

    def test_a_server_that_answers(self):
        row, faults = accept.test_system(self.mock("--max-context", "4096"), pathlib.Path(BINARY), 32, options())
        self.assertEqual(faults, [])
        self.assertRegex(row, r"^\| mock \| 1 \| yes \| yes \| \d+ of 32 \|")

    def test_a_server_that_fails(self):
        row, faults = accept.test_system(self.mock("--fault", "error-object=1"), pathlib.Path(BINARY), 32, options())
        self.assertRegex(row, r"^\| mock \| 1 \| no \| no \| (- \| ){8}load: exit code 1: ")
        self.assertEqual(len(faults), 2)
        self.assertNotIn("127.0.0.1", row)


    def test_only_a_reason_excuses_a_missing_tpot(self):
        def cell(gaps, **figures):
            known = {"completed": 16, "ttft_mean_s": 0.1, "tpot_mean_s": None, "output_tokens_per_s": 9}
            return {"figures": known | figures, "measurements": [{"load": {"whole": {"completed": 16}, "timing_gaps": gaps}}]}
        self.assertEqual(accept.missing_figures(cell([{"gap": "uneven_chunks", "requests": 16}])), [])
        self.assertEqual(accept.missing_figures(cell([{"gap": "uneven_chunks", "requests": 16}], ttft_mean_s=None)), ["ttft_mean_s"])
        self.assertEqual(accept.missing_figures(cell([{"gap": "uneven_chunks", "requests": 9}])), ["tpot_mean_s"])
        self.assertEqual(accept.missing_figures(cell([])), ["tpot_mean_s"])


class Pages(unittest.TestCase):
    def test_rows_of_others_stay(self):
        page = pathlib.Path(SCRATCH.name) / "systems.md"
        frame = "before\n<!-- written by us -->\n{}<!-- end of what us wrote -->\nafter\n"
        page.write_text(frame.format("| system |\n|---|\n| vllm | old |\n| gone |\n"))
        pages.write_rows(page, "us", ("system", "row"), {"sglang": pages.line_of(("sglang", "a|b"))}, ["sglang", "vllm"])
        self.assertEqual(page.read_text(), frame.format("| system | row |\n|---|---|\n| sglang | a\\|b |\n| vllm | old |\n"))
        self.assertEqual(list(pages.rows_of(page, "us")), ["sglang", "vllm"])


class Passes(unittest.TestCase):
    def test_rows_are_those_of_the_parts_in_order(self):
        parts = [pass_records.Part("a", 3, 3), pass_records.Part("b", 1, 7), pass_records.Part("c", 2, 9)]
        sequences = pass_records.sequences_of(parts, [0, 1, 2, 9, 4, 5])
        self.assertEqual([(s.request_id, s.context_tokens, s.new_tokens, s.is_prefill) for s in sequences],
                         [("a", 0, 3, True), ("b", 9, 1, False), ("c", 4, 2, True)])
        self.assertEqual([(s.context_tokens, s.new_tokens) for s in pass_records.sequences_of([pass_records.Part("d", None, 8)], [8])],
                         [(8, 1)])
        self.assertTrue(pass_records.sequences_of(None, [0, 1])[0].is_prefill)

    def test_moecap_reads_what_is_recorded(self):
        prompt = [pass_records.Sequence("a", 0, 3, 3), pass_records.Sequence("b", 5, 1, 5)]
        token = [pass_records.Sequence("a", 3, 1, 3)]
        lines = [pass_records.pass_record(0, 0.5, 0.25, prompt, [[3, 2, 2, 1], [0, 1, 3, 4]]),
                 pass_records.pass_record(1, 0.75, 0.125, token, [[0, 1, 1, 0], [1, 0, 0, 1]])]
        self.assertEqual([line["kind"] for line in lines], ["mixed", "decode"])
        self.assertEqual(lines[0]["distinct_experts"], [4, 3])
        self.assertEqual(lines[0]["requests"], ["a", "b"])
        path = pathlib.Path(SCRATCH.name) / "passes.jsonl"
        writer = pass_records.Writer(path)
        for line in lines:
            writer.put(lambda line=line: line)
        writer.close()
        read = subprocess.run([BINARY, "trace", str(path), "--json"], capture_output=True, text=True)
        self.assertEqual(read.returncode, 0, read.stderr)
        told = json.loads(read.stdout)
        self.assertEqual((told["passes"], told["experts"], len(told["layers"])), (2, 4, 2))

    def test_counts_beside_the_passes_are_read(self):
        folder = pathlib.Path(SCRATCH.name) / "measurement"
        folder.mkdir()
        lines = [pass_records.pass_record(i, i, 0.25, [pass_records.Sequence("a", i, 1, 1)],
                                          [[int(expert in (i, 3)) for expert in range(201)], [1] + 199 * [0] + [1]]) for i in range(3)]
        path = folder / "passes.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run([BINARY, "trace", str(path), "--write", str(folder / "routing.moetrace")], check=True, capture_output=True)
        path.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "expert_counts"}) + "\n" for line in lines))
        self.assertEqual([record["expert_counts"] for record in moetrace.read_passes(path)],
                         [line["expert_counts"] for line in lines])


if __name__ == "__main__":
    unittest.main()
