"""The Hugging Face directory of tiny-moe is the model of the GGUF file: same parameters, same numbers, same tokens.

  python3 export_hf_test.py MOECAP_BINARY
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

MODEL = pathlib.Path(__file__).resolve().parents[2] / "models/tiny-moe"
sys.path.insert(0, str(MODEL))
sys.dont_write_bytecode = True
import export_hf
import tokenizer

GGUF = MODEL / "tiny-moe-f16.gguf"
BINARY = sys.argv.pop(1)


def described(path):
    return json.loads(subprocess.run([BINARY, "model", str(path), "--json"], check=True, capture_output=True).stdout)


def read_safetensors(path):
    raw = path.read_bytes()
    (size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__")
    return {name: (entry, raw[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
            for name, entry in header.items()}


class ExportHf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folders = {dtype: pathlib.Path(cls.scratch.name) / dtype for dtype in ("float32", "float16", "bfloat16")}
        for dtype, folder in cls.folders.items():
            export_hf.export(GGUF, folder, dtype)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_moecap_reads_the_same_model(self):
        gguf = described(GGUF)
        for dtype, folder in self.folders.items():
            ours = described(folder)
            for key in ("total_params", "active_params", "params_by_class", "kv_elements_per_token"):
                self.assertEqual(ours[key], gguf[key], f"{key} of {dtype}")

    def test_float32_is_exact(self):
        tensors = read_safetensors(self.folders["float32"] / "model.safetensors")
        gguf = export_hf.Gguf(GGUF)
        for theirs, name in (("blk.3.ffn_down_exps.weight", "model.layers.3.mlp.experts.5.down_proj.weight"),
                             ("blk.7.attn_q_norm.weight", "model.layers.7.self_attn.q_norm.weight")):
            shape, raw, letter = gguf.floats(theirs)
            entry, ours = tensors[name]
            values = [value for (value,) in struct.iter_unpack("<f", ours)]
            expected = [value for (value,) in struct.iter_unpack("<" + letter, raw)]
            if len(shape) == 3:
                self.assertEqual(entry["shape"], list(shape[1:]))
                expected = expected[5 * len(values):6 * len(values)]
            self.assertEqual(values, expected)

    def test_bfloat16_rounds_to_nearest_even(self):
        for value, bits in ((1.0, 0x3F80), (1 + 2**-8, 0x3F80), (1 + 3 * 2**-8, 0x3F82), (1 + 2**-8 + 2**-20, 0x3F81),
                            (-2.0, 0xC000), (2 - 2**-20, 0x4000)):
            raw = export_hf.converted(struct.pack("<f", value), "f", "bfloat16")
            self.assertEqual(struct.unpack("<H", raw), (bits,), value)

    def test_tokens_are_those_of_the_tokenizer(self):
        ours = tokenizer.Tokenizer(MODEL / "merges.txt")
        theirs = json.loads((self.folders["float32"] / "tokenizer.json").read_text(encoding="utf-8"))
        ids = dict(theirs["model"]["vocab"], **{added["content"]: added["id"] for added in theirs["added_tokens"]})
        self.assertEqual(ids, ours.ids)
        self.assertEqual([tuple(merge) for merge in theirs["model"]["merges"]], ours.merges)

    def test_tokenizers_finds_the_ids_of_tinymath(self):
        try:
            import tokenizers
        except ImportError:
            self.skipTest("needs the package tokenizers")
        self.assertEqual(export_hf.check(self.folders["float32"], None), 0)


if __name__ == "__main__":
    unittest.main()
