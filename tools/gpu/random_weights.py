"""vLLM plugin: `--load-format random_weights` fills a model with random weights that differ from tensor to tensor.

vLLM's own `dummy` gives all tensors of a size the same values, so that all layers route alike. Here each tensor's seed comes from its
name, and values are those of a model before training: normal with the model's initializer_range, norms 1, biases 0. Routers see inputs of
RMS 1, so their logits spread by initializer_range x sqrt(hidden_size), about 1.
"""
import zlib

import torch


def standard_deviation(hf_config):
    return getattr(hf_config, "initializer_range", None) or 0.02


@torch.no_grad()
def fill(name, tensor, deviation):
    if not torch.is_floating_point(tensor):
        return
    if name.endswith("bias"):
        tensor.zero_()
    elif "norm" in name.rpartition(".")[0].rpartition(".")[2]:
        tensor.fill_(1)
    else:
        generator = torch.Generator(device=tensor.device).manual_seed(zlib.crc32(name.encode()))
        tensor.normal_(0, deviation, generator=generator)


def register():
    """The entry point of group vllm.general_plugins; vLLM calls it in each of its processes."""
    from vllm.model_executor.model_loader import register_model_loader
    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    @register_model_loader("random_weights")
    class RandomWeightsLoader(BaseModelLoader):
        def download_model(self, model_config):
            pass

        def load_weights(self, model, model_config):
            deviation = standard_deviation(model_config.hf_text_config)
            for name, tensor in model.named_parameters():
                fill(name, tensor, deviation)
