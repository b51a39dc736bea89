"""The published load balancer's values on 100 made-up loads, for src/routing/expert_placement_test.cc.

  python eplb_values.py EPLB.py > tests/golden/eplb.json      with torch; EPLB.py: eplb.py of github.com/deepseek-ai/EPLB

Loads come from SplitMix64 seeded by the trace's number, so that the test makes the same without storing them.
"""
import importlib.util
import json
import sys

MASK = (1 << 64) - 1
# experts, places, ranks, groups, nodes
SHAPES = [(12, 16, 8, 4, 2), (256, 288, 32, 8, 4), (256, 288, 32, 1, 1), (256, 320, 64, 8, 8), (128, 128, 8, 1, 1),
          (128, 144, 16, 1, 1), (64, 72, 8, 1, 1), (384, 416, 32, 1, 4), (512, 576, 64, 1, 1), (160, 192, 16, 8, 2)]


def loads(seed, experts, skew):
    """Of each expert: 1 + (x / 1000)^skew x 10^6, rounded down, x a draw below 1000."""
    state, found = seed, []
    for _ in range(experts):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        found.append(1 + (z % 1000) ** skew * 10**6 // 1000**skew)
    return found


def main():
    import torch

    spec = importlib.util.spec_from_file_location("eplb", sys.argv[1])
    eplb = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(eplb)
    traces = []
    for number in range(100):
        experts, places, ranks, groups, nodes = SHAPES[number % len(SHAPES)]
        skew = 1 + number // len(SHAPES) % 5
        weight = loads(number, experts, skew)
        place_of, _, replicas = eplb.rebalance_experts(torch.tensor([weight]), places, groups, nodes, ranks)
        rank_loads = [0.0] * ranks
        for place, expert in enumerate(place_of[0].tolist()):
            rank_loads[place // (places // ranks)] += weight[expert] / replicas[0][expert].item()
        traces.append({"seed": number, "experts": experts, "places": places, "ranks": ranks, "groups": groups, "nodes": nodes,
                       "skew": skew, "heaviest_rank": max(rank_loads), "total": sum(weight)})
    print('{"about": "tools/oracle_clients/eplb_values.py; eplb.py at d52c72d", "traces": [')
    print(",\n".join(json.dumps(trace) for trace in traces))
    print("]}")


main()
