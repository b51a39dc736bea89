// The importers behind import.h, one a file, and what they share. Private to this folder.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "routing/npy.h"
#include "routing/routed_experts.h"
#include "trace/import.h"
#include "trace/trace.h"

namespace moecap::trace {

// Why a recording of nothing but zeros is refused: alone it says nothing, but among several it is a rank that waited.
inline constexpr std::string_view kNothingRecorded =
    "every count is zero: nothing was recorded (was the recorder started, and did this rank serve?)";
// "expert_distribution_rank3_timestamp1.csv" -> 3; -1: the name does not tell.
int RankInName(const std::filesystem::path& path);

Result<std::unique_ptr<TraceSource>> ImportPasses(const std::filesystem::path& path, const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportTensorRt(const std::filesystem::path& path, const ImportOptions& options);
// From the bytes of a file, which are copied or kept alive by `owner`.
Result<std::unique_ptr<TraceSource>> ImportSglang(std::span<const std::byte> bytes, std::shared_ptr<void> owner,
                                                  const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportAnswers(std::span<const std::byte> bytes, const ImportOptions& options);
// One entry a request; at least one.
Result<std::unique_ptr<TraceSource>> ImportRoutes(std::vector<routing::RoutedExperts> requests, const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportImatrix(std::span<const std::byte> bytes, const ImportOptions& options);

Result<std::unique_ptr<TraceSource>> ImportNpz(std::span<const std::byte> bytes, const ImportOptions& options);
// JSON or .npy; CSV, of rank `rank` (-1 = not told).
Result<std::unique_ptr<TraceSource>> ImportCounts(std::span<const std::byte> bytes, const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportCountsArray(const routing::NpyArray& array, const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportCountsCsv(std::span<const std::byte> bytes, int rank, const ImportOptions& options);
Result<std::unique_ptr<TraceSource>> ImportTraceCsv(std::span<const std::byte> bytes, const ImportOptions& options);

// What a CSV's header says of it: layer, expert and count a row; a layer a row; loads of ranks; none of these.
enum class CsvCounts { kNone, kLong, kWide, kRanks };
CsvCounts CsvCountsOf(const std::vector<std::string>& header);
// Whether `row`, the first of a CSV, begins a file of choices, a row each.
bool IsTraceCsv(const std::vector<std::string>& row);

// A source whose passes are made one by one by a function of their index.
class IndexedSource final : public TraceSource {
 public:
  using Make = std::function<Status(size_t index, TracePass& pass)>;
  IndexedSource(TraceHeader header, size_t passes, Make make)
      : header_(std::move(header)), passes_(passes), make_(std::move(make)) {}

  const TraceHeader& header() const override { return header_; }
  Result<bool> Next(TracePass& pass) override {
    if (next_ == passes_) return false;
    pass.sequences.clear();
    pass.ids.clear();
    pass.counts.clear();
    RETURN_IF_ERROR(make_(next_++, pass));
    RETURN_IF_ERROR(CheckPass(header_, pass));
    return true;
  }

 private:
  TraceHeader header_;
  size_t passes_;
  Make make_;
  size_t next_ = 0;
};

// Which layers of a recording of `recorded` layers are MoE layers. The model says so when it is known: either all of its layers
// were recorded or only its MoE layers. Otherwise the layers that were `used` at all, with a note.
struct LayerChoice {
  std::vector<int> rows;     // indices into the recording
  std::vector<int> numbers;  // in the model
  std::string note;          // empty when the model decided
};
Result<LayerChoice> ChooseLayers(size_t recorded, const std::vector<bool>& used, const ImportOptions& options);

// Layer numbers that are the model's own stay; those that count its MoE layers become the model's. Error kBadInput: neither.
Status RenumberLayers(const ImportOptions& options, TraceHeader& header);

// New tokens of a pass with these counts ([layer][expert]): the most assignments of a layer over top-k. 0: not known, as where
// the recording is a part, or no multiple.
int64_t TokensOf(const TraceHeader& header, const std::vector<int64_t>& counts);

// The number of experts: the model's, or what the file says. Error when the file needs more than the model has.
Result<int> ChooseExperts(int64_t in_file, bool file_is_exact, const ImportOptions& options, std::vector<std::string>& notes);

}  // namespace moecap::trace
