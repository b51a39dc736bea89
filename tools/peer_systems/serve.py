"""Starts real systems on loopback, in a session of their own, and ends them with all their children."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from systems import GGUF, HOME, ROOT, Refused, Start, system_named

RUNNING = HOME / "run"  # one folder a server: SYSTEM-PORT/{server.json, log, what it records}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hf_model(dtype):
    """The Hugging Face directory of tiny-moe, written on first use; whole or not at all."""
    folder = HOME / "models" / f"tiny-moe-{dtype}"
    if not (folder / "config.json").exists():
        new = folder.with_name(f"{folder.name}.{os.getpid()}")
        subprocess.run([sys.executable, ROOT / "models/tiny-moe/export_hf.py", "--dtype", dtype, GGUF, new], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    return folder


def began(pid):
    """When a process started, in the kernel's ticks; None when it is gone or waits to be collected."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def is_alive(server):
    return began(server["pid"]) == server["began"]


def servers():
    """Those that this program started and that still live; forgets the others."""
    found = []
    for path in sorted(RUNNING.glob("*/server.json")):
        server = json.loads(path.read_text())
        if is_alive(server):
            found.append(server)
        else:
            path.unlink(missing_ok=True)
    return found


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def last_words(log):
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def await_ready(system, server):
    log = pathlib.Path(server["log"])
    limit = time.monotonic() + system.ready_s
    while not answers(server["url"] + system.ready):
        if not is_alive(server):
            raise Refused(f"{system.name} ended before it was ready; its log is {log}: {last_words(log)}", 1)
        if time.monotonic() > limit:
            end(server)
            raise Refused(f"{system.name} was not ready after {system.ready_s} s and was ended; its log is {log}", 1)
        time.sleep(0.2)


def start(system, options):
    """Returns when the server is ready, as {system, url, pid, log, ...}."""
    if options.record and not system.records:
        raise Refused(f"{system.name} has no recording launcher; transformers and transformers-cb have one")
    port = options.port or free_port()
    if any(server["port"] == port for server in servers()):
        raise Refused(f"a server of tools/peers listens on port {port}: tools/peers list")
    folder = RUNNING / f"{system.name}-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    model = options.model or (GGUF if system.reads_gguf else hf_model(options.dtype))
    how = Start(model=model.resolve(), name=model.stem if options.model else "tiny-moe", dtype=options.dtype, port=port, threads=options.threads, folder=folder, telling=not options.plain,
                record=options.record and options.record.resolve(), record_ids=options.record_ids)
    command = [str(word) for word in [*system.command(how), *options.extra]]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | {key: str(value) for key, value in system.environment(how).items()}
    log = folder / "log"
    with open(log, "w") as file:
        print("$", *command, file=file, flush=True)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment,
                                   cwd=folder, start_new_session=True)
    process.returncode = 0  # it outlives this program: nobody waits for it
    server = {"system": system.name, "version": system.version, "url": f"http://127.0.0.1:{port}", "port": port,
              "pid": process.pid, "began": began(process.pid), "model": str(model), "log": str(log), "command": command}
    (folder / "server.json").write_text(json.dumps(server))
    try:
        await_ready(system, server)
    except KeyboardInterrupt:
        end(server)
        raise
    return server


def group_lives(group):
    """Whether a process of the group still runs; those that only wait to be collected do not count."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def end(server, patience_s=20):
    """The server and its children, which are its process group: asked first, then made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        limit = time.monotonic() + patience_s
        while group_lives(server["pid"]) and time.monotonic() < limit:
            if number is not None:
                os.killpg(server["pid"], number)
                number = None
            time.sleep(0.1)
    (RUNNING / f"{server['system']}-{server['port']}" / "server.json").unlink(missing_ok=True)


def stop(system_name, port):
    system_named(system_name)
    found = [server for server in servers() if server["system"] == system_name and port in (None, server["port"])]
    if not found:
        raise Refused(f"no {system_name} of tools/peers runs" + (f" on port {port}" if port else ""))
    if len(found) > 1:
        raise Refused(f"several {system_name} run; say which: " + ", ".join(f"--port {server['port']}" for server in found))
    end(found[0])
