#include "trace/codec.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/check.h"

namespace moecap::trace {
namespace {

enum LayerMode : uint8_t { kAbsent = 0, kAllTokens = 1, kSomeTokens = 2, kHoles = 3 };
enum PassFlag : uint8_t { kHasSequences = 1 };
enum HeaderFlag : uint8_t { kPassesUnknown = 1, kHasShare = 2 };

constexpr uint64_t kMostText = uint64_t{1} << 20;
constexpr uint64_t kMostNotes = 1024;

Error Damaged(const char* what) { return BadInput(std::string("damaged: ") + what); }

uint8_t KindCode(const std::optional<record::PassKind>& kind) {
  if (!kind) return 0;
  switch (*kind) {
    case record::PassKind::kPrefill:
      return 1;
    case record::PassKind::kDecode:
      return 2;
    case record::PassKind::kMixed:
      return 3;
  }
  return 0;
}

bool KindFromCode(uint8_t code, std::optional<record::PassKind>& kind) {
  constexpr record::PassKind kKinds[] = {record::PassKind::kPrefill, record::PassKind::kDecode, record::PassKind::kMixed};
  if (code > std::size(kKinds)) return false;
  kind = code == 0 ? std::nullopt : std::optional(kKinds[code - 1]);
  return true;
}

bool Narrow(const TraceHeader& header) { return header.experts <= 256; }

void AppendId(uint16_t id, bool narrow, std::string& out) {
  out.push_back(static_cast<char>(id & 0xff));
  if (!narrow) out.push_back(static_cast<char>(id >> 8));
}

// Runs of equal sequence ids.
void EncodeSequences(const std::vector<uint32_t>& sequences, std::string& out) {
  std::string runs;
  uint64_t count = 0;
  uint32_t before = 0;
  for (size_t begin = 0; begin < sequences.size();) {
    size_t end = begin + 1;
    while (end < sequences.size() && sequences[end] == sequences[begin]) ++end;
    AppendVarint(ZigZag(static_cast<int64_t>(sequences[begin]) - static_cast<int64_t>(before)), runs);
    AppendVarint(end - begin, runs);
    before = sequences[begin];
    ++count;
    begin = end;
  }
  AppendVarint(count, out);
  out += runs;
}

Status DecodeSequences(ByteReader& in, size_t tokens, std::vector<uint32_t>& sequences) {
  uint64_t runs = 0;
  if (!in.ReadVarint(runs) || runs > tokens) return Damaged("sequence runs");
  int64_t sequence = 0;
  for (uint64_t i = 0; i < runs; ++i) {
    uint64_t step = 0, length = 0;
    if (!in.ReadVarint(step) || !in.ReadVarint(length) || length == 0 || length > tokens - sequences.size())
      return Damaged("a sequence run");
    if (step > uint64_t{1} << 33) return Damaged("a sequence id");
    sequence += UnZigZag(step);
    if (sequence < 0 || sequence > std::numeric_limits<uint32_t>::max()) return Damaged("a sequence id");
    sequences.insert(sequences.end(), length, static_cast<uint32_t>(sequence));
  }
  return sequences.size() == tokens ? Status() : Status(Damaged("sequence runs do not cover the pass"));
}

void EncodeLayerIds(const TraceHeader& header, const TracePass& pass, size_t layer, std::string& out) {
  const auto tokens = static_cast<size_t>(pass.tokens);
  const auto top_k = static_cast<size_t>(header.top_k);
  size_t empty = 0;
  bool holes = false;
  for (size_t token = 0; token < tokens; ++token) {
    const uint16_t* ids = pass.Ids(layer, token, header.top_k);
    const auto missing = static_cast<size_t>(std::count(ids, ids + top_k, kNoExpert));
    empty += missing == top_k;
    holes |= missing != 0 && missing != top_k;
  }
  const LayerMode mode = holes ? kHoles : empty == tokens ? kAbsent : empty == 0 ? kAllTokens : kSomeTokens;
  out.push_back(static_cast<char>(mode));
  if (mode == kAbsent) return;
  if (mode == kSomeTokens) {
    std::string bitmap((tokens + 7) / 8, '\0');
    for (size_t token = 0; token < tokens; ++token) {
      if (*pass.Ids(layer, token, header.top_k) != kNoExpert)
        bitmap[token / 8] = static_cast<char>(bitmap[token / 8] | 1 << (token % 8));
    }
    out += bitmap;
  }
  const bool narrow = mode != kHoles && Narrow(header);
  for (size_t token = 0; token < tokens; ++token) {
    const uint16_t* ids = pass.Ids(layer, token, header.top_k);
    if (mode == kSomeTokens && *ids == kNoExpert) continue;
    for (size_t k = 0; k < top_k; ++k) AppendId(ids[k], narrow, out);
  }
}

// The `rows` routed tokens of a layer, spread by the bitmap when there is one.
Status DecodeRows(const TraceHeader& header, std::span<const std::byte> raw, std::span<const std::byte> bitmap, size_t width,
                  std::span<uint16_t> ids) {
  const auto top_k = static_cast<size_t>(header.top_k);
  const auto* at = reinterpret_cast<const unsigned char*>(raw.data());
  const auto experts = static_cast<unsigned>(header.experts);
  const bool holes_allowed = width == 2 && bitmap.empty();
  for (size_t begin = 0; begin < ids.size(); begin += top_k) {
    const size_t token = begin / top_k;
    if (!bitmap.empty() && (std::to_integer<unsigned>(bitmap[token / 8]) >> (token % 8) & 1) == 0) continue;
    for (size_t k = 0; k < top_k; ++k, at += width) {
      const unsigned id = width == 1 ? *at : static_cast<unsigned>(at[0] | at[1] << 8);
      if (id >= experts && !(holes_allowed && id == kNoExpert)) return Damaged("an expert id out of range");
      ids[begin + k] = static_cast<uint16_t>(id);
    }
  }
  return {};
}

Status DecodeLayerIds(const TraceHeader& header, ByteReader& in, size_t tokens, std::span<uint16_t> ids) {
  uint8_t mode = 0;
  if (!in.ReadU8(mode) || mode > kHoles) return Damaged("a layer's mode");
  std::ranges::fill(ids, kNoExpert);
  if (mode == kAbsent) return {};
  std::span<const std::byte> bitmap;
  size_t rows = tokens;
  if (mode == kSomeTokens) {
    if (!in.ReadBytes((tokens + 7) / 8, bitmap)) return Damaged("a bitmap of tokens");
    rows = 0;
    for (size_t token = 0; token < tokens; ++token) rows += std::to_integer<unsigned>(bitmap[token / 8]) >> (token % 8) & 1;
  }
  const size_t width = mode != kHoles && Narrow(header) ? 1 : 2;
  std::span<const std::byte> raw;
  if (!in.ReadBytes(rows * static_cast<size_t>(header.top_k) * width, raw)) return Damaged("expert ids");
  return DecodeRows(header, raw, bitmap, width, ids);
}

Status DecodeIds(const TraceHeader& header, ByteReader& in, TracePass& pass) {
  const auto tokens = static_cast<size_t>(pass.tokens);
  const size_t per_layer = tokens * static_cast<size_t>(header.top_k);
  // A layer without ids takes one byte on disk, so only the limit on a pass bounds what is allocated.
  pass.ids.resize(per_layer * header.layers());
  for (size_t layer = 0; layer < header.layers(); ++layer) {
    RETURN_IF_ERROR(DecodeLayerIds(header, in, tokens, std::span(pass.ids).subspan(layer * per_layer, per_layer)));
  }
  return {};
}

Status DecodeCounts(const TraceHeader& header, ByteReader& in, TracePass& pass) {
  const size_t count = header.layers() * static_cast<size_t>(header.experts);
  if (in.left() < count) return Damaged("counts");
  pass.counts.resize(count);
  for (int64_t& entry : pass.counts) {
    uint64_t value = 0;
    if (!in.ReadVarint(value) || value > static_cast<uint64_t>(kMostCount)) return Damaged("a count");
    entry = static_cast<int64_t>(value);
  }
  return {};
}

void AppendText(const std::string& text, std::string& out) {
  AppendVarint(text.size(), out);
  out += text;
}

bool ReadText(ByteReader& in, std::string& text) {
  uint64_t length = 0;
  std::span<const std::byte> bytes;
  if (!in.ReadVarint(length) || length > kMostText || !in.ReadBytes(length, bytes)) return false;
  text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return true;
}

void EncodeShare(const TraceShare& share, std::string& out) {
  out.push_back(static_cast<char>(share.whole ? 1 + *share.whole : 0));
  AppendVarint(static_cast<uint64_t>(share.world.value_or(0)), out);
  AppendVarint(static_cast<uint64_t>(share.devices.value_or(0)), out);
  AppendVarint(static_cast<uint64_t>(share.physical_experts), out);
  AppendVarint(share.ranks.size(), out);
  for (const int rank : share.ranks) AppendVarint(static_cast<uint64_t>(rank), out);
  AppendText(share.cell, out);
}

bool ReadSmall(ByteReader& in, uint64_t most, int& value) {
  uint64_t read = 0;
  if (!in.ReadVarint(read) || read > most) return false;
  value = static_cast<int>(read);
  return true;
}

bool DecodeShare(ByteReader& in, TraceShare& share) {
  constexpr uint64_t kMostDevices = 1'000'000;
  uint8_t whole = 0;
  int world = 0, devices = 0, ranks = 0;
  if (!in.ReadU8(whole) || whole > 2 || !ReadSmall(in, kMostRanks, world) || !ReadSmall(in, kMostDevices, devices) ||
      !ReadSmall(in, kMostPlaces, share.physical_experts) || !ReadSmall(in, kMostRanks, ranks))
    return false;
  if (whole > 0) share.whole = whole == 2;
  if (world > 0) share.world = world;
  if (devices > 0) share.devices = devices;
  for (int i = 0; i < ranks; ++i) {
    if (!ReadSmall(in, kMostRanks, share.ranks.emplace_back())) return false;
  }
  return ReadText(in, share.cell);
}

}  // namespace

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

uint64_t ZigZag(int64_t value) { return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63); }
int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>(value >> 1 ^ (0 - (value & 1))); }

