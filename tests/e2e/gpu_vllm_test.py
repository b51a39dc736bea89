"""tools/gpu/vllm, transformers and engine as far as no GPU, network, vLLM or PyTorch is needed.  gpu_vllm_test.py MOECAP"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

MOECAP = sys.argv.pop(1)
TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "gpu"
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOOLS))
import device_map  # noqa: E402
import keep_machine_code  # noqa: E402
import make_model  # noqa: E402

PTX = 1
MACHINE_CODE = 2


def entry(kind, architecture, payload):
    header = struct.pack("<HHIQ", kind, 0, 64, len(payload)).ljust(28, b"\1") + struct.pack("<I", architecture)
    return header.ljust(64, b"\2") + payload


def fat_binary(*entries):
    body = b"".join(entries)
    return keep_machine_code.MAGIC + struct.pack("<HHQ", 1, 16, len(body)) + body


class KeepMachineCode(unittest.TestCase):
    def library(self, content):
        file = pathlib.Path(tempfile.mkdtemp(dir=self.folder.name)) / "library.so"
        file.write_bytes(content)
        return file

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_other_chips_and_ptx_become_zeros_and_nothing_moves(self):
        def content(old_chip, chip, ptx):
            first = fat_binary(entry(MACHINE_CODE, 80, old_chip), entry(MACHINE_CODE, 90, chip), entry(PTX, 90, ptx))
            return b"text" * 5 + first + b"more" * 3 + fat_binary(entry(MACHINE_CODE, 90, chip)) + b"end"

        file = self.library(content(b"old chip", b"this chip", b".ptx"))
        keep_machine_code.keep_machine_code(file, 90)
        self.assertEqual(file.read_bytes(), content(bytes(8), b"this chip", bytes(4)))

    def test_a_magic_number_that_begins_no_header_is_left_alone(self):
        noise = keep_machine_code.MAGIC + b"\xff" * 12
        file = self.library(noise + fat_binary(entry(MACHINE_CODE, 90, b"code")) + keep_machine_code.MAGIC)
        before = file.read_bytes()
        keep_machine_code.keep_machine_code(file, 90)
        self.assertEqual(file.read_bytes(), before)

    def test_a_library_without_code_for_the_chip_is_refused_and_kept(self):
        file = self.library(fat_binary(entry(MACHINE_CODE, 80, b"old chip")))
        before = file.read_bytes()
        with self.assertRaisesRegex(SystemExit, "no machine code for architecture 90"):
            keep_machine_code.keep_machine_code(file, 90)
        self.assertEqual(file.read_bytes(), before)


SERVED_BY_VLLM = ("mixtral-8x7b", "qwen3-30b-a3b")


class Counters(unittest.TestCase):
    def test_each_range_of_the_profiler_is_joined_with_its_pass(self):
        with tempfile.TemporaryDirectory() as state:
            folder = pathlib.Path(state)
            one = {"phase": "decode", "context_tokens": 64, "distinct_experts": [8.0], "bytes": {"ends": 5.0}, "paper_bytes": 4.0, "flops": 3.0}
            passes = [{"phase": "prefill"}, {**one, "batch": 1}, {**one, "batch": 4}]
            (folder / "s-dram.json").write_text(json.dumps({"layers": 2, "passes": passes}))
            (folder / "s-dram.csv").write_text(
                '==PROF== Connected\n"ID","dram__bytes_read.sum","dram__bytes_write.sum"\n"","byte","byte"\n"0","1,000","7"\n"1","2,500","8"\n'
            )
            out = subprocess.run([sys.executable, TOOLS / "counters.py", state, "s", "BF16"], capture_output=True, text=True, check=True)
            document = json.loads(out.stdout)
            self.assertEqual([entry["batch"] for entry in document["passes"]], [1, 4])
            self.assertEqual(document["passes"][1]["counted"], {"read": 2500, "written": 8})
            (folder / "s-dram.csv").write_text('"ID","dram__bytes_read.sum","dram__bytes_write.sum"\n"","byte","byte"\n"0","1","7"\n')
            out = subprocess.run([sys.executable, TOOLS / "counters.py", state, "s", "BF16"], capture_output=True, text=True)
            self.assertIn("1 ranges for 2 passes of s", out.stderr)


class Shapes(unittest.TestCase):
    def test_moecap_counts_the_parameters_that_the_models_have(self):
        for shape, parameters in (
            ("qwen3-30b-a3b", 30532122624),
            ("mixtral-8x7b", 46702792704),
            ("deepseek-v2-lite", 15706484224),
            ("gpt-oss-20b", 20914757184),
            ("qwen3-235b-a22b", 235093634560),
        ):
            out = subprocess.run([MOECAP, "model", TOOLS / "shapes" / shape, "--json"], capture_output=True, text=True, check=True)
            self.assertEqual(json.loads(out.stdout)["total_params"], parameters, shape)

    def test_each_shape_has_an_experiment_that_names_it(self):
        for folder in (TOOLS / "shapes").iterdir():
            if folder.name == "qwen3-235b-a22b":  # in two files, on no GPU of one card whole
                self.assertIn(f"model: models/{folder.name}-00001-of-00002.gguf,", (TOOLS / f"{folder.name}-larger.yaml").read_text())
            else:
                self.assertIn(f"model: models/{folder.name}.gguf\n", (TOOLS / f"{folder.name}-engine.yaml").read_text())
        for shape in SERVED_BY_VLLM:
            self.assertIn(f"model: shapes/{shape}\n", (TOOLS / f"{shape}.yaml").read_text())
        for file in TOOLS.glob("*-transformers.yaml"):
            shape = file.name.removesuffix("-transformers.yaml")
            self.assertIn(f"model: shapes/{shape}\n", file.read_text())
            self.assertTrue((TOOLS / "shapes" / shape / "config.json").exists())

    def test_both_systems_are_asked_the_same(self):
        for shape in SERVED_BY_VLLM:
            asked = [
                [line for line in (TOOLS / f"{shape}{kind}.yaml").read_text().splitlines() if line.startswith(("workload:", "load:"))]
                for kind in ("", "-engine")
            ]
            self.assertEqual(*asked)

    def test_the_tokenizer_has_one_word_for_each_id(self):
        vocabulary = make_model.tokenizer(vocab_size=300, end_id=7)["model"]["vocab"]
        self.assertEqual(sorted(vocabulary.values()), list(range(300)))
        self.assertEqual(vocabulary["<end>"], 7)

    def test_prompts_are_words_of_that_tokenizer(self):
        prompts = make_model.prompts(vocab_size=5000, count=3)
        self.assertEqual([len(prompt.split()) for prompt in prompts], [128] * 3)
        vocabulary = make_model.tokenizer(vocab_size=5000, end_id=7)["model"]["vocab"]
        self.assertTrue(all(vocabulary[word] >= 625 for prompt in prompts for word in prompt.split()))
        self.assertEqual(len(set(prompts)), 3)


class Module:
    """As torch names the children of one."""

    def __init__(self, **children):
        self.children = children

    def named_children(self):
        return self.children.items()


class DeviceMap(unittest.TestCase):
    def test_only_what_is_offloaded_is_elsewhere_and_nothing_is_named_twice(self):
        layer = Module(attention=Module(q=Module(), k=Module()), mlp=Module(gate=Module(), experts=Module(activation=Module())))
        model = Module(model=Module(embedding=Module(), layers=Module(**{"0": layer, "1": layer, "11": layer})), head=Module())
        self.assertEqual(
            device_map.device_map_of(model, 0, ["model.layers.1.mlp.experts"], "cpu"),
            {
                "model.embedding": 0,
                "model.layers.0": 0,
                "model.layers.1.attention": 0,
                "model.layers.1.mlp.gate": 0,
                "model.layers.1.mlp.experts": "cpu",
                "model.layers.11": 0,
                "head": 0,
            },
        )


class References(unittest.TestCase):
    def test_every_run_that_the_documentation_quotes_can_be_read(self):
        no_runs = ("drafts", "h200-counters", "h200-drafts", "h200-passes", "h200-training")
        folders = sorted(
            folder for folder in (TOOLS.parents[1] / "results" / "reference").iterdir() if folder.is_dir() and folder.name not in no_runs
        )
        self.assertGreater(len(folders), 3)
        for folder in folders:
            out = subprocess.run([MOECAP, "report", folder, "--json"], capture_output=True, text=True)
            self.assertEqual(out.returncode, 0, out.stderr)
            self.assertTrue(json.loads(out.stdout)["run_id"].endswith(folder.name))
            manifest = json.loads((folder / "manifest.json").read_text())
            places = [word for word in manifest["command"] if word.startswith("/")] + [manifest["config"]["base_dir"]]
            self.assertTrue(all(place.startswith("/opt/moecap") for place in places), f"{folder.name} names a machine's folders: {places}")


class Script(unittest.TestCase):
    def run_script(self, *arguments, script="vllm", **variables):
        return subprocess.run([TOOLS / script, *arguments], capture_output=True, text=True, env={**os.environ, **variables})

    def test_without_a_verb_it_says_what_it_can_do(self):
        for script in ("vllm", "engine", "transformers"):
            out = self.run_script(script=script)
            self.assertEqual(out.returncode, 2)
            self.assertRegex(out.stderr, f"tools/gpu/{script} measure SHAPE (VARIANT )?DIR")

    def test_an_unknown_shape_is_answered_with_the_known_ones(self):
        for script in ("vllm", "engine", "transformers"):
            out = self.run_script("measure", "gpt-5", "out", script=script)
            self.assertEqual(out.returncode, 2)
            self.assertIn(f"{script}: no shape named 'gpt-5'; there are: deepseek-v2-lite gpt-oss-20b mixtral-8x7b qwen3-235b-a22b qwen3-30b-a3b", out.stderr)

    def test_an_unknown_variant_is_answered_with_the_known_ones(self):
        out = self.run_script("measure", "mixtral-8x7b", "fast", "out", script="transformers")
        self.assertEqual(out.returncode, 2)
        self.assertIn("transformers: no variant named 'fast'; there are: recorded plain graphs offloaded", out.stderr)

    # The program takes each file up to the server that is not there.
    def test_each_variant_is_an_experiment(self):
        with tempfile.TemporaryDirectory() as state:
            make_model.main(TOOLS / "shapes" / "mixtral-8x7b", pathlib.Path(state) / "mixtral-8x7b")
            files = {}
            for variant in ("plain", "graphs", "recorded", "offloaded"):
                if variant == "graphs":
                    (pathlib.Path(state) / "mixtral-8x7b.sheet.json").touch()
                (pathlib.Path(state) / f"mixtral-8x7b-{variant}.log").touch()
                out = self.run_script("measure", "mixtral-8x7b", variant, f"{state}/out", script="transformers", MOECAP=MOECAP,
                                      MOECAP_GPU_DIR=state, MOECAP_GPU_PORT="1")
                self.assertIn("127.0.0.1:1: cannot connect", out.stderr)
                files[variant] = (pathlib.Path(state) / f"mixtral-8x7b-transformers-{variant}.yaml").read_text().splitlines()
        self.assertIn("name: h200-transformers-mixtral-8x7b-plain", files["plain"])
        self.assertEqual([line for line in files["graphs"] if line not in files["plain"]],
                         ["name: h200-transformers-mixtral-8x7b-graphs", "    activation_sheet: mixtral-8x7b.sheet.json"])
        server = '    server: {url: "http://127.0.0.1:1", model: mixtral-8x7b, pass_records: passes.jsonl}'
        self.assertEqual([line for line in files["recorded"] if line not in files["plain"]],
                         ["name: h200-transformers-mixtral-8x7b-recorded", server, "repeats: 1"])
        self.assertEqual([line for line in files["offloaded"] if line not in files["recorded"]],
                         ["name: h200-transformers-mixtral-8x7b-offloaded",
                          "workload: {dataset: mixtral-8x7b/prompts.jsonl, output_tokens: 16, requests: 600}", "duration_s: 1", "warmup_requests: 0"])

    # Written by the program itself: bf16 as vLLM has it, each layer other weights.
    def test_a_model_of_a_shape_is_made_once(self):
        with tempfile.TemporaryDirectory() as state:
            tools = pathlib.Path(state) / "tools"
            shutil.copytree(TOOLS, tools)
            shape = tools / "shapes" / "mixtral-8x7b" / "config.json"
            small = {**json.loads(shape.read_text()), "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2}
            shape.write_text(json.dumps({**small, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512}))
            model = pathlib.Path(state) / "models" / "mixtral-8x7b.gguf"
            for _ in range(2):
                out = subprocess.run(
                    [tools / "engine", "model", "mixtral-8x7b"],
                    capture_output=True,
                    text=True,
                    env={**os.environ, "MOECAP": MOECAP, "MOECAP_GPU_DIR": state, "MOECAP_GPU_MODELS": str(model.parent)},
                )
                self.assertEqual(out.returncode, 0, out.stderr)
            self.assertEqual(out.stdout, "", "the second time it is there")
            spec = json.loads(subprocess.run([MOECAP, "model", model, "--json"], capture_output=True, text=True, check=True).stdout)
            parameters = 2 * (2 * 256 * 256 + 2 * 256 * 128 + 8 * 3 * 256 * 256 + 8 * 256 + 2 * 256) + 2 * 512 * 256 + 256
            self.assertEqual(spec["total_params"], parameters)
            for _ in range(2):
                out = subprocess.run(
                    [tools / "engine", "parts", "mixtral-8x7b"],
                    capture_output=True,
                    text=True,
                    env={**os.environ, "MOECAP": MOECAP, "MOECAP_GPU_DIR": state, "MOECAP_GPU_MODELS": str(model.parent), "MOECAP_GPU_PART_GB": "0.0016"},
                )
                self.assertEqual(out.returncode, 0, out.stderr)
            first = model.parent / "mixtral-8x7b-00001-of-00002.gguf"
            self.assertTrue((pathlib.Path(state) / "parts" / "mixtral-8x7b-00002-of-00002.gguf").is_file(), "elsewhere")
            spec = json.loads(subprocess.run([MOECAP, "model", first, "--json"], capture_output=True, text=True, check=True).stdout)
            self.assertEqual(spec["total_params"], parameters)

    # No GPU refuses anything here: in the program's place stands a script that answers as it does.
    def test_a_model_that_is_too_large_runs_as_the_refusal_advises(self):
        with tempfile.TemporaryDirectory() as folder:
            state = pathlib.Path(folder)
            program = state / "moecap-stub"
            program.write_text(f"""#!/bin/sh
