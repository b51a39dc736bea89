"""Holds a GPU's memory, so that another program finds less of it: a GPU of a smaller card's memory, with its own speed.

    hold_memory.py GB...

Leaves so many gigabytes (1e9 bytes) free and says so; a line on its input makes it go on to the next, smaller number. It holds until its
input ends. Plain allocations, none of them touched.
"""
import sys

import torch


def leave(gigabytes, held):
    free, _ = torch.cuda.mem_get_info()
    surplus = free - int(gigabytes * 1e9)
    if surplus < 0:
        sys.exit(f"hold_memory: {free / 1e9:.2f} GB are free, fewer than {gigabytes}")
    held.append(torch.empty(surplus, dtype=torch.uint8, device="cuda"))
    free, whole = torch.cuda.mem_get_info()
    print(f"{free / 1e9:.2f} of {whole / 1e9:.2f} GB are free", flush=True)


def main(steps):
    torch.cuda.init()
    held = []
    for gigabytes in steps:
        leave(gigabytes, held)
        if not sys.stdin.readline():
            return
    sys.stdin.read()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([float(word) for word in sys.argv[1:]])
