# What tools/gpu/vllm, tools/gpu/transformers and tools/gpu/engine share; they set `tools` before. POSIX shell, to be sourced.
state=${MOECAP_GPU_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/moecap/gpu}
port=${MOECAP_GPU_PORT:-8101} # of the server

fail() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit "${2:-1}"
}

# compress FILE FOLDER NAME...
compress() {
  file=$1
  folder=$2
  shift 2
  (cd "$folder" && tar -cf - "$@") | nice xz -6 -T0 >"$file.part"
  mv "$file.part" "$file"
}

# pack_moecap PROGRAM FILE: the program with its libraries, but for those of the C and C++ compilers, which every machine has. The engine looks
# for its compute backends beside its own library; the preset release-cuda has one for GPUs.
pack_moecap() {
  folder=$state/pack/moecap
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$1" "$folder/moecap"
  strip "$folder/moecap"
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | grep -v -E '/lib(c|m|gcc_s|stdc\+\+)\.so' | while read -r library; do
    cp -L "$library" "$folder/"
    case $library in */libggml-base.so*) find "${library%/*}" -maxdepth 1 '(' -name 'libggml-cpu*.so' -o -name libggml-cuda.so ')' -exec cp {} "$folder/" ';' ;; esac
  done
  ls "$folder"/libggml-cpu*.so >/dev/null 2>&1 || fail "no compute backend lies beside the engine of $1"
  compress "$2" "$state/pack" moecap
}

# download DIR SPEC...: wheels for the GPU machine, whatever machine this is.
download() {
  to=$1
  shift
  platforms=
  for glibc in 34 31 28 27 24 17 12 5; do platforms="$platforms --platform manylinux_2_${glibc}_x86_64"; done
  # shellcheck disable=SC2086
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp $platforms \
    --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --dest "$to" "$@"
}

# pack_packages REQUIREMENTS FILE: the Python packages as they lie once installed.
pack_packages() {
  packages=$state/pack/packages
  rm -rf "$packages"
  download "$packages/wheels" --requirement "$1"
  mkdir "$packages/site"
  for wheel in "$packages"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$packages/site"; done
  rm -rf "$packages"/site/*.data # scripts
  compress "$2" "$packages/site" .
}

# unpack_pieces PIECE...: moecap, and beside it the packages.
unpack_pieces() {
  [ $# -gt 0 ] || fail 'unpack needs a piece' 2
  mkdir -p "$state/site"
  for piece; do
    for archive in "$piece"/*.txz; do
      case $archive in
        */moecap.txz) tar -xJf "$archive" -C "$state" ;;
        *) tar -xJf "$archive" -C "$state/site" ;;
      esac
    done
  done
}

moecap() {
  LD_LIBRARY_PATH="$state/moecap:$state/toolkit${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" timeout --foreground --signal=INT "${MOECAP_GPU_LIMIT_S:-3600}" \
    "${MOECAP:-$state/moecap/moecap}" "$@"
}

shape_of() {
  [ -n "$1" ] && [ -f "$tools/shapes/$1/config.json" ] || fail "no shape named '$1'; there are: $(ls "$tools/shapes" | xargs)" 2
  printf '%s\n' "$1"
}

# run_and_keep CONFIGURATION NAME DIR: `moecap run`. What people read goes to DIR, and the facts from which `moecap report` and `moecap compare`
# make it: tens of megabytes, in parts for small doors. Interrupted, it still reports the measurements that it has made.
run_and_keep() {
  mkdir -p "$3" "$state/results"
  results=$state/results/$2
  rm -rf "$results"
  status=0
  moecap run "$1" --results-dir "$results" >"$3/$2.txt" 2>"$state/progress.txt" || status=$?
  cat "$3/$2.txt"
  tr '\r' '\n' <"$state/progress.txt" | tail -n 5 >&2
  tar -czf "$3/$2.tar.gz" -C "$results" --exclude=measurements --exclude='moecap.db*' .
  tar -cf - -C "$results" --exclude='moecap.db*' . | xz -3 -T0 | split -b 15m - "$3/$2.facts.txz."
  return $status
}

answers() { python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/health', timeout=2)" 2>/dev/null; }

# wait_until_ready PID
wait_until_ready() {
  deadline=$(($(date +%s) + ${MOECAP_GPU_START_S:-400}))
  until answers; do
    kill -0 "$1" 2>/dev/null || return 1
    [ "$(date +%s)" -lt $deadline ] || return 1
    sleep 1
  done
}

# Ends the server and all that it started.
stop() {
  [ -f "$state/server.pid" ] || return 0
  group=$(cat "$state/server.pid")
  rm "$state/server.pid"
  kill -s TERM "$group" 2>/dev/null || true
  wait_for_end "$group"
  kill -s KILL -- "-$group" 2>/dev/null || return 0 # what the server left behind keeps the GPU's memory
  wait_for_end "-$group"
}

# wait_for_end PID_OR_-GROUP: 15 s at most.
wait_for_end() {
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    kill -s 0 -- "$1" 2>/dev/null || return 0
    sleep 1
  done
}
