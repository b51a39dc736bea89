#include "routing/routed_experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/check.h"
#include "routing/npy.h"

namespace moecap::routing {
namespace {

constexpr std::string_view kNpyInBase64 = "k05VTVBZ";

Status CheckSizes(const RoutedExperts& experts) {
  if (experts.rows >= 1 && experts.layers >= 1 && experts.layers <= kMostLayers && experts.top_k >= 1 &&
      experts.top_k <= kMostTopK)
    return {};
  return BadInput(
      fmt::format("routed experts of {} tokens x {} layers x {} ids cannot be", experts.rows, experts.layers, experts.top_k));
}

// -1 stands for "not recorded"; what lies below it wrapped around in a narrow type.
Status AddId(int64_t id, const RoutedShape& shape, RoutedExperts& experts) {
  const int64_t most = shape.experts > 0 ? shape.experts : kMostExperts;
  if (id < -1) return BadInput(fmt::format("a token was routed to expert {}: ids that wrapped around in a signed type?", id));
  if (id >= most) return BadInput(fmt::format("a token was routed to expert {}, but there are {}: another model?", id, most));
  experts.ids.push_back(id < 0 ? kNoExpert : static_cast<uint16_t>(id));
  return {};
}

Result<RoutedExperts> OfNpy(std::span<const std::byte> bytes, const RoutedShape& shape) {
  ASSIGN_OR_RETURN(const NpyArray array, ParseNpy(bytes));
  if (array.shape.size() != 3) return BadInput("routed experts must have the shape [tokens, layers, experts per token]");
  RoutedExperts experts;
  experts.rows = array.shape[0];
  experts.layers = static_cast<int>(std::min<int64_t>(array.shape[1], kMostLayers + 1));
  experts.top_k = static_cast<int>(std::min<int64_t>(array.shape[2], kMostTopK + 1));
  experts.most_id = array.most;
  RETURN_IF_ERROR(CheckSizes(experts));
  if (shape.experts - 1 > array.most)
    return BadInput(fmt::format("ids of {} experts do not fit into the array's type, which holds no more than {}",
                                shape.experts, array.most));
  experts.ids.reserve(static_cast<size_t>(array.size));
  if (!array.fortran_order) {
    for (int64_t i = 0; i < array.size; ++i) RETURN_IF_ERROR(AddId(array.At(i), shape, experts));
    return experts;
  }
  for (int64_t row = 0; row < experts.rows; ++row) {
    for (int64_t layer = 0; layer < experts.layers; ++layer) {
      for (int64_t k = 0; k < experts.top_k; ++k)
        RETURN_IF_ERROR(AddId(array.At(row + experts.rows * (layer + experts.layers * k)), shape, experts));
    }
  }
  return experts;
}

// Two of layers, top-k and rows give the third.
Result<RoutedExperts> OfRaw(const std::string& bytes, const RoutedShape& shape) {
  const auto count = static_cast<int64_t>(bytes.size() / sizeof(int32_t));
  if (bytes.empty() || bytes.size() % sizeof(int32_t) != 0)
    return BadInput(
        fmt::format("routed experts of {} bytes are no list of 32-bit numbers (an object-store key?)", bytes.size()));
  int64_t layers = shape.layers, top_k = shape.top_k, rows = shape.rows;
  const int known = (layers > 0) + (top_k > 0) + (rows > 0);
  if (known < 2 || (known == 2 && rows == 0 && layers * top_k == 0)) {
    return BadInput(
        "SGLang's routed experts come without a shape: name the model, which has the layers and the experts per token");
  }
  if (rows == 0) rows = count / (layers * top_k);
  if (layers == 0) layers = count / (rows * top_k);
  if (top_k == 0) top_k = count / (rows * layers);
  if (rows * layers * top_k != count) {
    return BadInput(
        fmt::format("{} ids are not {} tokens x {} layers x {} experts per token: another model?", count, rows, layers, top_k));
  }
  RoutedExperts experts;
  experts.rows = rows;
  experts.layers = static_cast<int>(std::min<int64_t>(layers, kMostLayers + 1));
  experts.top_k = static_cast<int>(std::min<int64_t>(top_k, kMostTopK + 1));
  RETURN_IF_ERROR(CheckSizes(experts));
  experts.ids.reserve(static_cast<size_t>(count));
  for (size_t at = 0; at < bytes.size(); at += sizeof(int32_t)) {
    uint32_t value = 0;
    for (size_t i = 0; i < sizeof(value); ++i) value |= uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    RETURN_IF_ERROR(AddId(static_cast<int32_t>(value), shape, experts));
  }
  return experts;
}

// Reads nested lists of whole numbers without making a tree of them.
class ListReader {
 public:
  ListReader(std::string_view text, const RoutedShape& shape) : text_(text), shape_(shape) {}

