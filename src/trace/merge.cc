#include "trace/merge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/hash.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

template <typename T>
std::string_view BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// What one source holds, pass by pass.
struct Digest {
  TraceHeader header;
  std::map<int64_t, uint64_t> passes;  // number -> hash of what was counted
  std::vector<int> layers;             // with any token
  bool ascending = true;
};

Result<Digest> DigestOf(TraceSource& source) {
  Digest digest;
  digest.header = source.header();
  std::vector<bool> used(digest.header.layers());
  TracePass pass;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, source.Next(pass));
    if (!more) break;
    digest.ascending &= digest.passes.empty() || pass.number > digest.passes.rbegin()->first;
    digest.passes[pass.number] = HashOf(BytesOf(pass.ids), HashOf(BytesOf(pass.counts)));
    for (size_t layer = 0; layer < used.size(); ++layer) {
      const size_t size = (pass.ids.empty() ? pass.counts.size() : pass.ids.size()) / used.size();
      for (size_t i = layer * size; i < (layer + 1) * size && !used[layer]; ++i)
        used[layer] = pass.ids.empty() ? pass.counts[i] > 0 : pass.ids[i] != kNoExpert;
    }
  }
  for (size_t layer = 0; layer < used.size(); ++layer) {
    if (used[layer]) digest.layers.push_back(digest.header.layer_numbers[layer]);
  }
  return digest;
}

// Whether both counted the same in every pass that both have.
bool Copies(const Digest& a, const Digest& b) {
  if (a.layers != b.layers || a.header.layer_numbers != b.header.layer_numbers) return false;
  bool common = false;
  for (const auto& [number, hash] : a.passes) {
    const auto other = b.passes.find(number);
    if (other == b.passes.end()) continue;
    if (other->second != hash) return false;
    common = true;
  }
  return common;
}

Status SameRecording(const TraceHeader& first, const TraceHeader& other) {
  if (first.grain != other.grain || first.origin != other.origin)
    return BadInput(fmt::format("one file holds {} of {}, another {} of {}: they are no one recording", Name(first.grain),
                                first.origin, Name(other.grain), other.origin));
  if (first.top_k != other.top_k && first.top_k > 0 && other.top_k > 0)
    return BadInput(fmt::format("the files have top-{} and top-{}: of different models?", first.top_k, other.top_k));
  return {};
}

void AddNotes(const std::vector<std::string>& from, std::vector<std::string>& to) {
  for (const std::string& note : from) {
    if (std::ranges::find(to, note) == to.end()) to.push_back(note);
  }
}

// The shape that holds all of them.
Result<TraceHeader> CommonHeader(const std::vector<TraceHeader>& headers) {
  TraceHeader common = headers.front();
  std::set<int> layers;
  for (const TraceHeader& header : headers) {
    RETURN_IF_ERROR(SameRecording(common, header));
    common.experts = std::max(common.experts, header.experts);
    common.top_k = std::max(common.top_k, header.top_k);
    layers.insert(header.layer_numbers.begin(), header.layer_numbers.end());
    common.passes_known &= header.passes_known;
    if (common.model.empty()) common.model = header.model;
    AddNotes(header.notes, common.notes);
  }
  common.layer_numbers.assign(layers.begin(), layers.end());
  return common;
}

// Puts `from`, of the shape `header`, behind or onto `to`, of the shape `common`.
class Adder {
 public:
  Adder(const TraceHeader& header, const TraceHeader& common) : header_(header), common_(common) {
    for (const int number : header.layer_numbers)
      rows_.push_back(
          static_cast<size_t>(std::ranges::lower_bound(common.layer_numbers, number) - common.layer_numbers.begin()));
  }

  void AddCounts(const TracePass& from, TracePass& to) const {
    const auto experts = static_cast<size_t>(common_.experts), columns = static_cast<size_t>(header_.experts);
    to.counts.resize(common_.layers() * experts);
    for (size_t row = 0; row < rows_.size(); ++row) {
      for (size_t i = 0; i < columns; ++i) {
        int64_t& count = to.counts[rows_[row] * experts + i];
        count = std::min(count + from.counts[row * columns + i], kMostCount);
      }
    }
  }

