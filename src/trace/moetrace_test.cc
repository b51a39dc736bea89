#include "trace/moetrace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>
#include <zstd.h>

#include <cstring>
#include <random>
#include <sstream>

#include "base/fs.h"
#include "trace/codec.h"
#include "trace/trace_test_files.h"

namespace moecap::trace {
namespace {

using testing::HasSubstr;

TraceHeader Header(int experts, int top_k, int layers) {
  TraceHeader header;
  header.experts = experts;
  header.top_k = top_k;
  for (int i = 0; i < layers; ++i) header.layer_numbers.push_back(3 + 2 * i);
  header.model = "a/model";
  header.origin = "test";
  header.notes = {"one", "two"};
  return header;
}

// Ids with everything the format knows: whole layers missing, single tokens missing, single ids missing.
TracePass RandomPass(const TraceHeader& header, std::mt19937& rng, int64_t number) {
  TracePass pass;
  pass.number = number;
  constexpr std::optional<record::PassKind> kKinds[] = {std::nullopt, record::PassKind::kPrefill, record::PassKind::kDecode,
                                                        record::PassKind::kMixed};
  pass.kind = kKinds[rng() % 4];
  pass.tokens = rng() % 20;
  if (header.grain != Grain::kTokenIds) {
    for (size_t i = 0; i < header.layers() * static_cast<size_t>(header.experts); ++i) {
      pass.counts.push_back(rng() % 3 ? rng() % 5 : static_cast<int64_t>(rng() % 1024) << 30);
    }
    return pass;
  }
  if (pass.tokens > 0 && rng() % 3) {
    for (int64_t i = 0; i < pass.tokens; ++i)
      pass.sequences.push_back(rng() % 2 ? static_cast<uint32_t>(rng()) : 4'000'000'000u);
  }
  for (size_t layer = 0; layer < header.layers(); ++layer) {
    const auto mode = rng() % 4;
    for (int64_t token = 0; token < pass.tokens; ++token) {
      const bool missing = mode == 0 || (mode == 2 && rng() % 2);
      for (int k = 0; k < header.top_k; ++k) {
        const bool hole = mode == 3 && rng() % 3 == 0;
        pass.ids.push_back(missing || hole ? kNoExpert : static_cast<uint16_t>(rng() % static_cast<unsigned>(header.experts)));
      }
    }
  }
  return pass;
}

std::string WriteTrace(const std::filesystem::path& path, const TraceHeader& header, const std::vector<TracePass>& passes) {
  auto writer = MoetraceWriter::Create(path, header);
  EXPECT_TRUE(writer.ok()) << writer.error().message;
  for (const TracePass& pass : passes) {
    const Status written = writer->Write(pass);
    EXPECT_TRUE(written.ok()) << written.error().message;
  }
  EXPECT_TRUE(writer->Close().ok());
  return ReadFile(path).value();
}

TEST(Moetrace, GivesBackWhatWasWritten) {
  const TempDir dir;
  std::mt19937 rng(1);
  for (const auto& [experts, top_k, grain] : {std::tuple{256, 8, Grain::kTokenIds},
                                              {257, 2, Grain::kTokenIds},
                                              {1, 1, Grain::kTokenIds},
                                              {60, 0, Grain::kPassCounts},
                                              {8, 2, Grain::kTotals}}) {
    TraceHeader header = Header(experts, top_k, 3);
    header.grain = grain;
    header.passes_known = experts != 257;
    std::vector<TracePass> passes;
    for (int i = 0; i < 50; ++i) passes.push_back(RandomPass(header, rng, i == 7 ? -5 : int64_t{i} << 33));
    WriteTrace(dir / "t.moetrace", header, passes);
    EXPECT_TRUE(LooksLikeMoetrace(dir / "t.moetrace"));
    auto reader = MoetraceReader::Open(dir / "t.moetrace");
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_EQ((*reader)->header(), header);
    EXPECT_EQ(AllPasses(**reader), passes) << experts;
    EXPECT_TRUE((*reader)->Warnings().empty());
  }
}

// The example of docs/formats/moetrace.md, byte by byte.
TEST(Moetrace, TheFramesHoldTheDocumentedBytes) {
  const TempDir dir;
  TraceHeader header = Header(8, 2, 2);
  header.model = "m";
  header.origin = "o";
  header.notes = {"n"};
  TracePass pass;
  pass.number = 5;
  pass.kind = record::PassKind::kDecode;
  pass.tokens = 3;
  pass.sequences = {7, 7, 2};
  pass.ids = {0, 1, 2, 3, 4, 5, kNoExpert, kNoExpert, 6, 7, kNoExpert, kNoExpert};
  const std::string file = WriteTrace(dir / "t", header, {pass});
  EXPECT_EQ(file.substr(0, 12), std::string("MOETRACE\x01\0\0\0", 12));
  std::vector<std::string> bodies;
  for (size_t at = 12; at < file.size();) {
    uint32_t stored = 0, raw = 0;
    uint64_t checksum = 0;
    std::memcpy(&stored, file.data() + at + 8, 4);
    std::memcpy(&raw, file.data() + at + 12, 4);
    std::memcpy(&checksum, file.data() + at + 16, 8);
    EXPECT_EQ(XXH3_64bits_withSeed(file.data() + at + 24, stored, XXH3_64bits(file.data() + at, 16)), checksum);
    EXPECT_EQ(static_cast<size_t>(file[at]), bodies.size() + 1) << "a header frame, then a pass frame";
    std::string body(raw, '\0');
    EXPECT_EQ(ZSTD_decompress(body.data(), raw, file.data() + at + 24, stored), raw);
    bodies.push_back(body);
    at += 24 + stored;
  }
  ASSERT_EQ(bodies.size(), 2u);
  EXPECT_EQ(bodies[0], std::string("\x01\x00\x08\x02\x02\x03\x02\x01m\x01o\x01\x01n", 14));
  // kind, flags, number 5 and 3 tokens; 2 runs: +7 twice, -5 once; layer 1 whole; layer 2 with a bitmap of its token 1.
  EXPECT_EQ(bodies[1], std::string("\x02\x01\x0a\x03\x02\x0e\x02\x09\x01\x01\x00\x01\x02\x03\x04\x05\x02\x02\x06\x07", 20));
}

TEST(Moetrace, EveryTruncationKeepsTheWholeFrames) {
  const TempDir dir;
  std::mt19937 rng(2);
  const TraceHeader header = Header(16, 2, 2);
  std::vector<TracePass> passes;
  for (int i = 0; i < 6; ++i) passes.push_back(RandomPass(header, rng, i));
  // One frame a pass: close and append.
  std::vector<size_t> ends;
  ends.push_back(WriteTrace(dir / "t", header, {}).size());
  for (const TracePass& pass : passes) {
    auto writer = MoetraceWriter::Append(dir / "t", header);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    ASSERT_TRUE(writer->Write(pass).ok());
    ASSERT_TRUE(writer->Close().ok());
    ends.push_back(std::filesystem::file_size(dir / "t"));
  }
  const std::string file = ReadFile(dir / "t").value();
  for (size_t length = 0; length <= file.size(); ++length) {
    dir.Write("cut", file.substr(0, length));
    auto reader = MoetraceReader::Open(dir / "cut");
    if (length < ends[0]) {
      EXPECT_FALSE(reader.ok());
      continue;
    }
    ASSERT_TRUE(reader.ok()) << length << ": " << reader.error().message;
    const auto whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin()) - 1;
    EXPECT_EQ(AllPasses(**reader), std::vector<TracePass>(passes.begin(), passes.begin() + static_cast<std::ptrdiff_t>(whole)));
    EXPECT_EQ((*reader)->Warnings().empty(), length == ends[whole]) << length;
  }
  // A writer continues behind what is whole.
  dir.Write("cut", file.substr(0, ends[3] + 5));
  auto writer = MoetraceWriter::Append(dir / "cut", header);
  ASSERT_TRUE(writer.ok());
  for (size_t i = 3; i < passes.size(); ++i) ASSERT_TRUE(writer->Write(passes[i]).ok());
  ASSERT_TRUE(writer->Close().ok());
  auto reader = MoetraceReader::Open(dir / "cut");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(AllPasses(**reader), passes);
}

TEST(Moetrace, EveryFlippedBitIsNoticed) {
  const TempDir dir;
  std::mt19937 rng(3);
  const TraceHeader header = Header(16, 2, 2);
  const std::string file = WriteTrace(dir / "t", header, {RandomPass(header, rng, 1), RandomPass(header, rng, 2)});
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    if (bit / 8 == 10 || bit / 8 == 11) continue;  // reserved
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << (bit % 8));
    dir.Write("d", damaged);
    auto reader = MoetraceReader::Open(dir / "d");
    if (!reader.ok()) continue;
    TracePass pass;
    auto more = (*reader)->Next(pass);
    while (more.ok() && *more) more = (*reader)->Next(pass);
    EXPECT_TRUE(!more.ok() || !(*reader)->Warnings().empty()) << bit;
  }
}

