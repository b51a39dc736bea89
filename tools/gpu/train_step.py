"""Times training steps on a GPU, for `moecap plan training --step-s`: of the shipped model, and of some layers of a published shape.

    train_step.py tiny [--steps N]                     models/tiny-moe/train.py's own step on random tokens, 128 rows of 512
    train_step.py SHAPE LAYERS TOKENS [--steps N]      tools/gpu/shapes/SHAPE cut to LAYERS, in transformers, TOKENS in sequences of 4,096; AdamW,
                                                       all in BF16

Prints a JSON object: seconds of a step by the GPU's own events (median, least, most), in how many of them a kernel runs, and how many kernels.
Steps before the timed ones compile and warm up. PyTorch's counter of FLOPs knows neither compiled code nor attention with grouped heads.
"""
import argparse
import json
import pathlib
import statistics
import sys

import torch

HERE = pathlib.Path(__file__).resolve().parent
SEQUENCE = 4096


def tiny(_):
    sys.path.insert(0, str(HERE.parents[1] / "models/tiny-moe"))
    import train
    from model import Config, TinyMoe

    torch._dynamo.config.cache_size_limit = 64
    model = TinyMoe(Config()).cuda()
    args = argparse.Namespace(rows=128, attention="flex", learning_rate=2e-3)
    one_step = train.make_step(args, model)
    tokens = torch.randint(0, Config.vocab, (args.rows, train.ROW), device="cuda")
    labels = (torch.arange(train.ROW, device="cuda") // 128 << 1 | 1).expand(args.rows, -1).contiguous()  # four problems a row, all answer
    return model, lambda: one_step(tokens, labels, 2e-3), tokens.numel()


def published(options):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(HERE / "shapes" / options.shape)
    config.num_hidden_layers = options.layers
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, experts_implementation="grouped_mm")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    tokens = torch.randint(0, config.vocab_size, (options.tokens // SEQUENCE, SEQUENCE), device="cuda")

    def one_step():
        model(input_ids=tokens, labels=tokens, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return model, one_step, tokens.numel()


def seconds_of(one_step, steps):
    events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    events[0].record()
    for event in events[1:]:
        one_step()
        event.record()
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) / 1000 for begin, end in zip(events, events[1:])]


def busy_seconds(one_step, steps):
    """Of a step, in which a kernel runs; they run one after another."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(steps):
            one_step()
        torch.cuda.synchronize()
    kernels = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return sum(event.device_time for event in kernels) / 1e6 / steps, len(kernels) / steps


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("shape")
    parser.add_argument("layers", type=int, nargs="?")
    parser.add_argument("tokens", type=int, nargs="?")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    torch.manual_seed(1)
    model, one_step, tokens = (tiny if options.shape == "tiny" else published)(options)
    for _ in range(5):
        one_step()
    seconds = seconds_of(one_step, options.steps)
    busy, kernels = busy_seconds(one_step, 5)
    print(json.dumps({
        "shape": options.shape, "layers": options.layers, "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": tokens, "steps": options.steps, "step_s": statistics.median(seconds), "least_s": min(seconds), "most_s": max(seconds),
        "kernels_s": busy, "kernels": kernels,
        "peak_bytes": torch.cuda.max_memory_allocated(), "torch": torch.__version__, "gpu": torch.cuda.get_device_name(),
    }))


if __name__ == "__main__":
    main()
