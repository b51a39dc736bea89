#include "trace/count_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "trace/importers.h"

namespace moecap::trace {
namespace {

// So many cells (row of a pass) that agree are no chance.
constexpr int64_t kCertainCells = 16;

// What one look at every pass shows.
struct Survey {
  size_t rows = 0, columns = 0;
  std::vector<size_t> kept;    // passes that are not all zero
  std::vector<bool> used;      // rows
  std::vector<int64_t> loads;  // [row][column]: sums over the passes
  int64_t divisor = 0, least = INT64_MAX, nonzero = 0;
  int64_t cells = 0;        // rows of passes with any token
  bool last_is_all = true;  // the last column counts the most tokens of every row, as many in every row of a pass
};

void LookAtRow(const CountTable& table, size_t row, Survey& survey, int64_t& last_of_pass) {
  int64_t sum = 0, most = 0;
  for (size_t column = 0; column < table.columns; ++column) {
    const int64_t count = table.At(row, column);
    if (count == 0) continue;
    sum += count;
    most = std::max(most, count);
    survey.divisor = std::gcd(survey.divisor, count);
    survey.least = std::min(survey.least, count);
    ++survey.nonzero;
    int64_t& load = survey.loads[row * table.columns + column];
    load = std::min(load + count, kMostCount);
  }
  if (sum == 0) return;
  survey.used[row] = true;
  ++survey.cells;
  const int64_t last = table.At(row, table.columns - 1);
  survey.last_is_all &= last == most && (last_of_pass < 0 || last == last_of_pass);
  last_of_pass = last;
}

Result<Survey> LookAt(const CountPasses& passes) {
  Survey survey;
  CountTable table;
  for (size_t i = 0; i < passes.numbers.size(); ++i) {
    RETURN_IF_ERROR(passes.read(i, table));
    RETURN_IF_ERROR(CheckTableSize(static_cast<int64_t>(table.rows()), static_cast<int64_t>(table.columns)));
    if (i == 0) {
      survey.rows = table.rows();
      survey.columns = table.columns;
      survey.used.resize(survey.rows);
      survey.loads.resize(table.counts.size());
    } else if (table.rows() != survey.rows || table.columns != survey.columns) {
      return BadInput("the records have different numbers of layers or experts");
    }
    const auto impossible = std::ranges::find_if(table.counts, [](int64_t count) { return count < 0 || count > kMostCount; });
    if (impossible != table.counts.end())
      return BadInput(fmt::format("pass {} counts {} tokens", passes.numbers[i], *impossible));
    int64_t last = -1;
    for (size_t row = 0; row < survey.rows; ++row) LookAtRow(table, row, survey, last);
    if (std::ranges::any_of(table.counts, [](int64_t count) { return count > 0; })) survey.kept.push_back(i);
  }
  if (survey.kept.empty() && !passes.numbers.empty()) return BadInput(std::string(kNothingRecorded));
  return survey;
}

// How many ranks there are when rank `rank` holds an even part of the columns, by the part that it holds; 0 when it holds any.
int RanksByPart(const Survey& survey, int rank) {
  if (rank < 0) return 0;
  size_t first = survey.columns, last = 0, used = 0;
  for (size_t column = 0; column < survey.columns; ++column) {
    bool any = false;
    for (size_t row = 0; row < survey.rows && !any; ++row) any = survey.loads[row * survey.columns + column] > 0;
    if (!any) continue;
    first = std::min(first, column);
    last = column;
    ++used;
  }
  for (size_t part = 1; part <= survey.columns / 2; ++part) {
    if (survey.columns % part != 0 || used * 2 < part || used < 2) continue;
    const size_t begin = static_cast<size_t>(rank) * part;
    if (first >= begin && last < begin + part) return static_cast<int>(survey.columns / part);
  }
  return 0;
}

class CountSource final : public TraceSource {
 public:
  CountSource(CountPasses passes, Survey survey) : passes_(std::move(passes)), survey_(std::move(survey)) {}

  const TraceHeader& header() const override { return header_; }

