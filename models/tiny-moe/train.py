"""Trains tiny-moe on endless fresh tinymath problems; stops and decays the learning rate by wall-clock time.

  python3 train.py --pack ./tinymath_pack --merges merges.txt --out out --seconds 900
"""
import argparse
import contextlib
import copy
import csv
import queue
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask

from model import Config, TinyMoe, block_quantize, run_block

ROW = 512
BALANCE_WEIGHT = 0.01


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", required=True, help="the tinymath_pack program")
    parser.add_argument("--merges", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=310)
    parser.add_argument("--rows", type=int, default=128, help="rows of 512 tokens per step")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.6, help="share of the time in which the rate falls to 0")
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--expert-width", type=int, default=Config.expert_width)
    parser.add_argument("--attention", choices=("flex", "dense"), default="flex")
    parser.add_argument("--seed", type=int, default=1000)
    return parser.parse_args()


def pack_command(args, split, seed, count):
    return [args.pack, args.merges, split, str(seed), str(count), str(ROW)]


def to_rows(raw):
    rows = torch.from_numpy(np.frombuffer(raw, dtype=np.uint16).astype(np.int64)).view(-1, 2, ROW)
    return rows[:, 0], rows[:, 1]


def stream(args):
    """Yields (tokens, labels) on the GPU; a thread keeps a few batches ready."""
    process = subprocess.Popen(pack_command(args, "train", args.seed, 0), stdout=subprocess.PIPE, bufsize=1 << 20)
    ready = queue.Queue(maxsize=8)

    def read():
        while True:
            tokens, labels = to_rows(process.stdout.read(args.rows * ROW * 4))
            ready.put((tokens.pin_memory(), labels.pin_memory()))

    threading.Thread(target=read, daemon=True).start()
    while True:
        tokens, labels = ready.get()
        yield tokens.cuda(non_blocking=True), labels.cuda(non_blocking=True)


def targets_of(tokens, labels):
    """Next tokens, and which of them are counted: answer tokens (and the end) of the same problem."""
    following = F.pad(tokens[:, 1:], (0, 1))
    next_labels = F.pad(labels[:, 1:], (0, 1))
    counted = (next_labels & 1).bool() & ((labels >> 1 & 31) == (next_labels >> 1 & 31))
    return following, counted


class Masks:
    """Attention within a problem only. The document ids live in one buffer, so that nothing is compiled twice."""

    def __init__(self, rows, kind):
        documents = torch.zeros(rows, ROW, dtype=torch.int64, device="cuda")

        def inside(b, h, q, kv):
            return (q >= kv) & (documents[b, q] == documents[b, kv])

        self.documents, self.inside, self.kind, self.rows = documents, inside, kind, rows
        self.create = torch.compile(create_block_mask)

    def make(self, labels):
        self.documents.copy_(labels >> 1 & 31)
        if self.kind == "dense":
            return dense_mask(labels)
        return self.create(self.inside, self.rows, None, ROW, ROW, device="cuda")


def dense_mask(labels):
    documents = labels >> 1 & 31
    causal = torch.ones(ROW, ROW, dtype=torch.bool, device=labels.device).tril()
    return (causal & (documents[:, :, None] == documents[:, None, :]))[:, None]


def head_loss(model, x, following, counted):
    logits = model.logits(x).float()
    losses = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none")
    weight = counted.flatten().float()
    return (losses * weight).sum() / weight.sum()


class Evaluator:
    """Exact match on held-out problems. A greedy answer equals the reference answer exactly if every token of the
    reference is the most likely one given those before it, so one forward pass replaces decoding."""

    def __init__(self, args, seed, count):
        raw = subprocess.run(pack_command(args, "test", seed, count), stdout=subprocess.PIPE, check=True).stdout
        self.tokens, self.labels = to_rows(raw)

    @torch.no_grad()
    def correct(self, model):
        """(template, correct) of every problem, float32."""
        results = []
        for tokens, labels in zip(self.tokens.split(64), self.labels.split(64)):
            tokens, labels = tokens.cuda(), labels.cuda()
            x, _, _ = model(tokens, dense_mask(labels))
            following, counted = targets_of(tokens, labels)
            wrong = (model.logits(x).argmax(-1) != following) & counted
            document = (labels >> 1 & 31) + 32 * torch.arange(len(labels), device="cuda")[:, None]
            misses = torch.zeros(32 * len(labels), device="cuda")
            misses.index_add_(0, document.flatten(), wrong.float().flatten())
            template = torch.zeros(32 * len(labels), dtype=torch.int64, device="cuda")
            template[document.flatten()] = (labels >> 6).flatten()
            real = torch.zeros(32 * len(labels), dtype=torch.bool, device="cuda")
            real[document[labels > 0]] = True
            results.append(torch.stack((template[real], (misses[real] == 0).long()), 1))
        return torch.cat(results)

    def exact_match(self, model):
        return self.correct(model)[:, 1].float().mean().item()


