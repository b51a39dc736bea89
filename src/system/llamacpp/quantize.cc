#include "system/llamacpp/quantize.h"

#include <fmt/format.h>
#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "base/fs.h"
#include "base/hash.h"
#include "base/nearest_word.h"
#include "base/paths.h"
#include "base/units.h"

namespace moecap::llamacpp {
namespace fs = std::filesystem;
namespace {

constexpr std::array kFileTypes{
    std::pair{"F32", LLAMA_FTYPE_ALL_F32},          std::pair{"F16", LLAMA_FTYPE_MOSTLY_F16},
    std::pair{"BF16", LLAMA_FTYPE_MOSTLY_BF16},     std::pair{"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    std::pair{"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},     std::pair{"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    std::pair{"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},     std::pair{"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M},
    std::pair{"Q5_K_S", LLAMA_FTYPE_MOSTLY_Q5_K_S}, std::pair{"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
    std::pair{"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},     std::pair{"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    std::pair{"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S}, std::pair{"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    std::pair{"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS}, std::pair{"Q3_K_L", LLAMA_FTYPE_MOSTLY_Q3_K_L},
    std::pair{"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M}, std::pair{"Q3_K_S", LLAMA_FTYPE_MOSTLY_Q3_K_S},
    std::pair{"IQ3_M", LLAMA_FTYPE_MOSTLY_IQ3_M},   std::pair{"IQ3_S", LLAMA_FTYPE_MOSTLY_IQ3_S},
    std::pair{"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},     std::pair{"MXFP4", LLAMA_FTYPE_MOSTLY_MXFP4_MOE},
    std::pair{"Q2_0", LLAMA_FTYPE_MOSTLY_Q2_0},     std::pair{"TQ2_0", LLAMA_FTYPE_MOSTLY_TQ2_0},
    std::pair{"TQ1_0", LLAMA_FTYPE_MOSTLY_TQ1_0},
};

// Useless without a matrix that says which weights matter, which the engine refuses to do without.
constexpr std::array kNeedImportance{"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S"};

Result<llama_ftype> FileType(const std::string& weights) {
  for (const auto& [name, type] : kFileTypes) {
    if (weights == name) return type;
  }
  if (std::ranges::find(kNeedImportance, weights) != kNeedImportance.end()) {
    return BadInput(
        fmt::format("{} needs an importance matrix of the model's activations, which is not made here; quantise with "
                    "llama-quantize --imatrix, and give that file as the model",
                    weights));
  }
  const std::string nearest = NearestWord(weights, QuantizableTypes());
  return BadInput(fmt::format("unknown weight type \"{}\"{}", weights,
                              nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest)));
}

// Over the size and up to the first and last MiB: enough to notice that a file was replaced, cheap for 100 GB.
Result<uint64_t> Fingerprint(const fs::path& path) {
  constexpr size_t kWindow = 1 << 20;
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) return BadInput(fmt::format("cannot read {}", path.string()));
  const auto size = static_cast<uint64_t>(stream.tellg());
  uint64_t hash = size;
  std::string window(std::min<uint64_t>(size, kWindow), '\0');
  for (const uint64_t begin : {uint64_t{0}, size - window.size()}) {
    stream.seekg(static_cast<std::streamoff>(begin));
    stream.read(window.data(), static_cast<std::streamsize>(window.size()));
    hash = HashOf(window, hash);
  }
  return hash;
}

// The engine says no more than that writing failed.
std::string WhyQuantisingFailed(const EngineLibrary& library, const fs::path& cache_dir) {
  const std::string complaint = library.LastComplaint();
  if (complaint.find("iostream error") == std::string::npos) return complaint;
  std::error_code error;
  const fs::space_info space = fs::space(cache_dir, error);
  return fmt::format("the file could not be written{}; make room in {}, or let XDG_CACHE_HOME name another folder",
                     error ? "" : fmt::format(" ({} are free)", FormatBytes(static_cast<double>(space.available))),
                     cache_dir.string());
}

}  // namespace

std::vector<std::string> QuantizableTypes() {
  std::vector<std::string> names;
  for (const auto& entry : kFileTypes) names.emplace_back(entry.first);
  return names;
}

Result<fs::path> EnsureQuantized(const EngineLibrary& library, const fs::path& source, const std::string& weights,
                                 const fs::path& cache_dir) {
  ASSIGN_OR_RETURN(const llama_ftype type, FileType(weights));
  ASSIGN_OR_RETURN(const uint64_t fingerprint, Fingerprint(source));
  RETURN_IF_ERROR(MakeWritableDir(cache_dir));
  const fs::path target = cache_dir / fmt::format("{}-{:016x}-{}-v0.5.0.gguf", source.stem().string(), fingerprint, weights);
  if (Exists(target)) return target;

  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type;
  const fs::path temporary = fmt::format("{}.tmp{}", target.string(), ::getpid());
  const uint32_t failed = llama_model_quantize(source.c_str(), temporary.c_str(), &params);
  std::error_code error;
  if (failed == 0) fs::rename(temporary, target, error);
  if (failed != 0 || error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    return Failed(fmt::format("cannot quantise {} to {}: {}", source.string(), weights,
                              failed == 0 ? error.message() : WhyQuantisingFailed(library, cache_dir)));
  }
  return target;
}

}  // namespace moecap::llamacpp
