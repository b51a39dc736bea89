// Runs a fuzz target without libFuzzer: every file of the corpus, then a fixed number of seeded mutations of them, so that a
// test run is the same every time. On a crash the input is left in crash.bin.
//   fuzz_TARGET [--runs N] [--seed S] FILE_OR_FOLDER...
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {
namespace fs = std::filesystem;
using moecap::Rng;

constexpr size_t kMostBytes = size_t{1} << 16;
constexpr const char* kTokens = R"([ ] { } " , : null true -1 1e99 1e-9 0.5 \ \u0000 9223372036854775808 -9223372036854775808)";

std::string current;

// Only calls that are allowed in a signal handler.
void OnCrash(int signal) {
  if (const int file = ::open("crash.bin", O_WRONLY | O_CREAT | O_TRUNC, 0644); file >= 0) {
    [[maybe_unused]] const ssize_t written = ::write(file, current.data(), current.size());
    ::close(file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void Run(std::string input) {
  current = std::move(input);
  // A copy of its exact size, so that a sanitizer sees every byte read past the end.
  const std::vector<uint8_t> exact(current.begin(), current.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

size_t Place(Rng& rng, size_t size) { return static_cast<size_t>(rng.Below(size + 1)); }

std::string Token(Rng& rng) {
  static const std::vector<std::string> kAll = [] {
    std::istringstream words(kTokens);
    return std::vector<std::string>(std::istream_iterator<std::string>(words), {});
  }();
  return kAll[rng.Below(kAll.size())];
}

void Overwrite(std::string& bytes, size_t at, uint64_t value, size_t width) {
  if (at + width <= bytes.size()) std::memcpy(bytes.data() + at, &value, width);
}

// One change: a bit, an integer, a token, a run removed, doubled, or taken from another input, the end cut.
// `in_place` keeps the length and with it the offsets of binary formats.
void Mutate(Rng& rng, const std::vector<std::string>& corpus, bool in_place, std::string& bytes) {
  const size_t at = Place(rng, bytes.size());
  const auto length = static_cast<size_t>(1 + rng.Below(rng.Below(4) == 0 ? 256 : 8));
  const uint64_t integer = (uint64_t{1} << rng.Below(64)) - 1 + rng.Below(3);  // a power of two and its neighbours
  const size_t width = size_t{1} << rng.Below(4);
  switch (rng.Below(in_place ? 3 : 9)) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << rng.Below(8));
      break;
    case 1:
      if (at < bytes.size()) bytes[at] = static_cast<char>(rng.Next());
      break;
    case 2:
      Overwrite(bytes, at, integer, width);
      break;
    case 3:
      bytes.insert(at, reinterpret_cast<const char*>(&integer), width);
      break;
    case 4:
      bytes.insert(at, Token(rng));
      break;
    case 5:
      bytes.erase(at, length);
      break;
    case 6:
      bytes.insert(at, bytes.substr(Place(rng, bytes.size()), length));
      break;
    case 7: {
      const std::string& other = corpus[rng.Below(corpus.size())];
      bytes.replace(at, length, other.substr(Place(rng, other.size()), length));
      break;
    }
    default:
      if (rng.Below(4) == 0) bytes.resize(at);
  }
  if (bytes.size() > kMostBytes) bytes.resize(kMostBytes);
}

// Every file below `path`, in the order of their names.
void AddFiles(const fs::path& path, std::vector<fs::path>& files) {
  if (!fs::is_directory(path)) return files.push_back(path);
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
}

std::string Read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 0, seed = 1;
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (i + 1 < argc && argument == "--runs") {
      runs = std::strtoull(argv[++i], nullptr, 10);
    } else if (i + 1 < argc && argument == "--seed") {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else {
      AddFiles(argument, files);
    }
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, OnCrash);
  std::vector<std::string> corpus;
  for (const fs::path& file : files) {
    corpus.push_back(Read(file));
    Run(corpus.back());
  }
  if (corpus.empty()) return std::fprintf(stderr, "no inputs; give files or folders\n"), 2;
  Rng rng(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    std::string bytes = corpus[rng.Below(corpus.size())];
    const bool in_place = rng.Below(2) == 0;
    for (uint64_t changes = 1 + rng.Below(5); changes > 0; --changes) Mutate(rng, corpus, in_place, bytes);
    Run(std::move(bytes));
  }
  std::printf("%zu inputs, %llu executions\n", corpus.size(), static_cast<unsigned long long>(corpus.size() + runs));
  return 0;
}
