"""Writes tiny-moe as a Hugging Face directory, for servers that read no GGUF. Needs nothing but Python's standard library.

  python3 export_hf.py [--dtype float32|float16|bfloat16] tiny-moe-f16.gguf FOLDER
  python3 export_hf.py --check FOLDER [--server URL]

The first writes config.json, generation_config.json, model.safetensors, tokenizer.json and tokenizer_config.json. float32 loses
nothing of the F16 file; float16 rounds norms and routers, bfloat16 everything.

--check needs the package `tokenizers`: the ids that it finds with tokenizer.json must be those of tokenizer.py for every text of
datasets/tinymath, and with --server those of a llama-server's /tokenize too. Exit code 1 when a text differs.
"""
import argparse
import json
import pathlib
import struct
import sys
import urllib.request

import tokenizer as own

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9  # value types of GGUF
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", 5: "i", F32: "f", BOOL: "?", 10: "Q", 11: "q", 12: "d"}
TENSOR_F32, TENSOR_F16 = 0, 1
ARCHITECTURE = "qwen3moe"

# GGUF's name of a layer's tensor and Hugging Face's; the stacked expert tensors are taken apart.
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.gate",
}
EXPERTS = {"ffn_gate_exps": "gate_proj", "ffn_up_exps": "up_proj", "ffn_down_exps": "down_proj"}

# Qwen2's expression in the dialect of `tokenizers`; tokenizer.py has it for ASCII.
PRE_TOKEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CHAT_TEMPLATE = "Question: {{ messages[-1]['content'] }}\nAnswer:"


class Gguf:
    """The metadata of a GGUF file (version 3, little-endian) and the bytes of its tensors."""

    def __init__(self, path):
        self.raw = memoryview(pathlib.Path(path).read_bytes())
        self.at = 0
        magic, version, tensors, pairs = self.take("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            raise SystemExit(f"{path} is no GGUF file of version 3")
        self.values = {}
        for _ in range(pairs):
            key = self.text()
            self.values[key] = self.value(*self.take("<I"))
        self.tensors = {}
        for _ in range(tensors):
            name = self.text()
            (dimensions,) = self.take("<I")
            shape = self.take(f"<{dimensions}Q")[::-1]  # GGUF lists the fastest dimension first
            self.tensors[name] = (shape, *self.take("<IQ"))
        alignment = self.values.get("general.alignment", 32)
        self.data = self.at + -self.at % alignment

    def take(self, form):
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self):
        (size,) = self.take("<Q")
        self.at += size
        return str(self.raw[self.at - size:self.at], "utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            of, count = self.take("<IQ")
            return [self.value(of) for _ in range(count)]
        return self.take("<" + NUMBERS[kind])[0]

    def architecture(self, key):
        return self.values[f"{ARCHITECTURE}.{key}"]

    def floats(self, name):
        """Shape and bytes of a tensor, and the struct letter of its elements."""
        shape, kind, offset = self.tensors[name]
        if kind not in (TENSOR_F32, TENSOR_F16):
            raise SystemExit(f"{name} is quantised; only F16 and F32 tensors can be written as Hugging Face weights")
        count = 1
        for size in shape:
            count *= size
        begin, letter, width = self.data + offset, *(("f", 4) if kind == TENSOR_F32 else ("e", 2))
        return shape, self.raw[begin:begin + count * width], letter


def to_bfloat16(value_bits):
    """The upper half of a finite float32's bits, rounded to nearest even."""
    return (value_bits + 0x7FFF + (value_bits >> 16 & 1)) >> 16


def converted(raw, letter, dtype):
    """The little-endian bytes of a tensor in `dtype`."""
    count = len(raw) // struct.calcsize(letter)
    if {"float32": "f", "float16": "e"}.get(dtype) == letter:
        return bytes(raw)
    values = struct.unpack(f"<{count}{letter}", raw)
    if dtype == "float16":
        return struct.pack(f"<{count}e", *values)
    wide = struct.pack(f"<{count}f", *values)
    if dtype == "float32":
        return wide
    return struct.pack(f"<{count}H", *map(to_bfloat16, struct.unpack(f"<{count}I", wide)))


def weights(gguf, dtype):
    """Hugging Face's (name, shape, bytes), one at a time."""
    def tensor(theirs, ours):
        shape, raw, letter = gguf.floats(theirs + ".weight")
        return ours + ".weight", shape, converted(raw, letter, dtype)

    for theirs, ours in OUTER.items():
        yield tensor(theirs, ours)
    for layer in range(gguf.architecture("block_count")):
        block, prefix = f"blk.{layer}.", f"model.layers.{layer}."
        for theirs, ours in LAYER.items():
            yield tensor(block + theirs, prefix + ours)
        for theirs, ours in EXPERTS.items():
            _, (experts, *shape), raw = tensor(block + theirs, "")
            size = len(raw) // experts
            for expert in range(experts):
                yield f"{prefix}mlp.experts.{expert}.{ours}.weight", tuple(shape), raw[expert * size:(expert + 1) * size]


def write_safetensors(path, tensors, dtype):
    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, shape, raw in tensors:
        kind = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + len(raw)]}
        parts.append(raw)
        offset += len(raw)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.writelines(parts)