bool ByteReader::ReadU8(uint8_t& value) {
  if (done()) return Fail();
  value = std::to_integer<uint8_t>(bytes_[at_++]);
  return true;
}

bool ByteReader::ReadVarint(uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint8_t byte = 0;
    if (!ReadU8(byte)) return false;
    if (shift == 63 && byte > 1) return Fail();
    value |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return Fail();
}

bool ByteReader::ReadBytes(size_t count, std::span<const std::byte>& bytes) {
  if (count > left()) return Fail();
  bytes = bytes_.subspan(at_, count);
  at_ += count;
  return true;
}

void EncodePass(const TraceHeader& header, const TracePass& pass, std::string& out) {
  out.push_back(static_cast<char>(KindCode(pass.kind)));
  out.push_back(static_cast<char>(pass.sequences.empty() ? 0 : kHasSequences));
  AppendVarint(ZigZag(pass.number), out);
  AppendVarint(static_cast<uint64_t>(pass.tokens), out);
  if (!pass.sequences.empty()) EncodeSequences(pass.sequences, out);
  if (header.grain == Grain::kTokenIds) {
    for (size_t layer = 0; layer < header.layers(); ++layer) EncodeLayerIds(header, pass, layer, out);
  } else {
    for (const int64_t count : pass.counts) AppendVarint(static_cast<uint64_t>(count), out);
  }
}

