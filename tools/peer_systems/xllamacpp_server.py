"""The llama-server inside xllamacpp's wheel, on a port, until it is told to end.

  python3 xllamacpp_server.py MODEL.gguf NAME PORT THREADS SLOTS CONTEXT_TOKENS
"""
import signal
import sys

import xllamacpp


def main():
    path, name, port, threads, slots, context_tokens = sys.argv[1:7]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {name}
    parameters.hostnames, parameters.port = ["127.0.0.1"], int(port)
    parameters.n_ctx, parameters.n_parallel = int(context_tokens), int(slots)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(threads)
    parameters.endpoint_metrics = parameters.endpoint_slots = True
    server = xllamacpp.Server(parameters)  # serves while it lives
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
