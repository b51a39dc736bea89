# What tools/gpu/vllm and tools/gpu/engine share; they set `tools` before. POSIX shell, to be sourced.
state=${MOECAP_GPU_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/moecap/gpu}

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
# for its compute backends beside its own library.
pack_moecap() {
  folder=$state/pack/moecap
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$1" "$folder/moecap"
  strip "$folder/moecap"
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | grep -v -E '/lib(c|m|gcc_s|stdc\+\+)\.so' | while read -r library; do
    cp -L "$library" "$folder/"
    case $library in */libggml-base.so) cp "${library%/*}"/libggml-cpu-*.so "$folder/" ;; esac
  done
  compress "$2" "$state/pack" moecap
}

moecap() {
  LD_LIBRARY_PATH="$state/moecap${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" timeout --foreground --signal=INT "${MOECAP_GPU_LIMIT_S:-3600}" \
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
