"""tiny-moe: the qwen3moe architecture in PyTorch, small enough to compute every expert.

The experts of a layer are evaluated as one wide SwiGLU MLP whose hidden activations are scaled by the gates, which are
zero for all but the two chosen experts. This equals sparse routing exactly and keeps the GPU on large matrix products.
"""
import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention


@dataclasses.dataclass
class Config:
    vocab: int = 1024
    context: int = 512
    hidden: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    experts: int = 16
    experts_used: int = 2  # top2_gates() below is written for two
    expert_width: int = 96
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-6


def rms_norm(x, weight, epsilon):
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + epsilon) * weight).to(x.dtype)


def rotate(x, cos, sin):
    """NEOX-style rotary embedding: dimension i is paired with i + head_dim / 2."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def top2_gates(probabilities):
    first = probabilities.amax(-1, keepdim=True)
    rest = torch.where(probabilities == first, -1.0, probabilities)
    second = rest.amax(-1, keepdim=True)
    chosen = probabilities >= second
    return chosen, torch.where(chosen, probabilities, 0.0) / (first + second)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        q, kv, wide = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.experts * c.expert_width
        residual = 0.02 / math.sqrt(2 * c.layers)

        def matrix(rows, columns, std=0.02):
            return nn.Parameter(torch.randn(rows, columns) * std)

        self.attn_norm = nn.Parameter(torch.ones(c.hidden))
        self.attn_q, self.attn_k, self.attn_v = matrix(q, c.hidden), matrix(kv, c.hidden), matrix(kv, c.hidden)
        self.attn_q_norm = nn.Parameter(torch.ones(c.head_dim))
        self.attn_k_norm = nn.Parameter(torch.ones(c.head_dim))
        self.attn_output = matrix(c.hidden, q, residual)
        self.ffn_norm = nn.Parameter(torch.ones(c.hidden))
        self.ffn_gate_inp = matrix(c.experts, c.hidden)
        self.ffn_gate_exps, self.ffn_up_exps = matrix(wide, c.hidden), matrix(wide, c.hidden)
        self.ffn_down_exps = matrix(c.hidden, wide, residual)

    def attention(self, x, cos, sin, mask):
        c, (batch, length, _) = self.c, x.shape
        q = F.linear(x, self.attn_q).view(batch, length, c.heads, c.head_dim)
        k = F.linear(x, self.attn_k).view(batch, length, c.kv_heads, c.head_dim)
        v = F.linear(x, self.attn_v).view(batch, length, c.kv_heads, c.head_dim)
        q = rotate(rms_norm(q, self.attn_q_norm, c.norm_epsilon).transpose(1, 2), cos, sin)
        k = rotate(rms_norm(k, self.attn_k_norm, c.norm_epsilon).transpose(1, 2), cos, sin)
        if isinstance(mask, BlockMask):
            out = flex_attention(q, k, v.transpose(1, 2), block_mask=mask, enable_gqa=True)
        else:
            out = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), attn_mask=mask, enable_gqa=True)
        return F.linear(out.transpose(1, 2).reshape(batch, length, -1), self.attn_output)

    def experts(self, x):
        c = self.c
        with torch.autocast(x.device.type, enabled=False):
            probabilities = F.linear(x.float(), self.ffn_gate_inp).softmax(-1)
        chosen, gates = top2_gates(probabilities)
        hidden = F.silu(F.linear(x, self.ffn_gate_exps)) * F.linear(x, self.ffn_up_exps)
        hidden = (hidden.unflatten(-1, (c.experts, c.expert_width)) * gates.unsqueeze(-1).to(x.dtype)).flatten(-2)
        share = chosen.float().mean((0, 1)) / c.experts_used
        balance = c.experts * (share * probabilities.mean((0, 1))).sum()
        return F.linear(hidden, self.ffn_down_exps), balance, share

    def forward(self, x, cos, sin, mask):
        x = x + self.attention(rms_norm(x, self.attn_norm, self.c.norm_epsilon), cos, sin, mask)
        out, balance, share = self.experts(rms_norm(x, self.ffn_norm, self.c.norm_epsilon))
        return x + out, balance, share


def run_block(block, x, cos, sin, mask):
    return block(x, cos, sin, mask)


class TinyMoe(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.token_embd = nn.Parameter(torch.randn(c.vocab, c.hidden) * 0.02)
        self.blk = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.output_norm = nn.Parameter(torch.ones(c.hidden))
        self.output = nn.Parameter(torch.randn(c.vocab, c.hidden) * 0.02)
        half = torch.arange(c.head_dim // 2) * 2 / c.head_dim
        angle = torch.outer(torch.arange(c.context).float(), c.rope_base**-half)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens, mask, block=run_block, dtype=torch.float32):
        """Final hidden states (before output_norm), mean balance loss, expert shares of each layer."""
        x = F.embedding(tokens, self.token_embd).to(dtype)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        balances, shares = [], []
        for layer in self.blk:
            x, balance, share = block(layer, x, cos, sin, mask)
            balances.append(balance)
            shares.append(share)
        return x, torch.stack(balances).mean(), torch.stack(shares)

    def logits(self, x):
        return F.linear(rms_norm(x, self.output_norm, self.c.norm_epsilon), self.output)

    def gguf_tensors(self):
        """Name in GGUF -> float32 array in the layout llama.cpp expects (experts outermost)."""
        c, out = self.c, {}
        for name, value in self.state_dict().items():
            if name.endswith(("ffn_gate_exps", "ffn_up_exps")):
                value = value.view(c.experts, c.expert_width, c.hidden)
            elif name.endswith("ffn_down_exps"):
                value = value.view(c.hidden, c.experts, c.expert_width).transpose(0, 1)
            out[name + ".weight"] = value.detach().float().cpu().contiguous().numpy()
        return out


def block_quantize(weight, name):
    """What ggml's Q4_0 or Q8_0 makes of a matrix: blocks of 32 along the input dimension, one F16 scale each."""
    blocks = weight.float().reshape(-1, 32)
    if name == "q8_0":
        scale = blocks.abs().amax(1, keepdim=True) / 127
        inverse = torch.where(scale > 0, 1 / scale, 0.0)
        quants = (blocks * inverse).round()
    else:
        largest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        scale = largest / -8
        inverse = torch.where(scale != 0, 1 / scale, 0.0)
        quants = (blocks * inverse + 8.5).floor().clamp(0, 15) - 8
    return (quants * scale.half().float()).reshape(weight.shape)
