"""Virtual environments of the real systems: pinned, complete or not there, made once."""
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys

from systems import HERE, HOME, ROOT, Refused, base_python, llama_server_program, python_of

SKIPPED = 75  # EX_TEMPFAIL: nothing is wrong here, but nothing could be installed
# What pip says where no package index can be reached.
UNREACHABLE = re.compile(r"NewConnectionError|ConnectTimeoutError|ProxyError|NameResolutionError|Max retries exceeded|"
                         r"\(from versions: none\)")


def lock_of(system):
    return HERE / "locks" / f"{system.venv}.txt"


def digest(system):
    """Of all that decides what is installed."""
    return hashlib.sha256(lock_of(system).read_bytes()).hexdigest()


def marker(system):
    """Written when an environment is whole, as the last thing."""
    return HOME / system.venv / "complete"


def is_installed(system):
    if not system.venv:
        return os.access(llama_server_program(), os.X_OK)
    return marker(system).is_file() and marker(system).read_text() == digest(system)


def require_installed(system):
    if not is_installed(system):
        raise Refused(f"{system.name} is not installed: tools/peers install {system.name}")


@contextlib.contextmanager
def only_one(name):
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pip(system, *arguments):
    command = [python_of(system.venv), "-m", "pip", "install", "--quiet", "--retries", "2", *arguments]
    log = HOME / f"{system.venv}.log"
    with open(log, "a") as file:
        print("$", *command, file=file, flush=True)
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | dict(system.build_environment))
    if done.returncode == 0:
        return
    text = log.read_text(errors="replace")
    if UNREACHABLE.search(text):
        raise Refused(f"{system.name} was skipped: its packages cannot be downloaded here (no package index of Python answers)", SKIPPED)
    raise Refused(f"{system.name} cannot be installed; pip's last words are in {log}: {text.strip().splitlines()[-1]}", 1)


def make_environment(system):
    folder = HOME / system.venv
    marker(system).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    (HOME / f"{system.venv}.log").unlink(missing_ok=True)
    if not shutil.which(base_python()):
        raise Refused("no Python 3.11 was found, which the pinned packages are for", 1)
    made = subprocess.run([base_python(), "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode != 0:
        raise Refused(f"no virtual environment can be made: {(made.stdout + made.stderr).strip().splitlines()[-1]} "
                      "(Debian: apt-get install python3-venv)", 1)
    pinned = lock_of(system).read_text().split()
    # torch brings what its build for this machine needs; everything else is exactly what is listed.
    torch = [line for line in pinned if line.startswith("torch==")]
    if torch:
        pip(system, *torch)
    pip(system, "--no-deps", "-r", str(lock_of(system)))
    system.after_install(folder)
    marker(system).write_text(digest(system))


def install(system):
    if system.packages:
        subprocess.run([ROOT / "tools/install_packages", *system.packages], check=True)
    if not system.venv:
        subprocess.run([HERE / "build_llama_server"], check=True)
        return
    with only_one(system.venv):
        if is_installed(system):
            return
        print(f"installing {system.name} {system.version} into {HOME / system.venv}; log: {HOME / system.venv}.log", file=sys.stderr)
        make_environment(system)
