"""The real serving systems: what each is installed from, how it is started, and where it says that it is ready."""
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Callable

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "moecap/peers"
GGUF = ROOT / "models/tiny-moe/tiny-moe-f16.gguf"

SEQUENCES, CONTEXT_TOKENS = 16, 512  # served at once, and of each: the context of tiny-moe


class Refused(Exception):
    """Ends the program with one sentence."""

    def __init__(self, message, exit_code=2):
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class Start:
    """How one server is to be started."""
    model: pathlib.Path
    name: str                          # as clients know it
    dtype: str
    port: int
    threads: int
    folder: pathlib.Path               # of this server: its log, what it records
    telling: bool = True               # with the official flags that make it tell more: expert ids, log of passes, cached tokens
    record: pathlib.Path | None = None
    record_ids: bool = False
    extra: list = field(default_factory=list)


@dataclass(frozen=True)
class System:
    name: str
    version: str
    command: Callable[[Start], list]
    ready: str                          # path that answers 200 when it serves, and generates nothing
    environment: Callable[[Start], dict] = lambda start: {}
    venv: str = ""                      # the virtual environment, "" = none
    build_environment: tuple = ()       # of pip, where something is compiled
    packages: tuple = ()                # of Debian
    after_install: Callable[[pathlib.Path], None] = lambda venv: None
    reads_gguf: bool = False            # else a Hugging Face directory
    records: bool = False               # takes --record
    ready_s: int = 300                  # at most, on a busy machine
    note: str = ""


def python_of(venv):
    return str(HOME / venv / "bin/python")


def llama_server_program():
    printed = subprocess.run([HERE / "build_llama_server", "--print-path"], check=True, capture_output=True, text=True)
    return pathlib.Path(printed.stdout.strip())


def llama_server(start):
    return [llama_server_program(), "-m", start.model, "--alias", start.name, "--host", "127.0.0.1", "--port", start.port, "-t", start.threads,
            "-np", SEQUENCES, "-c", SEQUENCES * CONTEXT_TOKENS, *(["--metrics", "--slots"] if start.telling else [])]


def vllm(start):
    telling = ["--enable-return-routed-experts", "--enable-logging-iteration-details", "--enable-prompt-tokens-details"]
    return [python_of("vllm"), "-m", "vllm.entrypoints.openai.api_server", "--model", start.model,
            "--served-model-name", start.name, "--enforce-eager", "--dtype", start.dtype, "--max-model-len", CONTEXT_TOKENS,
            "--max-num-seqs", 2 * SEQUENCES, "--host", "127.0.0.1", "--port", start.port, *(telling if start.telling else [])]