  // Tokens of another rank's requests follow those that are there; those of another stage are the same tokens.
  void AddIds(const TracePass& from, bool same_tokens, uint32_t first_sequence, TracePass& to) const {
    const auto top_k = static_cast<size_t>(common_.top_k);
    const auto before = static_cast<size_t>(to.tokens), added = static_cast<size_t>(from.tokens);
    const size_t tokens = same_tokens ? before : before + added;
    std::vector<uint16_t> ids(common_.layers() * tokens * top_k, kNoExpert);
    const size_t begin = same_tokens ? 0 : before;
    for (size_t row = 0; row < common_.layers(); ++row)
      std::copy_n(to.ids.begin() + static_cast<std::ptrdiff_t>(row * before * top_k), before * top_k,
                  ids.begin() + static_cast<std::ptrdiff_t>(row * tokens * top_k));
    for (size_t row = 0; row < rows_.size(); ++row)
      std::copy_n(from.ids.begin() + static_cast<std::ptrdiff_t>(row * added * top_k), added * top_k,
                  ids.begin() + static_cast<std::ptrdiff_t>((rows_[row] * tokens + begin) * top_k));
    to.ids = std::move(ids);
    to.tokens = static_cast<int64_t>(tokens);
    if (same_tokens) return;
    const bool sequences = to.sequences.size() == before && from.sequences.size() == added;
    if (!sequences) to.sequences.clear();
    for (const uint32_t sequence : from.sequences) {
      if (sequences) to.sequences.push_back(first_sequence + sequence);
    }
  }

 private:
  const TraceHeader& header_;
  const TraceHeader& common_;
  std::vector<size_t> rows_;
};

// One pass at a time of every source, the lowest number first.
class RankSource final : public TraceSource {
 public:
  // `numbers`: of the layers, as the model has them.
  static Result<std::unique_ptr<TraceSource>> Make(const std::vector<Opener>& openers, TraceHeader header,
                                                   std::vector<int> numbers) {
    auto source = std::unique_ptr<RankSource>(new RankSource(std::move(header)));
    for (const Opener& open : openers) {
      Part& part = source->parts_.emplace_back();
      ASSIGN_OR_RETURN(part.source, open());
      part.adder.emplace(part.source->header(), source->header_);
      part.stage = part.source->header().layer_numbers != source->header_.layer_numbers;
      ASSIGN_OR_RETURN(part.more, part.source->Next(part.pass));
    }
    source->header_.layer_numbers = std::move(numbers);
    return std::unique_ptr<TraceSource>(std::move(source));
  }

  const TraceHeader& header() const override { return header_; }

  Result<bool> Next(TracePass& pass) override {
    int64_t number = INT64_MAX;
    bool any = false;
    for (const Part& part : parts_) {
      if (part.more) number = std::min(number, part.pass.number);
      any |= part.more;
    }
    if (!any) return false;
    pass = TracePass();
    pass.number = number;
    bool first = true;
    for (size_t i = 0; i < parts_.size(); ++i) {
      Part& part = parts_[i];
      if (!part.more || part.pass.number != number) continue;
      Add(part, static_cast<uint32_t>(i) << 24, first, pass);
      first = false;
      ASSIGN_OR_RETURN(part.more, part.source->Next(part.pass));
    }
    if (header_.grain != Grain::kTokenIds) pass.tokens = TokensOf(header_, pass.counts);
    RETURN_IF_ERROR(CheckPass(header_, pass));
    return true;
  }

  std::vector<std::string> Warnings() const override {
    std::vector<std::string> warnings;
    for (const Part& part : parts_) AddNotes(part.source->Warnings(), warnings);
    return warnings;
  }