def quantized(model, kind):
    """A copy with the matrices that llama.cpp would quantise replaced; its Q6_K output head is left as it is."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, value in other.named_parameters():
            if value.dim() == 2 and not name.endswith("ffn_gate_inp") and name != "output":
                value.copy_(block_quantize(value, kind))
    return other


def save(model, path):
    np.savez(path, **model.gguf_tensors())


def schedule(progress, step, decay):
    warm = min(1.0, (step + 1) / 300)
    return warm * min(1.0, max(0.0, (1 - progress) / decay))


def make_optimizer(model, learning_rate):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), fused=True)


def make_step(args, model):
    """One step on a batch: (tokens, labels, learning rate) -> loss, balance loss, expert shares."""
    optimizer = make_optimizer(model, args.learning_rate)
    masks = Masks(args.rows, args.attention)
    block, loss_of_head = torch.compile(run_block), torch.compile(head_loss)

    def step(tokens, labels, learning_rate):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        following, counted = targets_of(tokens, labels)
        mask = masks.make(labels)
        with torch.autocast("cuda", torch.bfloat16):
            x, balance, share = model(tokens, mask, block, torch.bfloat16)
            loss = loss_of_head(model, x, following, counted)
        (loss + BALANCE_WEIGHT * balance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach(), balance, share

    return step


def train(args, model, held_out):
    one_step = make_step(args, model)
    curve = csv.writer(open(args.out / "learning_curve.csv", "w", newline="", buffering=1))
    curve.writerow("step tokens wall_s train_loss exact_match balance_loss expert_share_min expert_share_max exact_match_q4_0".split())
    start, step, tokens_seen = time.monotonic(), 0, 0
    losses = torch.zeros((), device="cuda")
    for tokens, labels in stream(args):
        progress = (time.monotonic() - start) / args.seconds
        loss, balance, share = one_step(tokens, labels, args.learning_rate * schedule(progress, step, args.decay))
        step, tokens_seen, losses = step + 1, tokens_seen + tokens.numel(), losses + loss
        if step % args.evaluate_every == 0 or progress >= 1:
            since = (step - 1) % args.evaluate_every + 1
            row = [step, tokens_seen, f"{time.monotonic() - start:.1f}", f"{losses.item() / since:.5f}",
                   f"{held_out.exact_match(model):.4f}", f"{balance.item():.4f}",
                   f"{share.min().item():.4f}", f"{share.max().item():.4f}",
                   f"{held_out.exact_match(quantized(model, 'q4_0')):.4f}"]
            curve.writerow(row)
            print(*row, flush=True)
            losses.zero_()
            save(model, args.out / "latest.npz")
        if progress >= 1:
            return


def report(args, model):
    test, many = Evaluator(args, 1, 512), Evaluator(args, 99, 4800)
    print("parameters", sum(p.numel() for p in model.parameters()))
    for name, variant in (("f32", model), ("q8_0", quantized(model, "q8_0")), ("q4_0", quantized(model, "q4_0"))):
        per_problem = many.correct(variant)
        print(name, f"exact match: 512 shipped {test.exact_match(variant):.4f}, 4800 fresh "
              f"{per_problem[:, 1].float().mean().item():.4f}, by template",
              *(f"{per_problem[per_problem[:, 0] == t, 1].float().mean().item():.2f}" for t in range(48)), flush=True)


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch._dynamo.config.cache_size_limit = 64
    model = TinyMoe(Config(expert_width=args.expert_width)).cuda()
    with contextlib.suppress(KeyboardInterrupt):
        train(args, model, Evaluator(args, 12345, 1008))
    save(model, args.out / "weights.npz")
    report(args, model)


if __name__ == "__main__":
    main()
