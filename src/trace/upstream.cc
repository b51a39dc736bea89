#include "trace/upstream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "trace/upstream_line.h"

namespace moecap::trace {
namespace {
namespace fs = std::filesystem;

using record::PassKind;
using record::PassRecord;
using record::SequenceSlice;

constexpr size_t kMostRequests = size_t{1} << 16;

// What the records of a file say of the recorder that wrote them. Certain: only one of the two can have written it.
struct Evidence {
  int64_t sglang = 0, vllm = 0, maybe_vllm = 0;

  void Add(const UpstreamLine& line) {
    const bool pool = std::ranges::any_of(line.requests, [](const UpstreamRequest& request) { return request.has_pool_index; });
    if (line.mode == "decode" && line.batch_size > 0) {
      // A decoded token has a prompt before it, so a sum of contexts is at least twice the batch; vLLM writes the scheduled
      // tokens, more than one a sequence only with speculative decoding.
      if (line.seq_lens_sum == line.batch_size) {
        ++vllm;
      } else if (line.seq_lens_sum > line.batch_size) {
        (line.scheduled_tokens == line.seq_lens_sum ? maybe_vllm : sglang) += 1;
      }
    }
    sglang += pool;
    maybe_vllm += !pool && !line.requests.empty();
    maybe_vllm += line.textual_ids;
    if (line.mode == "prefill" && line.scheduled_tokens && *line.scheduled_tokens < line.seq_lens_sum) ++sglang;
  }

  Result<UpstreamFlavour> Verdict() const {
    if (sglang > 0 && vllm > 0) {
      return BadInput(fmt::format(
          "{} records can only be of the recorder for SGLang and {} only of that for vLLM: two recordings in one file? "
          "--flavour sglang or vllm reads it as one of them",
          sglang, vllm));
    }
    if (sglang + vllm > 0) return sglang > 0 ? UpstreamFlavour::kSglang : UpstreamFlavour::kVllm;
    return maybe_vllm > 0 ? UpstreamFlavour::kVllm : UpstreamFlavour::kSglang;
  }
};

Result<UpstreamFlavour> TellFlavour(const fs::path& path) {
  ASSIGN_OR_RETURN(UpstreamFile file, UpstreamFile::Open(path));
  UpstreamLine line;
  Evidence evidence;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, file.Next(line));
    if (!more) break;
    evidence.Add(line);
  }
  const auto verdict = evidence.Verdict();
  if (!verdict.ok()) return Annotate(path.string(), verdict.error());
  return verdict;
}

// `batch` sequences whose contexts and new tokens have the given sums, as equal as whole numbers allow.
void SplitEvenly(int64_t context, int64_t new_tokens, int64_t batch, std::vector<SequenceSlice>& sequences) {
  const int64_t more_context = context % batch;
  const int64_t more_new = new_tokens % batch;
  int64_t begin = 0;
  for (const int64_t end : {std::min(more_context, more_new), std::max(more_context, more_new), batch}) {
    if (end == begin) continue;
    sequences.push_back(
        {context / batch + (begin < more_context ? 1 : 0), new_tokens / batch + (begin < more_new ? 1 : 0), end - begin});
    begin = end;
  }
}

// How far the requests of a vLLM server have come; the least recently seen are forgotten.
class Contexts {
 public:
  std::optional<int64_t> Of(const std::string& request) {
    const auto found = by_request_.find(request);
    return found == by_request_.end() ? std::nullopt : std::optional(found->second.tokens);
  }
  void Set(const std::string& request, int64_t tokens) {
    by_request_[request] = {tokens, ++clock_};
    if (by_request_.size() > kMostRequests) Forget();
  }

 private:
  struct Entry {
    int64_t tokens = 0;
    int64_t seen = 0;
  };
  void Forget() {
    const int64_t limit = clock_ - static_cast<int64_t>(kMostRequests) / 2;
    std::erase_if(by_request_, [limit](const auto& entry) { return entry.second.seen <= limit; });
  }
  std::unordered_map<std::string, Entry> by_request_;
  int64_t clock_ = 0;
};

class Importer {
 public:
  Importer(const UpstreamOptions& options, UpstreamFlavour flavour, const UpstreamSink& sink) : options_(options), sink_(sink) {
    report_.flavour = flavour;
  }