  PhysicalLoad Physical() const override {
    PhysicalLoad load;
    for (const Part& part : parts_) {
      PhysicalLoad more = part.source->Physical();
      if (load.empty() || more.experts != load.experts) {
        if (load.empty()) load = std::move(more);
        continue;
      }
      for (size_t layer = 0; layer < load.counts.size(); ++layer)
        std::ranges::transform(load.counts[layer], more.counts[layer], load.counts[layer].begin(), std::plus());
    }
    return load;
  }

 private:
  struct Part {
    std::unique_ptr<TraceSource> source;
    std::optional<Adder> adder;
    TracePass pass;
    bool more = false;
    bool stage = false;  // it has some of the layers
  };

  explicit RankSource(TraceHeader header) : header_(std::move(header)) {}

  void Add(const Part& part, uint32_t first_sequence, bool first, TracePass& pass) const {
    if (first) {
      pass.kind = part.pass.kind;
    } else if (pass.kind != part.pass.kind) {
      pass.kind = pass.kind && part.pass.kind ? std::optional(record::PassKind::kMixed) : std::nullopt;
    }
    if (header_.grain != Grain::kTokenIds) return part.adder->AddCounts(part.pass, pass);
    part.adder->AddIds(part.pass, !first && part.stage && part.pass.tokens == pass.tokens, first_sequence, pass);
  }

  TraceHeader header_;
  std::vector<Part> parts_;
};

class ConcatenatedSource final : public TraceSource {
 public:
  ConcatenatedSource(std::vector<Opener> openers, TraceHeader header)
      : openers_(std::move(openers)), header_(std::move(header)) {}

  const TraceHeader& header() const override { return header_; }

  Result<bool> Next(TracePass& pass) override {
    for (;;) {
      if (source_ == nullptr) {
        if (next_ == openers_.size()) return false;
        ASSIGN_OR_RETURN(source_, openers_[next_++]());
      }
      ASSIGN_OR_RETURN(const bool more, source_->Next(from_));
      if (more) break;
      AddNotes(source_->Warnings(), warnings_);
      source_.reset();
    }
    const TraceHeader& header = source_->header();
    const Adder adder(header, header_);
    pass = TracePass();
    pass.number = number_++;
    pass.kind = from_.kind;
    if (header_.grain == Grain::kTokenIds) {
      adder.AddIds(from_, false, static_cast<uint32_t>(next_ - 1) << 20, pass);
    } else {
      adder.AddCounts(from_, pass);
      pass.tokens = from_.tokens;
    }
    RETURN_IF_ERROR(CheckPass(header_, pass));
    return true;
  }

  std::vector<std::string> Warnings() const override { return warnings_; }

 private:
  std::vector<Opener> openers_;
  TraceHeader header_;
  std::unique_ptr<TraceSource> source_;
  size_t next_ = 0;
  int64_t number_ = 0;
  TracePass from_;
  std::vector<std::string> warnings_;
};

std::string RankNames(const std::vector<int>& ranks) {
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "));
}

// Which of the sources count: of copies the one with the most passes.
Result<std::vector<size_t>> KeptOf(const std::vector<Digest>& digests, TraceHeader& header) {
  std::vector<size_t> kept;
  size_t copies = 0;
  for (size_t i = 0; i < digests.size(); ++i) {
    const auto original = std::ranges::find_if(kept, [&](size_t k) { return Copies(digests[k], digests[i]); });
    if (original == kept.end()) {
      kept.push_back(i);
      continue;
    }
    ++copies;
    if (digests[i].passes.size() > digests[*original].passes.size()) *original = i;
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Digest &a = digests[kept[j]], &b = digests[kept[i]];
      if (a.header.share.ranks.empty() || a.header.share.ranks != b.header.share.ranks || a.layers != b.layers) continue;
      for (const auto& [number, hash] : a.passes) {
        if (b.passes.contains(number))
          return BadInput(fmt::format("two files of {} count pass {} differently: they are two recordings; give one of them",
                                      RankNames(a.header.share.ranks), number));
      }
    }
  }
  if (copies > 0)
    header.notes.push_back(fmt::format(
        "{} of {} ranks counted the same as another one of the same layers, as in plain tensor parallelism: they count once",
        copies, digests.size()));
  if (kept.size() > 1) header.notes.push_back(fmt::format("the counts of {} ranks are added up", kept.size()));
  return kept;
}

