"""Byte-level BPE of tiny-moe: GPT-2's algorithm, Qwen2's pre-tokenisation (every digit is a token of its own).

A vocabulary is its list of merges: ids 0..255 are the bytes, 256+i is the result of merge i, the last id is
<|endoftext|>. Training: python3 tokenizer.py train.jsonl 768 > merges.txt
"""
import collections
import json
import re
import sys

END_OF_TEXT = "<|endoftext|>"
# Qwen2's expression with \p{L} and \p{N} written for ASCII, which is all that tinymath uses.
PRE_TOKEN = re.compile(
    r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_symbols():
    """GPT-2's printable stand-in for each byte value."""
    printable = set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256))
    symbols, spare = [], 256
    for value in range(256):
        symbols.append(chr(value) if value in printable else chr(spare))
        spare += value not in printable
    return symbols


def full_text(problem):
    """The exact text the model is trained on and asked with (lm-evaluation-harness gsm8k, zero-shot)."""
    return f"Question: {problem['question']}\nAnswer: {problem['answer']}"


def merge_word(word, left, right):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and word[i] == left and word[i + 1] == right:
            out.append(left + right)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def train(texts, vocab_size):
    symbols = byte_symbols()
    counts = collections.Counter(token for text in texts for token in PRE_TOKEN.findall(text))
    words = {word: [symbols[b] for b in word.encode()] for word in counts}
    merges = []
    while len(merges) < vocab_size - 257:
        pairs = collections.Counter()
        for word, parts in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += counts[word]
        if not pairs:
            raise SystemExit(f"only {len(merges)} merges exist: choose a smaller vocabulary")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {word: merge_word(parts, *best) for word, parts in words.items()}
    return merges


class Tokenizer:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.merges = [tuple(line.rstrip("\n").split(" ")) for line in file]
        self.symbols = byte_symbols()
        self.tokens = self.symbols + [left + right for left, right in self.merges] + [END_OF_TEXT]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.cache = {}

    def encode_word(self, word):
        parts = [self.symbols[b] for b in word.encode()]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda pair: self.ranks.get(pair, 1 << 30))
            if best not in self.ranks:
                break
            parts = merge_word(parts, *best)
        return [self.ids[part] for part in parts]

    def encode(self, text):
        out = []
        for word in PRE_TOKEN.findall(text):
            if word not in self.cache:
                self.cache[word] = self.encode_word(word)
            out += self.cache[word]
        return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        texts = [full_text(json.loads(line)) for line in file]
    for left, right in train(texts, int(sys.argv[2])):
        print(left, right)


if __name__ == "__main__":
    main()
