"""A load client as one writes it with aiohttp: a task for each request, each line parsed as it comes.

aiohttp_client.py URL PLAN REPORT

PLAN holds one JSON object a line: at_ns, when to send (CLOCK_MONOTONIC), and body. REPORT gets a line "NAME SEND_NS TOKEN_NS..."
for each request, named by its cache_salt, then "cpu_s SECONDS". bench/client_accuracy.cc runs it.
"""

import asyncio
import json
import sys
import time

import aiohttp


async def request(session, url, plan):
    await asyncio.sleep((plan["at_ns"] - time.monotonic_ns()) * 1e-9)
    tokens_ns = []
    send_ns = time.monotonic_ns()
    async with session.post(url, json=plan["body"]) as response:
        response.raise_for_status()
        async for line in response.content:
            now_ns = time.monotonic_ns()
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                tokens_ns += [now_ns] * len(choice["token_ids"] or ())
    return f"{plan['body']['cache_salt']} {send_ns} {' '.join(map(str, tokens_ns))}\n"


async def main(url, plan_file, report_file):
    with open(plan_file, encoding="utf-8") as file:
        plans = [json.loads(line) for line in file]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        cpu_s = time.process_time()
        lines = await asyncio.gather(*(request(session, url + "/v1/completions", plan) for plan in plans))
        cpu_s = time.process_time() - cpu_s
    with open(report_file, "w", encoding="utf-8") as file:
        file.writelines(lines)
        file.write(f"cpu_s {cpu_s}\n")


asyncio.run(main(*sys.argv[1:]))
