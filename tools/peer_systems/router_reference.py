"""What the router of a model says about texts, by transformers in float32, the whole text at once: the yardstick for other engines.

  python router_reference.py MODEL_DIR < TEXTS > ROUTES

TEXTS: a JSON object a line, `prompt` and `token_ids` of the answer. ROUTES, line by line: `prompt_tokens`; `prompt_experts`
[layer][distinct ids]; of each row from the prompt's last token on `experts` [row][layer][k, ascending], `gaps` [row][layer], the k-th
largest router logit less the next one, and `token_gaps` [row], the largest logit of the next token less the second.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def routes_of(model, prompt_ids, answer_ids, top_k):
    with torch.no_grad():
        out = model(torch.tensor([prompt_ids + answer_ids]), output_router_logits=True)
    first = len(prompt_ids) - 1
    router = torch.stack([layer.float() for layer in out.router_logits], dim=1)  # [row, layer, expert]
    best = router.topk(top_k + 1, dim=-1)
    ids = best.indices[..., :top_k].sort(dim=-1).values
    tokens = out.logits[0, first:].float().topk(2, dim=-1).values
    return {
        "prompt_tokens": len(prompt_ids),
        "prompt_experts": [sorted(set(ids[:first + 1, layer].flatten().tolist())) for layer in range(ids.shape[1])],
        "experts": ids[first:].tolist(),
        "gaps": (best.values[first:, :, top_k - 1] - best.values[first:, :, top_k]).tolist(),
        "token_gaps": (tokens[:, 0] - tokens[:, 1]).tolist(),
    }


def main():
    torch.set_num_threads(1)  # more of them wait for each other on a busy machine, a hundred times as long
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    for line in sys.stdin:
        text = json.loads(line)
        routes = routes_of(model, tokenizer(text["prompt"])["input_ids"], text["token_ids"], model.config.num_experts_per_tok)
        print(json.dumps(routes), flush=True)


if __name__ == "__main__":
    main()
