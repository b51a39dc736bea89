// Writes the seeds of the binary formats, and the summaries, into FOLDER/<target>/: make_corpus fuzz/corpus.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/json.h"
#include "model/gguf_test_writer.h"
#include "report/experiment_json.h"
#include "report/testing/sample_experiment.h"
#include "routing/npy_test_writer.h"
#include "trace/codec.h"
#include "trace/moetrace.h"
#include "trace/torch_test_writer.h"

namespace moecap {
namespace {
namespace fs = std::filesystem;

void Write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// hidden 64, 8 experts of width 32, top-2, one layer.
std::string MoeGguf() {
  model::GgufTestWriter file;
  file.Text("general.architecture", "qwen3moe");
  file.Text("general.name", "tiny");
  for (const auto& [key, value] : {std::pair{"block_count", 1u},
                                   {"embedding_length", 64u},
                                   {"context_length", 2048u},
                                   {"attention.head_count", 4u},
                                   {"attention.head_count_kv", 2u},
                                   {"attention.key_length", 32u},
                                   {"attention.value_length", 32u},
                                   {"expert_count", 8u},
                                   {"expert_used_count", 2u}})
    file.U32(std::string("qwen3moe.") + key, value);
  file.F32("qwen3moe.rope.freq_base", 10000);
  file.Bool("general.flag", true);
  file.I32Array("tokenizer.ggml.token_type", {1, 2, 3});
  file.TextArray("tokenizer.ggml.tokens", {"a", "bc"});
  file.Tensor("token_embd.weight", {64, 100}, "F16");
  file.Tensor("output_norm.weight", {64});
  file.Tensor("blk.0.attn_norm.weight", {64});
  file.Tensor("blk.0.attn_q.weight", {64, 128}, "F16");
  file.Tensor("blk.0.attn_k.weight", {64, 64}, "F16");
  file.Tensor("blk.0.attn_v.weight", {64, 64}, "F16");
  file.Tensor("blk.0.attn_output.weight", {128, 64}, "F16");
  file.Tensor("blk.0.ffn_norm.weight", {64});
  file.Tensor("blk.0.ffn_gate_inp.weight", {64, 8});
  for (const char* part : {"gate", "up", "down"}) {
    const bool down = std::string(part) == "down";
    file.Tensor(std::string("blk.0.ffn_") + part + "_exps.weight", {down ? 32 : 64, down ? 64 : 32, 8}, "Q4_0");
  }
  return file.Header();
}

std::string DenseGguf() {
  model::GgufTestWriter file(2);
  file.Text("general.architecture", "llama");
  for (const char* key : {"block_count", "attention.head_count"}) file.U32(std::string("llama.") + key, 1);
  file.U32("llama.embedding_length", 32);
  for (const char* name : {"token_embd", "blk.0.ffn_up", "blk.0.ffn_gate", "blk.0.ffn_down", "blk.0.attn_q", "blk.0.attn_k"})
    file.Tensor(std::string(name) + ".weight", {32, 32}, "Q8_0");
  return file.Header();
}

std::string Imatrix(const std::vector<float>& counts) {
  model::GgufTestWriter file;
  file.Text("general.type", "imatrix");
  file.Tensor("blk.0.ffn_down_exps.weight.counts", {1, static_cast<int64_t>(counts.size())});
  std::string data;
  for (const float count : counts) data += trace::RawBytes(count);
  data.resize(file.data_bytes());
  return file.Header() + data;
}

std::string Sglang(bool per_token) {
  trace::TorchTestWriter torch;
  const std::string ids = per_token ? torch.Tensor(std::vector<int32_t>(2 * 3 * 2, 1), {2, 3, 2})
                                    : torch.Tensor(std::vector<int32_t>(8, 3), {2, 4});
  const std::string record =
      torch.Dict({{"forward_pass_id", trace::TorchTestWriter::Int(5)},
                  {"gatherer_key", torch.Text("primary")},
                  {"forward_mode", trace::TorchTestWriter::Int(1)},
                  {"extend_seq_lens", torch.List({trace::TorchTestWriter::Int(2), trace::TorchTestWriter::Int(1)})},
                  {per_token ? "topk_ids_of_layer" : "global_physical_count", ids}});
  // Token ids say nothing when experts had been moved: only the counts get such a map.
  const int64_t last = per_token ? 3 : 2;
  const std::string map = torch.Tensor(std::vector<int64_t>{0, 1, 2, 3, 0, 1, 5 - last, last}, {2, 4});
  return torch.File(torch.Dict({{"records", torch.List({record})}, {"last_physical_to_logical_map", map}}));
}

std::string SglangStat() {
  trace::TorchTestWriter torch;
  return torch.File(torch.Dict({{"logical_count", torch.Tensor(std::vector<int32_t>{1, 0, 2, 3, 4, 0, 5, 1}, {2, 2, 2})}}));
}

void WriteMoetraces(const fs::path& folder) {
  trace::TraceHeader header;
  header.experts = 8;
  header.top_k = 2;
  header.layer_numbers = {0, 2};
  header.model = "m";
  trace::TracePass pass;
  pass.kind = record::PassKind::kDecode;
  pass.tokens = 3;
  pass.sequences = {0, 0, 1};
  pass.ids = {0, 1, 2, 3, 4, 5, 6, 7, trace::kNoExpert, trace::kNoExpert, 1, 2};
  for (const bool counts : {false, true}) {
    if (counts) {
      header.grain = trace::Grain::kPassCounts;
      pass.ids.clear();
      pass.sequences.clear();
      pass.counts = {1, 0, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0};
    }
    const std::string name = counts ? "counts" : "ids";
    const fs::path path = folder / "moetrace" / (name + ".moetrace");
    fs::create_directories(path.parent_path());
    auto writer = trace::MoetraceWriter::Create(path, header);
    CHECK(writer.ok() && writer->Write(pass).ok() && writer->Write(pass).ok() && writer->Close().ok());
    std::string head, body;
    trace::EncodeHeader(header, head);
    trace::EncodePass(header, pass, body);
    Write(folder / "moetrace_frame" / name, std::string(1, static_cast<char>(head.size())) + head + body + body);
  }
}

void WriteAll(const fs::path& folder) {
  Write(folder / "gguf/moe.gguf", MoeGguf());
  Write(folder / "gguf/dense.gguf", DenseGguf());
  Write(folder / "imatrix/one_layer.gguf", Imatrix({1, 2, 0, 5}));
  Write(folder / "sglang/per_pass.pt", Sglang(false));
  Write(folder / "sglang/per_token.pt", Sglang(true));
  Write(folder / "sglang/stat.pt", SglangStat());
  const std::string npy = routing::Npy("|u1", {2, 2, 2}, std::vector<uint8_t>{0, 1, 2, 3, 1, 0, 3, 2});
  Write(folder / "vllm/routes.npy", npy);
  Write(folder / "vllm/routes.base64", routing::EncodeBase64(npy));
  Write(folder / "vllm/wide.npy", routing::Npy("<i8", {1, 1, 2}, std::vector<int64_t>{300, 4}, 2));
  const std::string header = R"({"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"__metadata__":{"format":"pt"}})";
  Write(folder / "safetensors/one.safetensors", trace::RawBytes(uint64_t{header.size()}) + header + std::string(12, '\0'));
  WriteMoetraces(folder);
  Write(folder / "summary/awkward.json", DumpJson(report::ExperimentToJson(report::AwkwardExperiment())));
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  CHECK(argc == 2);
  moecap::WriteAll(argv[1]);
  return 0;
}