def vllm_environment(start):
    # It takes all processors but those that it is told to leave.
    return {"VLLM_CPU_NUM_OF_RESERVED_CPU": max(0, (os.cpu_count() or 1) - start.threads), "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def sglang(start):
    telling = ["--enable-return-routed-experts", "--expert-distribution-recorder-mode", "per_token", "--enable-metrics",
               "--enable-cache-report", "--enable-forward-pass-metrics"]
    return [python_of("sglang"), "-m", "sglang.launch_server", "--model-path", start.model, "--served-model-name", start.name,
            "--device", "cpu", "--dtype", start.dtype, "--max-total-tokens", 2 * SEQUENCES * CONTEXT_TOKENS,
            "--context-length", CONTEXT_TOKENS, "--host", "127.0.0.1", "--port", start.port, *(telling if start.telling else [])]


def sglang_environment(start):
    return {"SGLANG_USE_CPU_ENGINE": "1", "SGLANG_EXPERT_DISTRIBUTION_RECORDER_DIR": start.folder,
            "OMP_NUM_THREADS": start.threads, "PYTHONPATH": HERE / "sglang_stand_ins", "PYTHONDONTWRITEBYTECODE": "1"}


def without_pinned_memory(venv):
    """Expert ids are kept in pinned memory, which a machine without CUDA cannot give: the one line of SGLang that is changed."""
    path = next(venv.glob("lib/python*/site-packages/sglang/srt/state_capturer/base.py"))
    text = path.read_text(encoding="utf-8")
    pinned = "            pin_memory=True,"
    if text.count(pinned) != 1:
        raise Refused(f"{path} is not the file of the pinned release: it should say `pin_memory=True,` once", 1)
    path.write_text(text.replace(pinned, "            pin_memory=torch.cuda.is_available(),"), encoding="utf-8")


def transformers(start):
    if start.record:
        launch = [HERE / "transformers_record.py", start.record, *(["--ids"] if start.record_ids else [])]
    else:
        launch = [HOME / "transformers/bin/transformers", "serve"]
    return [python_of("transformers"), *launch, start.model, "--host", "127.0.0.1", "--port", start.port, "--device", "cpu"]


def transformers_cb(start):
    # Without bounds the cache takes most of the memory, and a minute to fill with zeros.
    return [*transformers(start), "--continuous-batching", "--cb-block-size", 32,
            "--cb-num-blocks", 20 * SEQUENCES, "--cb-max-batch-tokens", CONTEXT_TOKENS]


def of_threads(start):
    return {"OMP_NUM_THREADS": start.threads}


SYSTEMS = [
    System("llama-server", "v0.5.0", llama_server, "/health", reads_gguf=True, note="built from the engine's source package"),
    System("vllm", "0.30.0", vllm, "/ping", venv="vllm", packages=("libnuma1",), ready_s=600,
           environment=vllm_environment,
           note="vllm-cpu"),
    System("sglang", "0.5.23", sglang, "/ready", venv="sglang", environment=sglang_environment,
           after_install=without_pinned_memory, ready_s=600, note="native kernels, no AMX needed"),
    System("transformers", "5.24.0", transformers, "/health", venv="transformers", environment=of_threads, records=True,
           note="one request at a time"),
    System("transformers-cb", "5.24.0", transformers_cb, "/health", venv="transformers", environment=of_threads, records=True,
           note="continuous batching"),
    System("xllamacpp", "2026.10.11549", lambda start: [
        python_of("xllamacpp"), HERE / "xllamacpp_server.py", start.model, start.name, start.port, start.threads, SEQUENCES,
        SEQUENCES * CONTEXT_TOKENS], "/health", venv="xllamacpp", reads_gguf=True, note="llama-server in a Python process"),
    System("llama-cpp-python", "0.3.36", lambda start: [
        python_of("llama-cpp-python"), "-m", "llama_cpp.server", "--model", start.model, "--model_alias", start.name,
        "--host", "127.0.0.1", "--port", start.port, "--n_ctx", CONTEXT_TOKENS, "--n_threads", start.threads,
        # Else each new request ends the stream of the one before.
        "--interrupt_requests", "false"], "/v1/models", venv="llama-cpp-python", reads_gguf=True,
        build_environment=(("CMAKE_ARGS", "-DGGML_OPENMP=OFF -DLLAVA_BUILD=OFF"),), packages=("cmake", "g++"),
        note="one request at a time; compiled for 17 minutes"),
    System("fastllm", "1.9.0", lambda start: [
        python_of("fastllm"), HOME / "fastllm/bin/ftllm", "server", start.model, "--device", "cpu", "--moe_device", "cpu",
        "--dtype", start.dtype, "-t", start.threads, "--host", "127.0.0.1", "--port", start.port, "--model_name", start.name],
        # Its warm-up takes up to ten minutes of a processor, and whoever measures warms up himself.
        "/v1/models", venv="fastllm", environment=lambda start: {"FASTLLM_SKIP_WARMUP": "1"}, note="chat only"),
]


def system_named(name):
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise Refused(f"{name} is none of the systems: " + ", ".join(system.name for system in SYSTEMS))


def base_python():
    """The interpreter that virtual environments are made from: SGLang's wheel is for 3.11 alone."""
    return sys.executable if sys.version_info[:2] == (3, 11) else "python3.11"