  Status Begin(const ImportOptions& options) {
    header_.grain = passes_.grain;
    header_.origin = passes_.origin;
    header_.model = options.model;
    header_.share = passes_.share;
    header_.notes = passes_.notes;
    DescribeBuffer();
    RETURN_IF_ERROR(ChooseRows(options));
    RETURN_IF_ERROR(ChooseColumns(options));
    header_.top_k = options.top_k;
    RETURN_IF_ERROR(ChooseFactor(options));
    DescribeShare(options);
    if (header_.top_k == 0)
      header_.notes.emplace_back("experts per token are not known, so neither are the tokens of a pass; --model would tell");
    return CheckHeader(header_);
  }

  Result<bool> Next(TracePass& pass) override {
    if (next_ == survey_.kept.size()) return false;
    const size_t index = survey_.kept[next_++];
    RETURN_IF_ERROR(passes_.read(index, table_));
    pass.number = passes_.numbers[index];
    pass.kind = passes_.kinds.empty() ? std::nullopt : passes_.kinds[index];
    pass.tokens = 0;
    pass.sequences.clear();
    pass.ids.clear();
    const auto experts = static_cast<size_t>(header_.experts);
    pass.counts.assign(header_.layers() * experts, 0);
    for (size_t row = 0; row < header_.layers(); ++row) {
      for (size_t column = 0; column < columns_; ++column) {
        int64_t& count = pass.counts[row * experts + ExpertAt(rows_[row], column)];
        count = std::min(count + table_.At(static_cast<size_t>(rows_[row]), column) / factor_, kMostCount);
      }
    }
    pass.tokens = TokensOf(header_, pass.counts);
    RETURN_IF_ERROR(CheckPass(header_, pass));
    return true;
  }