Status DecodePass(const TraceHeader& header, ByteReader& in, TracePass& pass) {
  uint8_t kind = 0, flags = 0;
  uint64_t number = 0, tokens = 0;
  pass.sequences.clear();
  pass.ids.clear();
  pass.counts.clear();
  if (!in.ReadU8(kind) || !KindFromCode(kind, pass.kind) || !in.ReadU8(flags) || flags > kHasSequences)
    return Damaged("a pass's head");
  if (!in.ReadVarint(number) || !in.ReadVarint(tokens)) return Damaged("a pass's head");
  const auto per_token = std::max<uint64_t>(1, header.layers() * static_cast<uint64_t>(header.top_k));
  if (tokens > static_cast<uint64_t>(kMostIdsPerPass) / per_token) return Damaged("a pass with more tokens than can be");
  pass.number = UnZigZag(number);
  pass.tokens = static_cast<int64_t>(tokens);
  if (flags & kHasSequences) RETURN_IF_ERROR(DecodeSequences(in, tokens, pass.sequences));
  return header.grain == Grain::kTokenIds ? DecodeIds(header, in, pass) : DecodeCounts(header, in, pass);
}

void EncodeHeader(const TraceHeader& header, std::string& out) {
  out.push_back(static_cast<char>(header.grain));
  const bool has_share = header.share != TraceShare();
  out.push_back(static_cast<char>((header.passes_known ? 0 : kPassesUnknown) | (has_share ? kHasShare : 0)));
  AppendVarint(static_cast<uint64_t>(header.experts), out);
  AppendVarint(static_cast<uint64_t>(header.top_k), out);
  AppendVarint(header.layers(), out);
  int before = 0;
  for (const int number : header.layer_numbers) {
    AppendVarint(static_cast<uint64_t>(number - before), out);
    before = number;
  }
  AppendText(header.model, out);
  AppendText(header.origin, out);
  AppendVarint(header.notes.size(), out);
  for (const std::string& note : header.notes) AppendText(note, out);
  if (has_share) EncodeShare(header.share, out);
}