TEST(Moetrace, ALongTraceHasManyFrames) {
  const TempDir dir;
  std::mt19937 rng(4);
  const TraceHeader header = Header(64, 8, 4);
  TracePass pass;
  pass.tokens = 5000;
  for (size_t i = 0; i < 4u * 5000 * 8; ++i) pass.ids.push_back(static_cast<uint16_t>(rng() % 64));
  std::vector<TracePass> passes(20, pass);
  const std::string file = WriteTrace(dir / "t", header, passes);
  EXPECT_LT(file.size(), passes.size() * pass.ids.size() * 6 / 8 + 20000) << "6 bits an id";
  auto reader = MoetraceReader::Open(dir / "t");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(AllPasses(**reader).size(), 20u);
}

TEST(Moetrace, RefusesWhatDoesNotFit) {
  const TempDir dir;
  EXPECT_FALSE(MoetraceWriter::Create(dir / "t", Header(2000, 2, 1)).ok());
  EXPECT_FALSE(MoetraceWriter::Create(dir / "t", Header(8, 9, 1)).ok());
  EXPECT_FALSE(MoetraceWriter::Create(dir / "t", Header(8, 2, 0)).ok());
  const TraceHeader header = Header(8, 2, 1);
  auto writer = MoetraceWriter::Create(dir / "t", header);
  ASSERT_TRUE(writer.ok());
  TracePass pass;
  pass.tokens = 1;
  pass.ids = {8, 0};
  EXPECT_THAT(writer->Write(pass).error().message, HasSubstr("expert 8 of 8"));
  pass.ids = {0};
  EXPECT_FALSE(writer->Write(pass).ok());
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_THAT(MoetraceWriter::Append(dir / "t", Header(9, 2, 1)).error().message, HasSubstr("another kind of trace"));
  dir.Write("other", "MOETRACE\x02\0\0\0");
  EXPECT_FALSE(MoetraceReader::Open(dir / "other").ok());
  EXPECT_FALSE(MoetraceReader::Open(dir / "absent").ok());
}

