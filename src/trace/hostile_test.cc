// Foreign bytes of every format, cut off and changed at random, never do more than fail.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "model/gguf_test_writer.h"
#include "routing/npy_test_writer.h"
#include "trace/importers.h"
#include "trace/moetrace.h"
#include "trace/torch_test_writer.h"
#include "trace/trace_test_files.h"
#include "trace/upstream.h"

namespace moecap::trace {
namespace {

void Drain(Result<std::unique_ptr<TraceSource>> source) {
  if (!source.ok()) return;
  TracePass pass;
  for (int i = 0; i < 1000; ++i) {
    const auto more = (*source)->Next(pass);
    if (!more.ok() || !*more) return;
    ASSERT_TRUE(CheckPass((*source)->header(), pass).ok());
  }
}

// Some bytes changed, some runs doubled or removed, the end cut: as often as `trials` says.
void Attack(const std::string& sound, int trials, const std::function<void(const std::string&)>& read) {
  read(sound);
  for (size_t length = 0; length < std::min<size_t>(sound.size(), 600); ++length) read(sound.substr(0, length));
  std::mt19937_64 rng(17);
  constexpr unsigned char kAwkward[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  for (int trial = 0; trial < trials; ++trial) {
    std::string bytes = sound;
    for (uint64_t change = 0; change <= rng() % 4; ++change) {
      const size_t at = rng() % bytes.size();
      switch (rng() % 4) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ 1 << (rng() % 8));
          break;
        case 1:
          bytes[at] = static_cast<char>(kAwkward[rng() % 5]);
          break;
        case 2:
          bytes.insert(at, bytes.substr(rng() % bytes.size(), rng() % 12));
          break;
        default:
          if (bytes.size() > 20) bytes.erase(at, rng() % 8);
      }
    }
    read(bytes);
  }
}

std::string SglangFile(bool per_token) {
  TorchTestWriter torch;
  std::vector<std::string> records;
  for (int i = 0; i < 2; ++i) {
    const std::string ids = per_token ? torch.Tensor(std::vector<int32_t>(2 * 3 * 2, i), {2, 3, 2})
                                      : torch.Tensor(std::vector<int32_t>(8, 3), {2, 4});
    records.push_back(torch.Dict({{"forward_pass_id", TorchTestWriter::Int(i)},
                                  {"gatherer_key", torch.Text("primary")},
                                  {"forward_mode", TorchTestWriter::Int(1)},
                                  {"extend_seq_lens", torch.List({TorchTestWriter::Int(2), TorchTestWriter::Int(1)})},
                                  {per_token ? "topk_ids_of_layer" : "global_physical_count", ids}}));
  }
  const std::string map = torch.Tensor(std::vector<int64_t>{0, 1, 2, 3, 0, 1, 2, 3}, {2, 4});
  return torch.File(torch.Dict({{"records", torch.List(records)}, {"last_physical_to_logical_map", map}}));
}

TEST(Hostile, SglangRecordings) {
  for (const bool per_token : {false, true}) {
    Attack(SglangFile(per_token), 6000, [](const std::string& bytes) {
      // The bytes in a block of their own size, so that a read beyond it is seen by a checked build.
      auto owner = std::make_shared<std::vector<char>>(bytes.begin(), bytes.end());
      Drain(ImportSglang(std::as_bytes(std::span(*owner)), owner, {}));
    });
  }
}

TEST(Hostile, VllmArraysAndResponses) {
  std::vector<uint8_t> ids;
  for (uint8_t i = 0; i < 16; ++i) ids.push_back(i % 5);
  const std::string npy = routing::Npy("|u1", {4, 2, 2}, ids);
  const auto read = [](const std::string& bytes) {
    const std::vector<char> own(bytes.begin(), bytes.end());
    Drain(ImportAnswers(std::as_bytes(std::span(own)), {}));
  };
  Attack(npy, 6000, read);
  Attack(routing::EncodeBase64(npy), 3000, read);
  Attack(R"({"prompt_routed_experts":[[[1,2],[3,4]]],"choices":[{"routed_experts":[[[1,2],[0,3]],[[4,2],[0,1]]]}]})", 3000,
         read);
  read(std::string(1'000'000, '['));
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{\"choices\":[";
  read(nested);
}

TEST(Hostile, Imatrices) {
  model::GgufTestWriter gguf;
  gguf.Text("general.type", "imatrix");
  gguf.Tensor("blk.0.ffn_down_exps.weight.counts", {1, 4});
  Attack(gguf.Header() + std::string("\0\0\x80\x3f\0\0\0\x40\0\0\0\0\0\0\x80\x3f", 16) + std::string(16, '\0'), 6000,
         [](const std::string& bytes) {
           const std::vector<char> own(bytes.begin(), bytes.end());
           Drain(ImportImatrix(std::as_bytes(std::span(own)), {}));
         });
}

TEST(Hostile, TensorRtStatistics) {
  const TempDir dir;
  const std::string header =
      R"({"1_0":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},"2_0":{"dtype":"I64","shape":[2],"data_offsets":[16,32]}})";
  std::string file = RawBytes(static_cast<uint64_t>(header.size())) + header;
  for (const int64_t value : {1, 2, 3, 4}) file += RawBytes(value);
  Attack(file, 600, [&dir](const std::string& bytes) {
    Drain(OpenTrace(dir.Write("rank0.safetensors", bytes), ImportKind::kTensorRt, {}));
  });
}

TEST(Hostile, JsonLines) {
  const TempDir dir;
  const std::string passes =
      R"({"kind":"decode","latency_s":0.1,"sequences":[{"context_tokens":3,"new_tokens":1,"count":2}],"expert_counts":[[2,1,1],[2,2,0]]})"
      "\n";
  Attack(passes + passes, 1500,
         [&dir](const std::string& bytes) { Drain(OpenTrace(dir.Write("p", bytes), ImportKind::kPasses, {})); });
  const std::string upstream =
      R"({"batch_size":1,"latency":0.05,"seq_lens_sum":60,"forward_mode":"prefill","expert_activation":8,"per_req_info":[{"req_id":"a","extend_len":60,"total_len":100,"is_last_chunk":true}],"scheduled_tokens":60})"
      "\n"
      R"({"batch_size":1,"latency":0.03,"seq_lens_sum":1,"forward_mode":"decode","expert_activation":4,"req_ids":["a",7],"scheduled_tokens":1})"
      "\n";
  Attack(upstream, 600, [&dir](const std::string& bytes) {
    const auto report = ReadUpstream(dir.Write("u", bytes), {}, [](const record::PassRecord& pass, bool) {
      for (const auto& slice : pass.sequences)
        EXPECT_TRUE(slice.context_tokens >= 0 && slice.new_tokens >= 1 && slice.count >= 1);
      return Status();
    });
    (void)report.ok();
  });
}

TEST(Hostile, OwnTraces) {
  const TempDir dir;
  TraceHeader header;
  header.experts = 8;
  header.top_k = 2;
  header.layer_numbers = {0, 1};
  auto writer = MoetraceWriter::Create(dir / "t", header);
  ASSERT_TRUE(writer.ok());
  TracePass pass;
  pass.tokens = 2;
  pass.sequences = {0, 1};
  pass.ids = {0, 1, 2, 3, 4, 5, 6, 7};
  ASSERT_TRUE(writer->Write(pass).ok());
  ASSERT_TRUE(writer->Close().ok());
  std::ifstream in(dir / "t", std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  Attack(file, 600, [&dir](const std::string& bytes) { Drain(OpenTrace(dir.Write("h", bytes), ImportKind::kMoetrace, {})); });
}

}  // namespace
}  // namespace moecap::trace