  Status Add(const UpstreamLine& line) {
    ++report_.records;
    if (line.devices && report_.devices && *line.devices != *report_.devices)
      return BadInput(
          fmt::format("records of {} and of {} GPUs (gpu_num): two recordings in one file", *report_.devices, *line.devices));
    if (line.devices) report_.devices = line.devices;
    if (!line.device.empty()) report_.device = line.device;
    const bool prefill = line.mode == "prefill";
    if ((!prefill && line.mode != "decode") || line.batch_size == 0) {
      ++report_.skipped;
      return {};
    }
    if (!line.latency_s || !std::isfinite(*line.latency_s) || *line.latency_s < 0)
      return BadInput("\"latency\" is missing or not a time in seconds");
    if (!std::isfinite(line.expert_activation) || line.expert_activation < 0)
      return BadInput("\"expert_activation\" is not a number of experts");
    next_.sequences.clear();
    next_context_known_ = true;
    next_.kind = prefill ? PassKind::kPrefill : PassKind::kDecode;
    next_.latency_s = *line.latency_s;
    SetExperts(line.expert_activation);
    const bool vllm = report_.flavour == UpstreamFlavour::kVllm;
    RETURN_IF_ERROR(prefill ? Prefill(line, vllm) : vllm ? DecodeVllm(line) : DecodeSglang(line));
    if (next_.sequences.empty()) {
      ++report_.skipped;
      return {};
    }
    return Queue(vllm);
  }

  Result<UpstreamReport> Finish() {
    RETURN_IF_ERROR(Flush());
    for (Phase* phase : {&prefill_, &decode_, &mixed_}) {
      if (phase->with_experts > 0)
        phase->sums.mean_distinct_experts = phase->experts / static_cast<double>(phase->with_experts);
    }
    report_.prefill = prefill_.sums;
    report_.decode = decode_.sums;
    report_.mixed_steps = mixed_.sums;
    AddNotes();
    return std::move(report_);
  }

 private:
  void SetExperts(double activation) {
    next_.distinct_experts.clear();
    next_.distinct_experts_source = record::Source::kServerReported;
    if (activation <= 0) return;
    const bool undo = options_.layers > 0 && options_.moe_layers > 0;
    next_.distinct_experts.push_back(undo ? activation * options_.layers / options_.moe_layers : activation);
  }

  Status Prefill(const UpstreamLine& line, bool vllm) {
    if (line.requests.empty()) return PrefillSums(line, vllm);
    for (const UpstreamRequest& request : line.requests) {
      if (request.new_tokens < 1) continue;
      int64_t context = request.total_tokens - request.new_tokens;
      if (vllm) {
        // total_tokens is the whole prompt: only the last chunk ends there.
        if (!request.last_chunk) context = contexts_.Of(request.id).value_or(0);
        contexts_.Set(request.id, context + request.new_tokens);
      }
      if (context < 0) return BadInput("\"extend_len\" is larger than \"total_len\"");
      next_.sequences.push_back({context, request.new_tokens, 1});
    }
    return {};
  }

  // Only sums: SGLang's may hold cached context, vLLM's are the new tokens alone.
  Status PrefillSums(const UpstreamLine& line, bool vllm) {
    const int64_t new_tokens = line.scheduled_tokens.value_or(line.seq_lens_sum);
    const int64_t context = vllm ? 0 : line.seq_lens_sum - new_tokens;
    if (context < 0) return BadInput("\"scheduled_tokens\" is larger than \"seq_lens_sum\"");
    if (new_tokens < line.batch_size) return {};  // skipped: a sequence without a token
    if (vllm) next_context_known_ = false;
    if (!line.scheduled_tokens && !vllm) ++assumed_uncached_;
    if (line.batch_size > 1) ++report_.split_evenly;
    SplitEvenly(context, new_tokens, line.batch_size, next_.sequences);
    return {};
  }

  Status DecodeSglang(const UpstreamLine& line) {
    if (line.seq_lens_sum < line.batch_size) return BadInput("\"seq_lens_sum\" is smaller than \"batch_size\"");
    if (line.batch_size > 1) ++report_.split_evenly;
    SplitEvenly(line.seq_lens_sum - line.batch_size, line.batch_size, line.batch_size, next_.sequences);
    return {};
  }

  Status DecodeVllm(const UpstreamLine& line) {
    bool known = static_cast<int64_t>(line.request_ids.size()) == line.batch_size;
    for (const std::string& request : line.request_ids) {
      const std::optional<int64_t> context = contexts_.Of(request);
      known &= context.has_value();
      if (!context) continue;
      next_.sequences.push_back({*context, 1, 1});
      contexts_.Set(request, *context + 1);
    }
    if (known) return {};
    next_.sequences.assign(1, {0, 1, line.batch_size});
    next_context_known_ = false;
    return {};
  }