Result<TraceHeader> DecodeHeader(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  TraceHeader header;
  uint8_t grain = 0, flags = 0;
  uint64_t experts = 0, top_k = 0, layers = 0, notes = 0;
  if (!in.ReadU8(grain) || grain < 1 || grain > 3 || !in.ReadU8(flags) || flags > (kPassesUnknown | kHasShare))
    return Damaged("the header");
  if (!in.ReadVarint(experts) || !in.ReadVarint(top_k) || !in.ReadVarint(layers)) return Damaged("the header");
  if (experts > kMostExperts || top_k > kMostTopK || layers > kMostLayers) return Damaged("the header's sizes");
  header.grain = static_cast<Grain>(grain);
  header.passes_known = (flags & kPassesUnknown) == 0;
  header.experts = static_cast<int>(experts);
  header.top_k = static_cast<int>(top_k);
  uint64_t number = 0;
  for (uint64_t i = 0; i < layers; ++i) {
    uint64_t step = 0;
    if (!in.ReadVarint(step) || step > uint64_t{1} << 20) return Damaged("a layer number");
    number += step;
    if (number > uint64_t{1} << 30) return Damaged("a layer number");
    header.layer_numbers.push_back(static_cast<int>(number));
  }
  if (!ReadText(in, header.model) || !ReadText(in, header.origin) || !in.ReadVarint(notes) || notes > kMostNotes)
    return Damaged("the header's texts");
  for (uint64_t i = 0; i < notes; ++i) {
    if (!ReadText(in, header.notes.emplace_back())) return Damaged("the header's notes");
  }
  if ((flags & kHasShare) != 0 && !DecodeShare(in, header.share)) return Damaged("whose share the trace holds");
  if (!in.done()) return Damaged("bytes behind the header");
  RETURN_IF_ERROR(CheckHeader(header));
  return header;
}

}  // namespace moecap::trace
