// How fast traces are read: a generated .moetrace (rows of one token in one layer per second) and generated records of
// MoE-CAP's recorder (bytes per second, with the ratio to reading the same file in plain Python where python3 exists). Prints
// JSON lines and checks that what was read is what was written.
//   trace_throughput [MILLION_ROWS] [RECORD_MEGABYTES]
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/check.h"
#include "base/clock.h"
#include "trace/summarize.h"
#include "trace/upstream.h"

namespace moecap {
namespace {
namespace fs = std::filesystem;

constexpr int kLayers = 48;
constexpr int kExperts = 128;
constexpr int kTopK = 8;
constexpr int kBatch = 32;

double PeakMegabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Processor time of this process: on a shared machine it says more than the time on the wall.
double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// A decode pass after the other, popularity falling by layer-dependent steps, half of the experts kept from token to token.
void WriteTrace(const fs::path& path, int64_t rows) {
  trace::TraceHeader header;
  header.experts = kExperts;
  header.top_k = kTopK;
  for (int i = 0; i < kLayers; ++i) header.layer_numbers.push_back(i);
  auto writer = trace::MoetraceWriter::Create(path, header);
  CHECK(writer.ok());
  std::mt19937 rng(1);
  trace::TracePass pass;
  pass.kind = record::PassKind::kDecode;
  pass.tokens = kBatch;
  for (uint32_t i = 0; i < kBatch; ++i) pass.sequences.push_back(i);
  pass.ids.resize(size_t{kLayers} * kBatch * kTopK);
  for (int64_t done = 0; done < rows; done += int64_t{kLayers} * kBatch) {
    for (size_t row = 0; row < size_t{kLayers} * kBatch; ++row) {
      for (size_t k = 0; k < kTopK; ++k) {
        if (done == 0 || rng() % 2)
          pass.ids[row * kTopK + k] = static_cast<uint16_t>(k * 16 + std::min(rng() % 16, rng() % 16));
      }
    }
    CHECK(writer->Write(pass).ok());
    ++pass.number;
  }
  CHECK(writer->Close().ok());
}

void MeasureTrace(const fs::path& path, int64_t rows, const Clock& clock) {
  WriteTrace(path, rows);
  const double cpu_start = CpuSeconds();
  const int64_t start = clock.NowNs();
  const auto reader = trace::MoetraceReader::Open(path);
  CHECK(reader.ok());
  const auto summary = trace::Summarize(**reader, {});
  CHECK(summary.ok());
  const double seconds = static_cast<double>(clock.NowNs() - start) * 1e-9;
  const double cpu_seconds = CpuSeconds() - cpu_start;
  int64_t seen = 0;
  for (const auto& layer : summary->layers) seen += *layer.tokens;
  CHECK(seen >= rows && seen < rows + kLayers * kBatch);
  fmt::print(
      "{{\"bench\":\"moetrace\",\"rows\":{},\"file_bytes\":{},\"seconds\":{:.3f},\"cpu_seconds\":{:.3f},\"rows_per_s\":{:.0f},"
      "\"peak_mb\":{:.0f}}}\n",
      seen, fs::file_size(path), seconds, cpu_seconds, static_cast<double>(seen) / seconds, PeakMegabytes());
}

int64_t WriteRecords(const fs::path& path, int64_t bytes) {
  std::ofstream out(path, std::ios::binary);
  std::string text;
  int64_t records = 0;
  for (int64_t written = 0; written < bytes; ++records) {
    text = fmt::format(
        R"({{"forward_pass_id":{},"batch_size":32,"latency":0.0{:07},"seq_lens_sum":{},"forward_mode":"decode","expert_activation":91.{:04},"gpu_num":8,"gpu_raw_type":"NVIDIA-H200-140GB","scheduled_tokens":32,"req_ids":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31]}})"
        "\n",
        records, 2500000 + records % 1000, 32 * 1000 + records % 4096, records % 10000);
    out << text;
    written += static_cast<int64_t>(text.size());
  }
  return records;
}

void MeasureRecords(const fs::path& path, int64_t bytes, const Clock& clock) {
  const int64_t records = WriteRecords(path, bytes);
  const double cpu_start = CpuSeconds();
  const int64_t start = clock.NowNs();
  int64_t passes = 0;
  const auto report = trace::ReadUpstream(path, {}, [&passes](const record::PassRecord&, bool) {
    ++passes;
    return Status();
  });
  const double seconds = static_cast<double>(clock.NowNs() - start) * 1e-9;
  const double cpu_seconds = CpuSeconds() - cpu_start;
  CHECK(report.ok() && report->records == records && passes == records);
  const double rate = static_cast<double>(fs::file_size(path)) / seconds;
  std::fflush(stdout);
  const std::string python = fmt::format(
      "python3 -c 'import json,time,sys\nt=time.perf_counter();s=0.0;n=0\nfor l in open(sys.argv[1]):\n "
      "r=json.loads(l);s+=r[\"latency\"];n+=1\n"
      "print(time.perf_counter()-t)' {} 2>/dev/null",
      path.string());
  double python_seconds = 0;
  if (std::FILE* pipe = ::popen(python.c_str(), "r"); pipe != nullptr) {
    if (std::fscanf(pipe, "%lf", &python_seconds) != 1) python_seconds = 0;
    ::pclose(pipe);
  }
  fmt::print(
      "{{\"bench\":\"upstream\",\"records\":{},\"bytes\":{},\"seconds\":{:.3f},\"cpu_seconds\":{:.3f},\"bytes_per_s\":{:.0f},"
      "\"peak_mb\":{:.0f},"
      "\"python_ratio\":{}}}\n",
      records, fs::file_size(path), seconds, cpu_seconds, rate, PeakMegabytes(),
      python_seconds > 0 ? fmt::format("{:.1f}", python_seconds / seconds) : "null");
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  const int64_t rows = (argc > 1 ? std::atoll(argv[1]) : 10) * 1'000'000;
  const int64_t bytes = (argc > 2 ? std::atoll(argv[2]) : 200) * 1'000'000;
  const moecap::SteadyClock clock;
  const std::string name = fmt::format("moecap-bench-{}", ::getpid());
  const std::filesystem::path file = std::filesystem::temp_directory_path() / name;
  moecap::MeasureTrace(file, rows, clock);
  moecap::MeasureRecords(file, bytes, clock);
  std::filesystem::remove(file);
  return 0;
}
