#include "trace/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <numeric>
#include <utility>

#include "base/csv.h"
#include "base/mapped_file.h"
#include "trace/importers.h"
#include "trace/moetrace.h"
#include "trace/recording.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

constexpr std::array kKinds = {std::pair{ImportKind::kMoetrace, "moetrace"}, std::pair{ImportKind::kPasses, "passes"},
                               std::pair{ImportKind::kUpstream, "upstream"}, std::pair{ImportKind::kSglang, "sglang"},
                               std::pair{ImportKind::kVllm, "vllm"},         std::pair{ImportKind::kTensorRt, "tensorrt"},
                               std::pair{ImportKind::kImatrix, "imatrix"},   std::pair{ImportKind::kCounts, "counts"},
                               std::pair{ImportKind::kTraceCsv, "trace-csv"}};

constexpr size_t kHeadBytes = size_t{1} << 16;  // of a file, by which its kind is told

std::optional<ImportKind> KindOfCsv(std::string_view head) {
  CsvReader csv(head);
  std::vector<std::string> row;
  do {
    const auto more = csv.Next(row);
    if (!more.ok() || !*more) return std::nullopt;
  } while (row[0].starts_with('#'));
  if (CsvCountsOf(row) != CsvCounts::kNone) return ImportKind::kCounts;
  return IsTraceCsv(row) ? std::optional(ImportKind::kTraceCsv) : std::nullopt;
}

std::optional<ImportKind> KindOfText(std::string_view head) {
  head = WithoutBom(head);
  const size_t first = head.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::nullopt;
  head.remove_prefix(first);
  if (head.starts_with("k05VTVBZ")) return ImportKind::kVllm;  // base64 of \x93NUMPY
  if (head.front() != '{' && head.front() != '[' && !head.starts_with("data:")) return KindOfCsv(head);
  const auto has = [&head](std::string_view key) { return head.find(key) != std::string_view::npos; };
  if (has("\"forward_mode\"")) return ImportKind::kUpstream;
  if (has("\"latency_s\"")) return ImportKind::kPasses;
  if (has("\"logical_count\"") || has("_load\"") || has("expert_load") || has("physical_to_logical_map\""))
    return ImportKind::kCounts;
  if (has("\"meta_info\"") || has("\"sglext\"") || has("\"sgl_ext\"")) return ImportKind::kSglang;
  return has("routed_experts\"") || has("\"choices\"") ? std::optional(ImportKind::kVllm) : std::nullopt;
}

// Whether the first entry of a ZIP archive is an array.
bool IsNpz(std::string_view head) {
  constexpr size_t kNameBytesAt = 26, kNameAt = 30;
  if (!head.starts_with("PK\x03\x04") || head.size() < kNameAt) return false;
  const auto length = static_cast<size_t>(static_cast<unsigned char>(head[kNameBytesAt])) |
                      static_cast<size_t>(static_cast<unsigned char>(head[kNameBytesAt + 1])) << 8;
  return head.substr(kNameAt, length).ends_with(".npy");
}

// Two dimensions: tokens per expert. Only the header is there, so nothing else is looked at.
bool IsFlatNpy(std::string_view head) {
  const size_t shape = head.find("'shape'"), open = head.find('(', shape), close = head.find(')', open);
  if (shape == std::string_view::npos || close == std::string_view::npos) return false;
  const std::string_view sizes = head.substr(open, close - open);
  const auto commas = std::ranges::count(sizes, ',');
  return commas == 1 && sizes.find_last_not_of(" ,(") != sizes.find_first_of(',') - 1;
}

}  // namespace

std::string ImportKindNames() {
  std::string list;
  for (const auto& [kind, name] : kKinds) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
  return list;
}

std::string_view Name(ImportKind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "";
}

std::optional<ImportKind> ImportKindByName(std::string_view name) {
  for (const auto& [kind, known] : kKinds) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

ImportOptions OptionsFor(const model::ModelSpec& spec) {
  ImportOptions options;
  options.model = spec.id;
  options.experts = spec.Experts();
  options.top_k = spec.TopK();
  options.layers = static_cast<int>(spec.layers.size());
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const model::FfnSpec& ffn = spec.layers[i].ffn;
    if (!ffn.moe()) continue;
    options.moe_layers.push_back(static_cast<int>(i));
    options.zero_experts = ffn.zero_experts;
    options.shared_experts = ffn.shared_experts;
  }
  return options;
}