  Result<RoutedExperts> Read() {
    const Status read = EachItem([this] { return ReadToken(); });
    if (!read.ok()) return read.error();
    if (Peek() != '\0') return Malformed();
    if (experts_.rows > 0) RETURN_IF_ERROR(CheckSizes(experts_));
    return std::move(experts_);
  }

 private:
  static Error Malformed() { return BadInput("routed experts are not [token][layer][expert]"); }

  char Peek() {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size()));
    return text_.empty() ? '\0' : text_.front();
  }
  bool Take(char c) {
    if (Peek() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  template <typename ReadItem>
  Status EachItem(ReadItem&& read_item) {
    if (!Take('[')) return Malformed();
    if (Take(']')) return {};
    for (;;) {
      RETURN_IF_ERROR(read_item());
      if (Take(']')) return {};
      if (!Take(',')) return Malformed();
    }
  }

  Status ReadToken() {
    int layers = 0;
    RETURN_IF_ERROR(EachItem([&] {
      if (layers++ == kMostLayers) return Status(Malformed());
      return ReadLayer();
    }));
    if (experts_.rows++ == 0) experts_.layers = layers;
    if (layers != experts_.layers) return BadInput("tokens have different numbers of layers");
    return {};
  }

  Status ReadLayer() {
    const size_t before = experts_.ids.size();
    RETURN_IF_ERROR(EachItem([this] { return ReadId(); }));
    const auto top_k = static_cast<int>(experts_.ids.size() - before);
    if (experts_.top_k == 0) experts_.top_k = top_k;
    if (top_k != experts_.top_k || top_k == 0) return BadInput("tokens have different numbers of experts");
    return {};
  }

  Status ReadId() {
    Peek();
    int64_t id = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), id);
    const bool whole = end == text_.data() + text_.size() || std::string_view(".eE").find(*end) == std::string_view::npos;
    if (error != std::errc() || !whole) return BadInput("an expert id is not a whole number");
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return AddId(id, shape_, experts_);
  }

  std::string_view text_;
  const RoutedShape& shape_;
  RoutedExperts experts_;
};

Status CheckShape(const RoutedExperts& experts, const RoutedShape& shape) {
  const auto compare = [](int64_t found, int64_t expected, std::string_view what) -> Status {
    if (expected == 0 || found == expected) return {};
    return BadInput(fmt::format("the routed experts have {} {}, expected were {}", found, what, expected));
  };
  RETURN_IF_ERROR(compare(experts.rows, shape.rows, "tokens (prompt and output, less 1)"));
  RETURN_IF_ERROR(compare(experts.layers, shape.layers, "layers: another model?"));
  return compare(experts.top_k, shape.top_k, "experts per token: another model?");
}

}  // namespace

std::span<const uint16_t> RoutedExperts::Ids(int64_t row, int layer) const {
  const auto k = static_cast<size_t>(top_k);
  return std::span(ids).subspan(static_cast<size_t>(row * layers + layer) * k, k);
}

bool RoutedExperts::IsChoice(int64_t row, int layer) const {
  const auto chosen = Ids(row, layer);
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] == kNoExpert || std::ranges::count(chosen.first(i), chosen[i]) > 0) return false;
  }
  return true;
}

bool TellsShape(std::string_view encoded) { return encoded.starts_with('[') || encoded.starts_with(kNpyInBase64); }