  // vLLM writes a mixed step as two records with the same latency to the last digit.
  Status Queue(bool vllm) {
    if (vllm && queued_ && queued_pass_.latency_s == next_.latency_s && queued_pass_.kind != next_.kind &&
        queued_pass_.kind != PassKind::kMixed) {
      queued_pass_.kind = PassKind::kMixed;
      queued_pass_.sequences.insert(queued_pass_.sequences.end(), next_.sequences.begin(), next_.sequences.end());
      if (queued_pass_.distinct_experts.empty()) queued_pass_.distinct_experts = next_.distinct_experts;
      queued_context_known_ &= next_context_known_;
      ++report_.mixed;
      return {};
    }
    RETURN_IF_ERROR(Flush());
    std::swap(queued_pass_, next_);
    queued_context_known_ = next_context_known_;
    queued_ = true;
    return {};
  }

  Status Flush() {
    if (!queued_) return {};
    queued_ = false;
    queued_pass_.pass = report_.passes++;
    report_.without_experts += queued_pass_.distinct_experts.empty();
    report_.without_context += !queued_context_known_;
    Phase& phase = queued_pass_.kind == PassKind::kPrefill  ? prefill_
                   : queued_pass_.kind == PassKind::kDecode ? decode_
                                                            : mixed_;
    ++phase.sums.passes;
    phase.sums.new_tokens += queued_pass_.NewTokens();
    phase.sums.latency_s += queued_pass_.latency_s;
    if (!queued_pass_.distinct_experts.empty()) {
      phase.experts += queued_pass_.distinct_experts[0];
      ++phase.with_experts;
    }
    return sink_(queued_pass_, queued_context_known_);
  }

  void AddNotes() {
    const auto note = [this](int64_t count, const char* text) {
      if (count > 0) report_.notes.push_back(fmt::format("{} of {} {}", count, report_.passes, text));
    };
    note(report_.without_experts, "passes have no expert activation (recorded as 0): their bytes and S-MBU are not known");
    note(report_.without_context,
         "passes do not say how long their sequences are: their KV bytes, S-MBU and S-MFU are not known");
    note(report_.split_evenly, "passes give only sums over their sequences, taken as equal ones");
    note(assumed_uncached_, "prefill passes give one sum, taken as new tokens without cached context");
    note(report_.mixed,
         "passes were two records, one of prefill and one of decode, with the latency of the whole step in each");
    if (report_.skipped > 0)
      report_.notes.push_back(fmt::format("{} records of other modes or without tokens were left out", report_.skipped));
    if (options_.layers == 0 || options_.moe_layers == 0) {
      report_.notes.push_back("experts are means over all layers, dense ones counted as 0; the model's layers would undo that");
    }
  }

  struct Phase {
    UpstreamPhase sums;
    double experts = 0;
    int64_t with_experts = 0;
  };

  UpstreamOptions options_;
  const UpstreamSink& sink_;
  UpstreamReport report_;
  Contexts contexts_;
  PassRecord next_, queued_pass_;
  bool next_context_known_ = true, queued_context_known_ = true;
  bool queued_ = false;
  int64_t assumed_uncached_ = 0;
  Phase prefill_, decode_, mixed_;
};

}  // namespace

std::string_view Name(UpstreamFlavour flavour) { return flavour == UpstreamFlavour::kVllm ? "vllm" : "sglang"; }

Result<std::optional<UpstreamFlavour>> UpstreamFlavourByName(std::string_view name) {
  if (name.empty()) return std::optional<UpstreamFlavour>();
  for (const UpstreamFlavour flavour : {UpstreamFlavour::kSglang, UpstreamFlavour::kVllm}) {
    if (Name(flavour) == name) return std::optional(flavour);
  }
  return BadInput(fmt::format("--flavour {}: sglang and vllm are known", name));
}

Result<UpstreamReport> ReadUpstream(const fs::path& path, const UpstreamOptions& options, const UpstreamSink& sink) {
  UpstreamFlavour flavour = UpstreamFlavour::kSglang;
  if (options.flavour) {
    flavour = *options.flavour;
  } else {
    ASSIGN_OR_RETURN(flavour, TellFlavour(path));
  }
  ASSIGN_OR_RETURN(UpstreamFile file, UpstreamFile::Open(path));
  Importer importer(options, flavour, sink);
  UpstreamLine line;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, file.Next(line));
    if (!more) break;
    if (const Status added = importer.Add(line); !added.ok()) return Annotate(file.where(), added.error());
  }
  return importer.Finish();
}

}  // namespace moecap::trace
