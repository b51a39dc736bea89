"""Writes tiny-moe as a GGUF file for llama.cpp: F16 matrices, F32 norms and routers.

  python3 export_gguf.py weights.npz merges.txt tiny-moe-f16.gguf
"""
import struct
import sys

import numpy as np

from tokenizer import END_OF_TEXT, Tokenizer

ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # value types of GGUF
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3
TENSOR_F32, TENSOR_F16 = 0, 1


def text(value):
    raw = value.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    head = text(key) + struct.pack("<I", kind)
    if kind == STRING:
        return head + text(value)
    return head + struct.pack({U32: "<I", F32: "<f", BOOL: "<?"}[kind], value)


def array(key, kind, values):
    head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    if kind == STRING:
        return head + b"".join(text(value) for value in values)
    return head + np.asarray(values, np.int32).tobytes()


def metadata(tensors, tokenizer):
    experts, width, hidden = tensors["blk.0.ffn_gate_exps.weight"].shape
    head_dim = tensors["blk.0.attn_q_norm.weight"].shape[0]
    arch = "qwen3moe"
    numbers = {
        "block_count": sum(name.endswith(".attn_q.weight") for name in tensors),
        "context_length": 512,
        "embedding_length": hidden,
        "feed_forward_length": width,
        "expert_feed_forward_length": width,
        "expert_count": experts,
        "expert_used_count": 2,
        "attention.head_count": tensors["blk.0.attn_q.weight"].shape[0] // head_dim,
        "attention.head_count_kv": tensors["blk.0.attn_k.weight"].shape[0] // head_dim,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "rope.dimension_count": head_dim,
        "vocab_size": len(tokenizer.tokens),
    }
    end = tokenizer.ids[END_OF_TEXT]
    return [
        pair("general.architecture", STRING, arch),
        pair("general.type", STRING, "model"),
        pair("general.name", STRING, "tiny-moe"),
        pair("general.license", STRING, "apache-2.0"),
        pair("general.description", STRING, "A small mixture-of-experts model trained on the tinymath word problems."),
        pair("general.file_type", U32, 1),  # mostly F16
        pair("general.quantization_version", U32, 2),
        *(pair(f"{arch}.{key}", U32, int(value)) for key, value in numbers.items()),
        pair(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-6),
        pair(f"{arch}.rope.freq_base", F32, 10000.0),
        pair("tokenizer.ggml.model", STRING, "gpt2"),
        pair("tokenizer.ggml.pre", STRING, "qwen2"),
        array("tokenizer.ggml.tokens", STRING, tokenizer.tokens),
        array("tokenizer.ggml.token_type", I32,
              [CONTROL_TOKEN if token == END_OF_TEXT else NORMAL_TOKEN for token in tokenizer.tokens]),
        array("tokenizer.ggml.merges", STRING, [f"{left} {right}" for left, right in tokenizer.merges]),
        *(pair(f"tokenizer.ggml.{role}_token_id", U32, end) for role in ("bos", "eos", "padding")),
        pair("tokenizer.ggml.add_bos_token", BOOL, False),
        pair("tokenizer.ggml.add_eos_token", BOOL, False),
    ]


def main():
    weights, merges, path = sys.argv[1:4]
    tensors = dict(np.load(weights))
    pairs = metadata(tensors, Tokenizer(merges))
    infos, blobs, offset = [], [], 0
    for name, value in tensors.items():
        keep = value.ndim == 1 or name.endswith("ffn_gate_inp.weight")
        blob = value.astype(np.float32 if keep else np.float16).tobytes()
        shape = value.shape[::-1]  # GGUF lists the fastest dimension first
        kind = TENSOR_F32 if keep else TENSOR_F16
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset))
        blobs.append(blob + b"\0" * (-len(blob) % ALIGNMENT))
        offset += len(blobs[-1])
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT))
        file.writelines(blobs)


if __name__ == "__main__":
    main()