Result<RoutedExperts> DecodeRoutedExperts(std::string_view encoded, const RoutedShape& shape) {
  if (encoded.size() > kMostEncodedBytes) {
    return BadInput(fmt::format("the routed experts of one answer take {} bytes, more than {}; ask for shorter answers",
                                encoded.size(), kMostEncodedBytes));
  }
  const size_t first = encoded.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return BadInput("the routed experts are empty");
  encoded.remove_prefix(first);
  Result<RoutedExperts> experts = RoutedExperts();
  if (encoded.front() == '[') {
    experts = ListReader(encoded, shape).Read();
  } else {
    const Result<std::string> bytes = DecodeBase64(encoded);
    if (!bytes.ok())
      return BadInput(
          fmt::format("routed experts that are neither a list nor an array ({}; an object-store key?)", bytes.error().message));
    experts = encoded.starts_with(kNpyInBase64) ? OfNpy(std::as_bytes(std::span(*bytes)), shape) : OfRaw(*bytes, shape);
  }
  if (!experts.ok()) return experts.error();
  RETURN_IF_ERROR(CheckShape(*experts, shape));
  return experts;
}

Result<RoutedExperts> DecodeRoutedNpy(std::span<const std::byte> bytes, const RoutedShape& shape) {
  ASSIGN_OR_RETURN(RoutedExperts experts, OfNpy(bytes, shape));
  RETURN_IF_ERROR(CheckShape(experts, shape));
  return experts;
}

Status Append(RoutedExperts& experts, const RoutedExperts& more) {
  if (more.empty()) return {};
  if (!experts.empty() && (experts.layers != more.layers || experts.top_k != more.top_k))
    return BadInput("prompt and output have different numbers of layers or experts per token");
  experts.layers = more.layers;
  experts.top_k = more.top_k;
  experts.most_id = std::min(experts.most_id, more.most_id);
  experts.rows += more.rows;
  experts.ids.insert(experts.ids.end(), more.ids.begin(), more.ids.end());
  return {};
}

bool AllLayersAlike(std::span<const std::vector<int64_t>> counts) {
  constexpr int64_t kFewUses = 32;
  if (counts.size() < 2) return false;
  const std::vector<int64_t>& first = counts.front();
  const int64_t uses = std::accumulate(first.begin(), first.end(), int64_t{0});
  const bool even = std::ranges::all_of(first, [&](int64_t count) { return count == first.front(); });
  if (even || uses < kFewUses) return false;
  return std::ranges::all_of(counts, [&](const std::vector<int64_t>& layer) { return layer == first; });
}

Status RoutedSurvey::Add(const RoutedExperts& experts) {
  if (top_k_ == 0) {
    top_k_ = experts.top_k;
    counts_.resize(static_cast<size_t>(experts.layers));
    missing_.resize(counts_.size());
  } else if (experts.layers != layers() || experts.top_k != top_k_) {
    return BadInput(fmt::format("an answer has {} layers x {} experts per token, those before it {} x {}: another model?",
                                experts.layers, experts.top_k, layers(), top_k_));
  }
  for (int64_t row = 0; row < experts.rows; ++row) {
    for (int layer = 0; layer < experts.layers; ++layer) {
      const auto at = static_cast<size_t>(layer);
      if (!experts.IsChoice(row, layer)) {
        ++missing_[at];
        continue;
      }
      for (const uint16_t id : experts.Ids(row, layer)) {
        if (counts_[at].size() <= id) counts_[at].resize(size_t{id} + 1);
        ++counts_[at][id];
        highest_ = std::max<int>(highest_, id);
      }
    }
  }
  return {};
}

std::vector<bool> RoutedSurvey::used() const {
  std::vector<bool> used;
  for (const auto& layer : counts_) used.push_back(top_k_ == 1 ? layer.size() > 1 : !layer.empty());
  return used;
}

bool RoutedSurvey::any_used() const { return std::ranges::count(used(), true) > 0; }

int64_t RoutedSurvey::missing_rows() const {
  const std::vector<bool> is_used = used();
  int64_t rows = 0;
  for (size_t layer = 0; layer < missing_.size(); ++layer) rows += is_used[layer] ? missing_[layer] : 0;
  return rows;
}

bool RoutedSurvey::layers_alike() const {
  const std::vector<bool> is_used = used();
  std::vector<std::vector<int64_t>> counts;
  for (size_t layer = 0; layer < counts_.size(); ++layer) {
    if (is_used[layer]) counts.push_back(counts_[layer]);
  }
  return AllLayersAlike(counts);
}

}  // namespace moecap::routing