// Ranks, and whether they are all.
Status DescribeRanks(const std::vector<Digest>& digests, const std::vector<int>& idle, const ImportOptions& options,
                     TraceHeader& header) {
  std::set<int> ranks(idle.begin(), idle.end());
  if (!idle.empty()) header.notes.push_back(fmt::format("{} counted nothing: no token was sent there", RankNames(idle)));
  bool parts = false;
  TraceShare& share = header.share;
  share.world = options.ranks > 1 ? std::optional(options.ranks) : std::nullopt;
  for (const Digest& digest : digests) {
    const TraceShare& other = digest.header.share;
    ranks.insert(other.ranks.begin(), other.ranks.end());
    parts |= other.whole == false;
    if (other.world && !share.world) share.world = other.world;
    if (!share.devices) share.devices = other.devices;
  }
  share.ranks.assign(ranks.begin(), ranks.end());
  std::erase_if(header.notes,
                [](const std::string& note) { return note.find(" alone: everything under") != std::string::npos; });
  if (options.ranks == 1) {  // what is here is all
    share.world.reset();
    share.whole = true;
    return {};
  }
  if (options.ranks > 1 && !ranks.empty() && *ranks.rbegin() >= options.ranks)
    return BadInput(fmt::format("--ranks {}, but there is a file of rank {}", options.ranks, *ranks.rbegin()));
  const bool gap = !ranks.empty() && static_cast<size_t>(*ranks.rbegin()) >= ranks.size();
  if (!share.world && gap) share.world = *ranks.rbegin() + 1;
  const std::vector<int> missing = share.MissingRanks();
  if (share.world && missing.empty()) {
    share.whole = true;
  } else {
    share.whole = missing.empty() && !parts ? std::nullopt : std::optional(false);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<TraceSource>> MergeRanks(std::vector<Opener> openers, const std::vector<int>& idle,
                                                const ImportOptions& options) {
  std::vector<Digest> digests;
  std::vector<TraceHeader> headers;
  for (const Opener& open : openers) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TraceSource> source, open());
    ASSIGN_OR_RETURN(Digest digest, DigestOf(*source));
    if (!digest.ascending) return BadInput("the passes of a rank are not in the order of their numbers");
    headers.push_back(digest.header);
    digests.push_back(std::move(digest));
  }
  ASSIGN_OR_RETURN(TraceHeader header, CommonHeader(headers));
  RETURN_IF_ERROR(DescribeRanks(digests, idle, options, header));
  ASSIGN_OR_RETURN(const std::vector<size_t> kept, KeptOf(digests, header));
  RETURN_IF_ERROR(CheckHeader(header));
  std::vector<Opener> chosen;
  for (const size_t i : kept) chosen.push_back(openers[i]);
  TraceHeader shown = header;
  RETURN_IF_ERROR(RenumberLayers(options, shown));
  return RankSource::Make(chosen, std::move(header), std::move(shown.layer_numbers));
}

Result<std::unique_ptr<TraceSource>> Concatenate(std::vector<Opener> openers) {
  std::vector<TraceHeader> headers;
  for (const Opener& open : openers) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TraceSource> source, open());
    headers.push_back(source->header());
  }
  ASSIGN_OR_RETURN(TraceHeader header, CommonHeader(headers));
  RETURN_IF_ERROR(CheckHeader(header));
  return std::unique_ptr<TraceSource>(new ConcatenatedSource(std::move(openers), std::move(header)));
}

}  // namespace moecap::trace