Result<ImportKind> DetectKind(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) {
    ASSIGN_OR_RETURN(const std::vector<fs::path> files, RecordingFiles(path));
    return DetectKind(files.front());
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return BadInput(fmt::format("cannot open {}", path.string()));
  std::string head(kHeadBytes, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  if (head.starts_with(kMoetraceMagic)) return ImportKind::kMoetrace;
  if (IsNpz(head)) return ImportKind::kVllm;
  if (head.starts_with("PK\x03\x04")) return ImportKind::kSglang;
  if (head.starts_with("\x93NUMPY")) return IsFlatNpy(head) ? ImportKind::kCounts : ImportKind::kVllm;
  if (head.starts_with("GGUF")) return ImportKind::kImatrix;
  if (path.extension() == ".safetensors") return ImportKind::kTensorRt;
  if (const auto kind = KindOfText(head)) return *kind;
  return BadInput(
      fmt::format("{}: not a trace of a known format; name it with --import: {}", path.string(), ImportKindNames()));
}

int RankInName(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t at = name.find("rank");
  int rank = -1;
  if (at == std::string::npos) return -1;
  std::from_chars(name.data() + at + 4, name.data() + name.size(), rank);
  return rank >= 0 && rank < kMostRanks ? rank : -1;
}

Result<LayerChoice> ChooseLayers(size_t recorded, const std::vector<bool>& used, const ImportOptions& options) {
  LayerChoice choice;
  const bool all = options.layers > 0 && recorded == static_cast<size_t>(options.layers);
  if (!options.moe_layers.empty() && !all && recorded != options.moe_layers.size()) {
    return BadInput(fmt::format("{} layers are recorded, but {} has {} layers, {} of them MoE: another model?", recorded,
                                options.model, options.layers, options.moe_layers.size()));
  }
  if (!options.moe_layers.empty()) {
    choice.numbers = options.moe_layers;
    choice.rows = options.moe_layers;
    if (!all) std::iota(choice.rows.begin(), choice.rows.end(), 0);
    return choice;
  }
  for (size_t row = 0; row < recorded; ++row) {
    if (used[row]) choice.rows.push_back(static_cast<int>(row));
  }
  choice.numbers = choice.rows;
  if (choice.rows.empty()) return BadInput("no layer shows a use of any expert: the recording did not work");
  if (choice.rows.size() < recorded) {
    choice.note = fmt::format("{} of {} layers show no expert and are taken for dense ones; --model would tell",
                              recorded - choice.rows.size(), recorded);
  }
  return choice;
}

Status RenumberLayers(const ImportOptions& options, TraceHeader& header) {
  std::vector<int>& numbers = header.layer_numbers;
  if (options.moe_layers.empty() || std::ranges::includes(options.moe_layers, numbers)) return {};
  if (numbers.size() == options.moe_layers.size()) {
    numbers = options.moe_layers;
    return {};
  }
  return BadInput(fmt::format("{} layers are recorded, {} has {} MoE layers: another model?", numbers.size(), options.model,
                              options.moe_layers.size()));
}

int64_t TokensOf(const TraceHeader& header, const std::vector<int64_t>& counts) {
  if (header.top_k == 0 || header.share.whole == false || header.grain == Grain::kTotals) return 0;
  const auto experts = static_cast<std::ptrdiff_t>(header.experts);
  int64_t most = 0;
  for (auto row = counts.begin(); row != counts.end(); row += experts)
    most = std::max(most, std::accumulate(row, row + experts, int64_t{0}));
  const int64_t tokens = most % header.top_k == 0 ? most / header.top_k : 0;
  return tokens > kMostIdsPerPass / static_cast<int64_t>(header.layers()) ? 0 : tokens;
}

Result<int> ChooseExperts(int64_t in_file, bool file_is_exact, const ImportOptions& options, std::vector<std::string>& notes) {
  if (options.experts > 0 && (in_file > options.experts || (file_is_exact && in_file != options.experts))) {
    return BadInput(
        fmt::format("the file has {} experts a layer, {} has {}: another model?", in_file, options.model, options.experts));
  }
  const int64_t experts = options.experts > 0 ? options.experts : in_file;
  if (experts < 1 || experts > kMostExperts)
    return BadInput(fmt::format("{} experts a layer; 1 to {} are possible", experts, kMostExperts));
  if (options.experts == 0 && !file_is_exact) {
    notes.push_back(fmt::format("{} experts: the highest id seen, as the file does not say; --model would tell", experts));
  }
  return static_cast<int>(experts);
}

Result<std::unique_ptr<TraceSource>> OpenTrace(const fs::path& path, ImportKind kind, const ImportOptions& options) {
  const auto named = [&path](Result<std::unique_ptr<TraceSource>> source) -> Result<std::unique_ptr<TraceSource>> {
    if (!source.ok()) return Annotate(path.string(), source.error());
    return source;
  };
  std::error_code code;
  if (fs::is_directory(path, code)) return OpenRecording({path}, kind, options);
  if (kind == ImportKind::kMoetrace) {
    ASSIGN_OR_RETURN(std::unique_ptr<MoetraceReader> reader, MoetraceReader::Open(path));
    return std::unique_ptr<TraceSource>(std::move(reader));
  }
  if (kind == ImportKind::kPasses) return named(ImportPasses(path, options));
  if (kind == ImportKind::kTensorRt) return named(ImportTensorRt(path, options));
  if (kind == ImportKind::kUpstream) {
    return BadInput(fmt::format("{}: records of MoE-CAP's recorder hold the mean number of experts per pass, not which ones",
                                path.string()));
  }
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(path));
  auto file = std::make_shared<MappedFile>(std::move(mapped));
  const auto bytes = file->bytes();
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kHeadBytes));
  switch (kind) {
    case ImportKind::kCounts:
      if (KindOfCsv(head)) return named(ImportCountsCsv(bytes, RankInName(path), options));
      return named(ImportCounts(bytes, options));
    case ImportKind::kTraceCsv:
      return named(ImportTraceCsv(bytes, options));
    case ImportKind::kVllm:
      if (IsNpz(head)) return named(ImportNpz(bytes, options));
      return named(ImportAnswers(bytes, options));
    case ImportKind::kSglang:
      // SGLang's recorder writes ZIP files; what else comes from it are answers.
      if (KindOfText(head)) return named(ImportAnswers(bytes, options));
      return named(ImportSglang(bytes, file, options));
    default:
      return named(ImportImatrix(bytes, options));
  }
}

}  // namespace moecap::trace