def config(gguf, dtype):
    rope_theta = gguf.architecture("rope.freq_base")
    layers = gguf.architecture("block_count")
    return {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "dtype": dtype,
        "torch_dtype": dtype,  # the key's name before transformers 5
        "vocab_size": gguf.architecture("vocab_size"),
        "max_position_embeddings": gguf.architecture("context_length"),
        "hidden_size": gguf.architecture("embedding_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": gguf.architecture("attention.head_count"),
        "num_key_value_heads": gguf.architecture("attention.head_count_kv"),
        "head_dim": gguf.architecture("attention.key_length"),
        "attention_bias": False,
        "use_sliding_window": False,
        "max_window_layers": layers,
        "rope_theta": rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "rms_norm_eps": round(gguf.architecture("attention.layer_norm_rms_epsilon"), 12),
        "hidden_act": "silu",
        "intermediate_size": gguf.architecture("feed_forward_length"),
        "moe_intermediate_size": gguf.architecture("expert_feed_forward_length"),
        "num_experts": gguf.architecture("expert_count"),
        "num_experts_per_tok": gguf.architecture("expert_used_count"),
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": gguf.values["tokenizer.ggml.eos_token_id"],
        "pad_token_id": gguf.values["tokenizer.ggml.padding_token_id"],
    }


def tokenizer_json(gguf):
    tokens = gguf.values["tokenizer.ggml.tokens"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PRE_TOKEN}, "behavior": "Isolated", "invert": False}
    end = {"id": tokens.index(own.END_OF_TEXT), "content": own.END_OF_TEXT, "special": True, "normalized": False,
           "single_word": False, "lstrip": False, "rstrip": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [end],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens) if token != own.END_OF_TEXT},
            "merges": [merge.split(" ") for merge in gguf.values["tokenizer.ggml.merges"]],
        },
    }


def export(path, folder, dtype):
    gguf = Gguf(path)
    if gguf.values["general.architecture"] != ARCHITECTURE:
        raise SystemExit(f"{path} is a {gguf.values['general.architecture']}; this script knows {ARCHITECTURE} only")
    folder.mkdir(parents=True, exist_ok=True)
    model_config = config(gguf, dtype)
    end_token = model_config["eos_token_id"]
    files = {
        "config.json": model_config,
        "generation_config.json": {"do_sample": False, "eos_token_id": end_token, "pad_token_id": end_token},
        "tokenizer.json": tokenizer_json(gguf),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model_config["max_position_embeddings"],
            "eos_token": own.END_OF_TEXT, "pad_token": own.END_OF_TEXT, "bos_token": None, "unk_token": None,
            "add_prefix_space": False, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE,
        },
    }
    write_safetensors(folder / "model.safetensors", weights(gguf, dtype), dtype)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def tinymath_texts():
    data = pathlib.Path(__file__).resolve().parents[2] / "datasets/tinymath"
    for name in ("test.jsonl", "train_sample.jsonl"):
        with open(data / name, encoding="utf-8") as file:
            for line in file:
                yield own.full_text(json.loads(line))


def ids_of_server(url, text):
    request = urllib.request.Request(url.rstrip("/") + "/tokenize", json.dumps({"content": text}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["tokens"]


def check(folder, server):
    import tokenizers  # not needed for writing
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = own.Tokenizer(pathlib.Path(__file__).with_name("merges.txt"))
    texts, tokens, different = 0, 0, 0
    for text in tinymath_texts():
        expected = [ours.encode(text)] + ([ids_of_server(server, text)] if server else [])
        ids = theirs.encode(text, add_special_tokens=False).ids
        texts, tokens = texts + 1, tokens + len(ids)
        different += any(ids != other for other in expected) or theirs.decode(ids) != text
    print(f"{texts} texts of {tokens} tokens; {different} differ from tokenizer.py" + (f" or {server}" if server else ""))
    return 1 if different else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--server", metavar="URL")
    parser.add_argument("paths", nargs="+", type=pathlib.Path, metavar="PATH")
    options = parser.parse_args()
    if len(options.paths) != (1 if options.check else 2):
        parser.error("needs a folder with --check, else a GGUF file and a folder")
    if options.check:
        sys.exit(check(options.paths[0], options.server))
    export(*options.paths, options.dtype)


if __name__ == "__main__":
    main()