TEST(Codec, Varints) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{300}, UINT64_MAX}) {
    std::string bytes;
    AppendVarint(value, bytes);
    ByteReader in(std::as_bytes(std::span(bytes)));
    uint64_t read = 1;
    EXPECT_TRUE(in.ReadVarint(read) && in.done());
    EXPECT_EQ(read, value);
  }
  for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1}, INT64_MIN, INT64_MAX})
    EXPECT_EQ(UnZigZag(ZigZag(value)), value);
  const std::string endless(11, '\xff');
  ByteReader in(std::as_bytes(std::span(endless)));
  uint64_t value = 0;
  EXPECT_FALSE(in.ReadVarint(value));
}

// Frames with a right checksum but foreign contents reach the decoder.
TEST(Codec, AnyBytesAreAPassOrAnError) {
  std::mt19937 rng(5);
  std::vector<TraceHeader> headers = {Header(16, 2, 3), Header(300, 4, 2), Header(8, 0, 2)};
  headers[2].grain = Grain::kPassCounts;
  for (int trial = 0; trial < 30000; ++trial) {
    const TraceHeader& header = headers[static_cast<size_t>(trial) % 3];
    std::string bytes;
    EncodePass(header, RandomPass(header, rng, trial), bytes);
    for (int i = 0; i < 3 && !bytes.empty(); ++i) bytes[rng() % bytes.size()] = static_cast<char>(rng());
    bytes.resize(bytes.size() - rng() % (bytes.size() + 1) / 4);
    ByteReader in(std::as_bytes(std::span(bytes)));
    TracePass pass;
    if (DecodePass(header, in, pass).ok()) {
      EXPECT_TRUE(CheckPass(header, pass).ok());
    }
    std::string head;
    EncodeHeader(header, head);
    head[rng() % head.size()] = static_cast<char>(rng());
    (void)DecodeHeader(std::as_bytes(std::span(head)));
  }
}

}  // namespace
}  // namespace moecap::trace
