"""What tools/peers does beyond building llama-server; see the head of that script."""
import argparse
import os
import pathlib
import signal
import subprocess
import sys

import accept
import install
import serve
import truth
from systems import ROOT, SYSTEMS, Refused, system_named

# One CPU is left to the client.
THREADS = max(1, (os.cpu_count() or 1) - 1)


def parser():
    main = argparse.ArgumentParser(prog="tools/peers", description="Real serving systems on this machine: docs/howto/real_servers.md")
    verbs = main.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="the systems, which are installed, which run")

    verb = verbs.add_parser("install", help="a system at its pinned version, in an environment of its own; twice is once")
    verb.add_argument("system")

    verb = verbs.add_parser("start", help="start a system in the background; prints its URL when it is ready",
                            epilog="What follows -- goes to the server as it is.")
    verb.add_argument("system")
    verb.add_argument("--port", type=int, help="default: a free one")
    verb.add_argument("--model", type=pathlib.Path, help="a GGUF file or a Hugging Face directory (default: tiny-moe)")
    verb.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="of a Hugging Face directory")
    verb.add_argument("--threads", type=int, default=THREADS,
                      help="of the server (default: all CPUs but one, which is left to the client)")
    verb.add_argument("--plain", action="store_true", help="without the flags that make it tell expert ids, passes, cached tokens")
    verb.add_argument("--record", type=pathlib.Path, metavar="FILE",
                      help="write passes.jsonl: who was in each forward pass and which experts it chose (transformers)")
    verb.add_argument("--record-ids", action="store_true", help="with --record: token ids and expert ids of every row, too")

    verb = verbs.add_parser("stop", help="end a server and all its processes")
    verb.add_argument("system")
    verb.add_argument("--port", type=int, help="where several run")

    verb = verbs.add_parser("test", help="`moecap load` and `moecap run` against each installed system; writes docs/systems.md")
    verb.add_argument("systems", nargs="*", metavar="system", help="default: all that are installed")
    verb.add_argument("--moecap", type=pathlib.Path, default=ROOT / "build/release/moecap", help="the program (default: build/release/moecap)")

    verb.add_argument("--requests", type=int, default=32, help="and problems, of each level (default: 32)")

    verb = verbs.add_parser("truth", help="the same answers and experts on several engines? writes docs/systems.md")
    verb.add_argument("systems", nargs="*", metavar="system", help="default: " + ", ".join(truth.SYSTEMS))
    verb.add_argument("--problems", type=int, default=512)
    verb.add_argument("--moecap", type=pathlib.Path, default=ROOT / "build/release/moecap")
    return main


def print_list():
    running = serve.servers()
    for system in SYSTEMS:
        state = "installed" if install.is_installed(system) else "-"
        urls = " ".join(server["url"] for server in running if server["system"] == system.name)
        print(f"{system.name:17} {system.version:14} {state:10} {urls or '-':28} {system.note}")


def run(arguments):
    words, extra = (arguments[:arguments.index("--")], arguments[arguments.index("--") + 1:]) if "--" in arguments else (arguments, [])
    options = parser().parse_args(words)
    options.extra = extra
    if options.verb == "list":
        print_list()
    elif options.verb == "install":
        install.install(system_named(options.system))
    elif options.verb == "start":
        system = system_named(options.system)
        install.require_installed(system)
        server = serve.start(system, options)
        print(f"log: {server['log']}", file=sys.stderr)
        print(server["url"])
    elif options.verb == "stop":
        serve.stop(options.system, options.port)
    elif options.verb == "truth":
        truth.truth(options.systems, options.problems, options.moecap, accept.default_options(THREADS))
    elif options.verb == "test":
        sys.exit(accept.test(options.systems, options.moecap, options.requests, accept.default_options(THREADS)))


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, interrupt)  # so that servers that are being tested end, too
    try:
        run(sys.argv[1:])
    except Refused as refused:
        print(f"peers: {refused}", file=sys.stderr)
        sys.exit(refused.exit_code)
    except subprocess.CalledProcessError as failed:  # it has said why
        print(f"peers: {failed.cmd[0]} failed", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
