"""`transformers serve` of a model with random weights that no file holds, whole on one device or with experts in host memory.

    transformers_server.py [--record PASSES.jsonl] [--offload LAYERS] MODEL_DIR [options of `transformers serve`]

MODEL_DIR is what make_model.py writes. --offload lets Accelerate keep the experts of the last LAYERS layers in host memory, as a
`device_map` with "cpu" does: each pass copies all of a layer's experts to the device, whichever it needs. --record writes each pass, with its
experts (tools/peer_systems/transformers_record.py). Only the loading of weights is replaced; all else is the installed transformers.
"""
import argparse
import pathlib
import sys
import tempfile

import accelerate
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.cli.serving import model_manager

import random_weights
from device_map import device_map_of

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "peer_systems"))
import transformers_record  # noqa: E402


def random_model(folder, device):
    config = AutoConfig.from_pretrained(folder)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    deviation = random_weights.standard_deviation(config)
    for name, tensor in model.named_parameters():
        random_weights.fill(name, tensor, deviation)
    model.name_or_path = str(folder)
    model.generation_config = GenerationConfig(do_sample=False)  # no end token: answers have the length that was asked for
    return model.eval()


def offload_experts(model, layers, device):
    experts = [name for name, _ in model.named_modules() if name.endswith(".experts")]
    if not 0 < layers <= len(experts):
        sys.exit(f"transformers_server: --offload takes 1 to {len(experts)} layers")
    experts = experts[-layers:]
    for name in experts:
        model.get_submodule(name).to("cpu")
    skip_keys = model._skip_keys_device_placement
    if device.type == "cpu":  # for a try without a GPU: Accelerate offloads from a processor to a disk alone
        device_map = device_map_of(model, "cpu", experts, "disk")
        return accelerate.dispatch_model(model, device_map, "cpu", offload_dir=tempfile.mkdtemp(), skip_keys=skip_keys)
    torch.cuda.empty_cache()
    return accelerate.dispatch_model(model, device_map_of(model, device, experts, "cpu"), device, skip_keys=skip_keys)


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--record")
    parser.add_argument("--offload", type=int, default=0)
    parser.add_argument("--device", default="cuda:0")
    options, rest = parser.parse_known_args()

    def load(manager, model_id_and_revision, *_, **__):
        device = torch.device(options.device)
        model = random_model(model_id_and_revision.split("@")[0], device)
        if options.offload:
            model = offload_experts(model, options.offload, device)
        if device.type == "cuda":
            print(f"on the device: {torch.cuda.memory_allocated() / 1e9:.1f} GB of weights", flush=True)
        return model

    model_manager.ModelManager._load_model = load
    if options.record:
        transformers_record.record_to(options.record)
    transformers_record.serve([*rest, "--device", options.device])


if __name__ == "__main__":
    main()