case $1 in
  synth) for last; do :; done; stem=${{last%.gguf}}; : >"$stem-00001-of-00002.gguf" ;;
  run) grep -q 'cpu_experts: 12,' "$2" || {{ printf 'no room; what has room: all\\nlayers with the experts of 82 of 94 (cpu_experts:\\n12)\\n'; exit 2; }}
    mkdir -p "$4" && cp "$2" "$4/" ;;
  validate) printf '%s\\n' "$*" ;;
esac
""")
            program.chmod(0o755)
            out = self.run_script("larger", "qwen3-235b-a22b", folder + "/out", script="engine", MOECAP=str(program), MOECAP_GPU_DIR=folder,
                                  MOECAP_GPU_MODELS=folder + "/models")
            self.assertEqual(out.returncode, 0, out.stderr)
            asked = (state / "results" / "qwen3-235b-a22b-larger" / "qwen3-235b-a22b-larger.yaml").read_text()
            self.assertIn("device: gpu, cpu_experts: 12, threads: 14", asked)
            self.assertIn("name: h200-engine-qwen3-235b-a22b-larger\n", asked)
            self.assertIn("what has room", (state / "out" / "qwen3-235b-a22b-larger-refused.txt").read_text())
            self.assertIn("--cpu-experts 13", (state / "out" / "qwen3-235b-a22b-larger.json").read_text())

    def test_stop_ends_a_server_and_the_children_that_it_leaves(self):
        with tempfile.TemporaryDirectory() as state:
            child_file = pathlib.Path(state) / "child.pid"
            server = f"(trap '' TERM; exec sleep 1000) & echo $! > {child_file}; wait"
            subprocess.run(["sh", "-c", f'setsid sh -c "$0" >{state}/log 2>&1 & echo $! > {state}/server.pid', server], check=True)
            while not (child_file.exists() and child_file.read_text()):
                time.sleep(0.01)
            self.assertEqual(self.run_script("stop", MOECAP_GPU_DIR=state).returncode, 0)
            status = pathlib.Path("/proc") / child_file.read_text().strip() / "status"
            self.assertTrue(not status.exists() or "zombie" in status.read_text())


if __name__ == "__main__":
    unittest.main()
