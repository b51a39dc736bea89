"""What a decode pass of transformers' continuous batching consists of: its time, how much of that the GPU works, and in which kernels.

    transformers_profile.py MODEL_DIR [DEVICE]

MODEL_DIR is what make_model.py writes. For 1, 4 and 16 requests of 128 tokens, in this process, as `transformers serve` would compute them: the
median of 16 passes without a profiler, then 3 with it, printed as one JSON line each.
"""
import collections
import json
import statistics
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import ContinuousBatchingConfig, GenerationConfig
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from transformers_server import random_model

CLIENTS, PROMPT_TOKENS, UNPROFILED, PROFILED = (1, 4, 16), 128, 16, 3


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Passes:
    """Stands around the processor's generation step, in its thread."""

    def __init__(self):
        self.step = ContinuousBatchProcessor._generation_step
        self.expected = 0
        self.begin()

        def wrapped(processor, model):
            decode = len(processor.inputs_and_outputs.requests_in_batch) == self.expected == processor.inputs_and_outputs.total_seqlen_q
            self.count += decode
            if self.count == UNPROFILED + 2:
                self.profiler = profile(activities=list(ProfilerActivity) if torch.cuda.is_available() else [ProfilerActivity.CPU])
                self.profiler.start()
            synchronize()
            start = time.perf_counter()
            self.step(processor, model)
            synchronize()
            if decode:
                self.times.append(time.perf_counter() - start)
            if self.count == UNPROFILED + PROFILED + 1:
                self.profiler.stop()
                self.count = -10**9
        ContinuousBatchProcessor._generation_step = wrapped

    def begin(self, clients=0):
        self.expected, self.count, self.times, self.profiler = clients, 0, [], None

    def told(self):
        on_gpu = [event for event in self.profiler.events() if event.device_type != torch.autograd.DeviceType.CPU]
        by_name = collections.Counter()
        for event in on_gpu:
            by_name[event.name[:70]] += event.time_range.elapsed_us()
        on_cpu = sorted(self.profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)[:12]
        return {
            "clients": self.expected,
            "pass_ms": round(1e3 * statistics.median(self.times[:UNPROFILED]), 2),
            "gpu_ms": round(sum(by_name.values()) / 1e3 / PROFILED, 2),
            "kernels": len(on_gpu) // PROFILED,
            "gpu_us": {name: round(us / PROFILED) for name, us in by_name.most_common(12)},
            "cpu_us": {event.key[:60]: [round(event.self_cpu_time_total / PROFILED), event.count // PROFILED] for event in on_cpu},
        }


def main():
    with profile():  # else it complains of being initialised in another thread
        pass
    model = random_model(sys.argv[1], torch.device(sys.argv[2] if len(sys.argv) > 2 else "cuda:0"))
    passes = Passes()
    manager = model.init_continuous_batching(
        generation_config=GenerationConfig(do_sample=False), continuous_batching_config=ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=2048)
    )
    manager.start()
    for clients in CLIENTS:
        passes.begin(clients)
        prompts = [[1000 + (7919 * (128 * client + i)) % 1900 for i in range(PROMPT_TOKENS)] for client in range(clients)]
        for prompt in prompts:
            manager.add_request(prompt, max_new_tokens=UNPROFILED + PROFILED + 20)
        for _ in prompts:
            manager.get_result(timeout=120)
        print(json.dumps(passes.told()), flush=True)
    manager.stop()


if __name__ == "__main__":
    main()
