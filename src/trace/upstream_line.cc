#include "trace/upstream_line.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

namespace moecap::trace {
namespace {

// The DOM interface rather than the on-demand one: the former picks the processor's vector instructions at run time.
namespace dom = simdjson::dom;
using simdjson::error_code;

constexpr double kMostTokens = 1e10;

// Whole numbers, also when written as 4096.0; null leaves the default.
error_code ReadInt(const dom::element& value, int64_t& out) {
  double wide = 0;
  if (value.is_null()) return simdjson::SUCCESS;
  if (const error_code error = value.get_double().get(wide)) return error;
  if (!(wide >= 0) || wide > kMostTokens || wide != std::floor(wide)) return simdjson::NUMBER_OUT_OF_RANGE;
  out = static_cast<int64_t>(wide);
  return simdjson::SUCCESS;
}

error_code ReadDouble(const dom::element& value, double& out) {
  if (value.is_null()) return simdjson::SUCCESS;
  return value.get_double().get(out);
}

error_code ReadText(const dom::element& value, std::string& out) {
  std::string_view text;
  if (value.is_null()) return simdjson::SUCCESS;
  if (const error_code error = value.get_string().get(text)) return error;
  out.assign(text);
  return simdjson::SUCCESS;
}

// An id may be text or a number; null where the writer had none.
error_code ReadId(const dom::element& value, std::string& out) {
  int64_t number = 0;
  if (value.is_null()) return simdjson::SUCCESS;
  if (value.is_string()) return ReadText(value, out);
  if (const error_code error = value.get_int64().get(number)) return error;
  out = fmt::format_int(number).str();
  return simdjson::SUCCESS;
}

error_code ReadRequest(const dom::element& value, UpstreamRequest& request) {
  dom::object object;
  if (const error_code error = value.get_object().get(object)) return error;
  for (const auto& [key, inner] : object) {
    error_code error = simdjson::SUCCESS;
    if (key == "req_id") {
      error = ReadId(inner, request.id);
    } else if (key == "extend_len") {
      error = ReadInt(inner, request.new_tokens);
    } else if (key == "total_len") {
      error = ReadInt(inner, request.total_tokens);
    } else if (key == "is_last_chunk") {
      if (!inner.is_null()) error = inner.get_bool().get(request.last_chunk);
    } else if (key == "req_pool_idx") {
      request.has_pool_index = true;
    }
    if (error) return error;
  }
  return simdjson::SUCCESS;
}

template <typename T, typename Read>
error_code ReadList(const dom::element& value, std::vector<T>& out, Read read) {
  if (value.is_null()) return simdjson::SUCCESS;
  dom::array array;
  if (const error_code error = value.get_array().get(array)) return error;
  for (const dom::element inner : array) {
    if (const error_code error = read(inner, out.emplace_back())) return error;
  }
  return simdjson::SUCCESS;
}

error_code ReadField(std::string_view key, const dom::element& value, UpstreamLine& line) {
  if (key == "forward_mode") return ReadText(value, line.mode);
  if (key == "latency" || key == "ttft" || key == "tpot") {
    return value.is_null() ? simdjson::SUCCESS : value.get_double().get(line.latency_s.emplace());
  }
  if (key == "batch_size") return ReadInt(value, line.batch_size);
  if (key == "seq_lens_sum") return ReadInt(value, line.seq_lens_sum);
  if (key == "scheduled_tokens") return value.is_null() ? simdjson::SUCCESS : ReadInt(value, line.scheduled_tokens.emplace());
  if (key == "expert_activation") return ReadDouble(value, line.expert_activation);
  if (key == "gpu_raw_type") return ReadText(value, line.device);
  if (key == "per_req_info") return ReadList(value, line.requests, ReadRequest);
  if (key == "req_ids") return ReadList(value, line.request_ids, ReadId);
  if (key == "gpu_num") {
    int64_t devices = 0;
    // "N/A" on hosts without a GPU.
    if (ReadInt(value, devices) == simdjson::SUCCESS && devices > 0 && devices < 1'000'000)
      line.devices = static_cast<int>(devices);
  }
  return simdjson::SUCCESS;
}

void Clear(UpstreamLine& line) {
  line.mode.clear();
  line.latency_s.reset();
  line.batch_size = line.seq_lens_sum = 0;
  line.scheduled_tokens.reset();
  line.expert_activation = 0;
  line.devices.reset();
  line.device.clear();
  line.requests.clear();
  line.request_ids.clear();
}

}  // namespace

struct UpstreamLineParser::Impl {
  dom::parser parser;
};

UpstreamLineParser::UpstreamLineParser() : impl_(std::make_unique<Impl>()) {}
UpstreamLineParser::~UpstreamLineParser() = default;

size_t UpstreamLineParser::Slack() { return simdjson::SIMDJSON_PADDING; }

Status UpstreamLineParser::Parse(std::string_view text, UpstreamLine& line) {
  Clear(line);
  constexpr bool kCopyIfNeeded = false;  // the padding behind the line is ours to read
  dom::element root;
  dom::object object;
  error_code error = impl_->parser.parse(text.data(), text.size(), kCopyIfNeeded).get(root);
  if (!error) error = root.get_object().get(object);
  if (error) return BadInput(fmt::format("not valid JSON: {}", simdjson::error_message(error)));
  for (const auto& [key, value] : object) {
    error = ReadField(key, value, line);
    if (error) return BadInput(fmt::format("\"{}\": {}", key, simdjson::error_message(error)));
  }
  return {};
}

}  // namespace moecap::trace
