"""Makes a folder that vLLM serves as a model of a given shape: configuration, tokenizer, and the plugin that makes its weights.

    make_model.py SHAPE_DIR MODEL_DIR

The tokenizer has one word for each id of the vocabulary, `t0` to `tN`: ids, texts and their counts work as with a trained model.
`prompts.jsonl` holds random ids as such words, for servers that take no ids.
"""
import json
import pathlib
import random
import shutil
import sys


def tokenizer(vocab_size, end_id):
    def word(token_id):
        return "<end>" if token_id == end_id else f"t{token_id}"

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": end_id, "content": "<end>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word(i): i for i in range(vocab_size)}, "unk_token": "t0"},
    }


def write_plugin(folder):
    """A package as pip would install it: vLLM finds plugins by their entry points."""
    information = folder / "random_weights-1.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: random-weights\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[vllm.general_plugins]\nrandom_weights = random_weights:register\n")
    shutil.copy(pathlib.Path(__file__).with_name("random_weights.py"), folder)


def prompts(vocab_size, count=600, tokens=128):
    """Of the range that moecap draws random ids from."""
    draw = random.Random(1)
    ids = range(min(1000, vocab_size // 8), min(30000, vocab_size))
    return [" ".join(f"t{token_id}" for token_id in draw.choices(ids, k=tokens)) for _ in range(count)]


def main(shape_dir, model_dir):
    config = json.loads((shape_dir / "config.json").read_text())
    model_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(shape_dir / "config.json", model_dir)
    (model_dir / "tokenizer.json").write_text(json.dumps(tokenizer(config["vocab_size"], config["eos_token_id"])))
    (model_dir / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "clean_up_tokenization_spaces": False})
    )
    (model_dir / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts(config["vocab_size"])))
    write_plugin(model_dir / "plugin")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
