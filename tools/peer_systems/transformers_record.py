"""`transformers serve` that also writes one line for each forward pass: who was in it, how long it took, which experts were chosen.

  python3 transformers_record.py PASSES.jsonl [--ids] MODEL [options of `transformers serve`]

Made for transformers 5.17 to 5.24. What is computed stays as it is: the model declares its router class (`_can_record_outputs`), each router
and the model itself get hooks, and the two places that know whose rows a pass has are wrapped. A request's id is the response's `id`,
which is the client's x-request-id where it sent one. --ids adds `token_ids` [row] and `expert_ids` [MoE layer][row][k] to each line.

The latency is that of the model's forward alone: no scheduling, no sampling; on a GPU the time between two events of its stream. Graph
capture and torch.compile would run past the hooks; `transformers serve` uses neither without FlashAttention, unless asked to.
"""
import atexit
import itertools
import sys
import threading
import time

import torch
from transformers.cli.serving import model_manager, utils
from transformers.generation.continuous_batching import model_runner

from pass_records import Part, Writer, pass_record, sequences_of


class Recorder:
    def __init__(self, path, with_ids):
        self.writer = Writer(path)
        self.with_ids = with_ids
        self.thread = threading.local()  # of the pass in execution: parts, start, tokens, positions, experts
        self.index = itertools.count()
        self.began_s = time.monotonic()

    def hook(self, model):
        recorded = next((module._can_record_outputs["router_logits"] for module in model.modules()
                         if "router_logits" in (getattr(module, "_can_record_outputs", None) or {})), None)
        if recorded is None:
            sys.exit(f"transformers_record: {type(model).__name__} declares no router: no mixture of experts, or one of an older form")
        top_k = getattr(model.config.get_text_config(), "num_experts_per_tok", None)

        def chosen(_, __, output):
            output = output if isinstance(output, tuple) else (output,)
            logits = output[recorded.index]
            ids = next((part for part in output if torch.is_tensor(part) and part.dtype in (torch.int64, torch.int32)), None)
            ids = logits.topk(top_k, -1).indices if ids is None else ids
            self.thread.experts.append(ids.flatten(0, -2).clone())
            self.thread.expert_count = logits.shape[-1]

        for module in model.modules():
            if isinstance(module, recorded.target_class):
                module.register_forward_hook(chosen)
        model.register_forward_pre_hook(self.before, with_kwargs=True)
        model.register_forward_hook(self.after)

    def before(self, _, __, inputs):
        now, tokens, positions, cache = self.thread, inputs["input_ids"], inputs.get("position_ids"), inputs.get("past_key_values")
        if positions is None:
            positions = torch.arange(tokens.numel()) + (cache.get_seq_length() if cache is not None else 0)
        # Copies, because continuous batching writes the next batch into the same memory.
        now.tokens, now.positions = tokens.flatten().clone(), positions.flatten().clone()
        now.experts, now.expert_count = [], 0
        now.stopwatch = Stopwatch(tokens.device)

    def after(self, _, __, ___):
        now = self.thread
        now.stopwatch.stop()
        parts, stopwatch, tokens, positions = getattr(now, "parts", None), now.stopwatch, now.tokens, now.positions
        experts, expert_count, index = now.experts, now.expert_count, next(self.index)

        def record():
            latency_s = stopwatch.elapsed_s()  # waits: what follows is computed then
            counts, expert_ids = counts_of(experts, expert_count), None
            if self.with_ids:
                expert_ids = [layer.tolist() for layer in experts]
            sequences = sequences_of(parts, positions.tolist())
            line = pass_record(index, stopwatch.start_s - self.began_s, latency_s, sequences, counts)
            line["clock_monotonic_s"] = stopwatch.start_s
            return line | ({"token_ids": tokens.tolist(), "expert_ids": expert_ids} if self.with_ids else {})

        self.writer.put(record)


class Stopwatch:
    """Of a forward on the current stream: a GPU works behind the thread that gives it work."""

    def __init__(self, device):
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device.type == "cuda" else None
        self.start_s = self.end_s = time.monotonic()
        if self.events:
            self.events[0].record()

    def stop(self):
        if self.events:
            self.events[1].record()
        else:
            self.end_s = time.monotonic()

    def elapsed_s(self):
        if not self.events:
            return self.end_s - self.start_s
        self.events[1].synchronize()
        return self.events[0].elapsed_time(self.events[1]) / 1000


def counts_of(layers, experts):
    """Rows that chose each expert, [layer][expert], of `layers` [layer][row][k]: counted by torch, as Python would hold the server up."""
    ids = torch.stack(layers).flatten(1).to("cpu", torch.int64)
    return torch.zeros(len(layers), experts, dtype=torch.int64).scatter_add_(1, ids, torch.ones_like(ids)).tolist()


def record_one_by_one(recorder):
    """Without continuous batching a request is one call of `generate` on a thread of its own, known by its configuration."""
    request_of = {}

    def remember(method):
        def wrapped(self, model, processor, inputs, gen_config, request_id, *args, **kwargs):
            request_of[id(gen_config)] = request_id
            return method(self, model, processor, inputs, gen_config, request_id, *args, **kwargs)
        return wrapped

    for name in ("generate_streaming", "generate_non_streaming"):
        setattr(utils.GenerateManager, name, remember(getattr(utils.GenerateManager, name)))

    def wrap_generate(model):
        generate = model.generate

        def wrapped(*args, **kwargs):
            request_id = request_of.pop(id(kwargs.get("generation_config")), None)
            recorder.thread.parts = [Part(request_id, None, kwargs["input_ids"].shape[-1])]
            try:
                return generate(*args, **kwargs)
            finally:
                recorder.thread.parts = None
        model.generate = wrapped

    return wrap_generate


def record_batches(recorder):
    """With continuous batching the runner has the scheduler's batch."""
    compute = model_runner.ModelRunner.compute_batch

    def wrapped(self, *args, **kwargs):
        io = self.inputs_and_outputs
        io = io.io_pairs[io.current_pair].host_io if hasattr(io, "io_pairs") else io
        recorder.thread.parts = [Part(request.state.request_id, request.query_length, len(request.state.initial_tokens))
                                 for request in io.requests_in_batch]
        return compute(self, *args, **kwargs)
    model_runner.ModelRunner.compute_batch = wrapped


def install(recorder):
    """Every model that the server loads from now on is recorded."""
    wrap_generate = record_one_by_one(recorder)
    record_batches(recorder)
    load, hooked = model_manager.ModelManager.load_model_and_processor, set()

    def load_and_hook(self, *args, **kwargs):
        model, processor = load(self, *args, **kwargs)
        if id(model) not in hooked:  # it gives the same model for each request
            hooked.add(id(model))
            recorder.hook(model)
            wrap_generate(model)
        return model, processor
    model_manager.ModelManager.load_model_and_processor = load_and_hook


def record_to(path, with_ids=False):
    recorder = Recorder(path, with_ids)
    atexit.register(recorder.writer.close)
    install(recorder)


def serve(arguments):
    sys.argv = ["transformers", "serve", *arguments]
    from transformers.cli.transformers import main as transformers_main
    transformers_main()


def main():
    arguments = sys.argv[1:]
    with_ids = "--ids" in arguments[:2]
    if with_ids:
        arguments.remove("--ids")
    if len(arguments) < 2:
        sys.exit(__doc__)
    record_to(arguments[0], with_ids)
    serve(arguments[1:])


if __name__ == "__main__":
    main()