  PhysicalLoad Physical() const override {
    PhysicalLoad load;
    if (passes_.map.empty()) return load;
    for (const int row : rows_) {
      const auto begin = survey_.loads.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row) * survey_.columns);
      load.counts.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(survey_.columns));
      load.experts.push_back(passes_.map[static_cast<size_t>(row)]);
    }
    return load;
  }

 private:
  size_t ExpertAt(int row, size_t column) const {
    return passes_.map.empty() ? column : static_cast<size_t>(passes_.map[static_cast<size_t>(row)][column]);
  }

  void DescribeBuffer() {
    const size_t all = passes_.numbers.size(), kept = survey_.kept.size();
    if (passes_.ring && all == kept) {
      header_.notes.emplace_back(
          "no unused row is left in the recorder's buffer: unless it has no limit, it was full, earlier passes are lost and "
          "the "
          "order is not known; start the server with --expert-distribution-recorder-buffer-size -1");
    }
    if (kept < all) {
      header_.notes.push_back(
          passes_.ring ? fmt::format("{} of {} rows are all zero (unused rows of the recorder's buffer) and were left out",
                                     all - kept, all)
                       : fmt::format("{} of {} passes were idle on what was recorded and were left out", all - kept, all));
    }
  }

  Status ChooseRows(const ImportOptions& options) {
    if (!passes_.layer_numbers.empty()) return ChooseNumberedRows(options);
    ASSIGN_OR_RETURN(const LayerChoice choice, ChooseLayers(survey_.rows, survey_.used, options));
    rows_ = choice.rows;
    header_.layer_numbers = choice.numbers;
    if (!choice.note.empty()) header_.notes.push_back(choice.note);
    return {};
  }

  // The numbers are the model's own, or they count its MoE layers.
  Status ChooseNumberedRows(const ImportOptions& options) {
    rows_.resize(survey_.rows);
    std::iota(rows_.begin(), rows_.end(), 0);
    header_.layer_numbers = passes_.layer_numbers;
    return RenumberLayers(options, header_);
  }

  Status ChooseColumns(const ImportOptions& options) {
    columns_ = survey_.columns;
    int64_t experts = static_cast<int64_t>(columns_);
    if (!passes_.map.empty()) {
      experts = 0;
      for (const auto& layer : passes_.map) experts = std::max<int64_t>(experts, *std::ranges::max_element(layer) + 1);
      header_.share.physical_experts = static_cast<int>(columns_);
    } else if (const int more = options.zero_experts + options.shared_experts;
               options.experts > 0 && experts > options.experts && experts <= options.experts + std::max(more, 1)) {
      DropColumns(options.experts, options.zero_experts > 0 ? "zero experts, which compute nothing"
                                                            : "shared experts that the engine fused into the routed ones");
      experts = options.experts;
    } else if (options.experts == 0 && survey_.cells >= kCertainCells && survey_.last_is_all && experts > 2 &&
               (experts - 1) % 2 == 0) {
      DropColumns(experts - 1, "a shared expert that the engine fused into the routed ones: every token uses it");
      --experts;
    }
    ASSIGN_OR_RETURN(header_.experts, ChooseExperts(experts, passes_.experts_known, options, header_.notes));
    return {};
  }

  void DropColumns(int64_t from, const char* why) {
    header_.notes.push_back(fmt::format("the columns from {} on count {}; they were left out", from, why));
    columns_ = static_cast<size_t>(from);
  }

  // Ranks of tensor parallelism count the same tokens, and sums over ranks hold each of them as often.
  Status ChooseFactor(const ImportOptions& options) {
    if (!passes_.summed_ranks) return {};
    const int64_t told = options.tensor_ranks;
    if (told > 1 && survey_.divisor % told != 0) {
      return BadInput(fmt::format("{} tensor-parallel ranks would count every token {} times, but the counts are no multiples",
                                  told, told));
    }
    if (told > 1) factor_ = told;
    if (told > 1) header_.notes.push_back(fmt::format("sums over {0} tensor-parallel ranks; divided by {0}", told));
    constexpr int64_t kManyCounts = 100;
    if (told == 0 && survey_.divisor > 1 && survey_.least == survey_.divisor && survey_.nonzero >= kManyCounts) {
      header_.notes.push_back(fmt::format(
          "every count is a multiple of {0}: either {0} tensor-parallel ranks counted each token, or equal prompts ran side by "
          "side. Nothing is divided; --tp N says how many ranks there were, and 1 that the counts are right",
          survey_.divisor));
    }
    return {};
  }

  void DescribeShare(const ImportOptions& options) {
    if (passes_.summed_ranks) header_.share.whole = true;
    const int world = RanksByPart(survey_, passes_.rank);
    if (world > 1 && (options.ranks == 0 || options.ranks == world)) {
      header_.share.world = world;
      header_.share.whole = false;
      header_.share.ranks = {passes_.rank};
      return;
    }
    DescribeRank(passes_.rank, options, header_);
  }

  CountPasses passes_;
  Survey survey_;
  TraceHeader header_;
  std::vector<int> rows_;
  size_t columns_ = 0;
  int64_t factor_ = 1;
  size_t next_ = 0;
  CountTable table_;
};

}  // namespace

Status CheckTableSize(int64_t rows, int64_t columns) {
  if (rows >= 1 && rows <= kMostLayers && columns >= 1 && columns <= kMostPlaces) return {};
  return BadInput(fmt::format("{} layers of {} experts cannot be", rows, columns));
}

void DescribeRank(int rank, const ImportOptions& options, TraceHeader& header) {
  TraceShare& share = header.share;
  if (rank < 0) return;
  share.ranks = {rank};
  if (options.ranks == 1) {  // what is here is all
    share.whole = true;
    return;
  }
  if (options.ranks > 1) {
    share.world = options.ranks;
    return;
  }
  header.notes.push_back(fmt::format(
      "records of rank {} alone: everything under plain tensor parallelism, a part under data-parallel attention or "
      "expert parallelism. Give the files of the other ranks, too, or say how many ranks there were with --ranks",
      rank));
}

Result<std::unique_ptr<TraceSource>> MakeCountSource(CountPasses passes, const ImportOptions& options) {
  if (passes.numbers.empty()) return BadInput("the recording holds no passes");
  ASSIGN_OR_RETURN(Survey survey, LookAt(passes));
  auto source = std::make_unique<CountSource>(std::move(passes), std::move(survey));
  RETURN_IF_ERROR(source->Begin(options));
  return std::unique_ptr<TraceSource>(std::move(source));
}

}  // namespace moecap::trace
