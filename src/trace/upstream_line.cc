#include "trace/upstream_line.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>
#include <optional>

#include "base/csv.h"
#include "base/fs.h"
#include "trace/line_reader.h"

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
  if (key == "req_ids") {
    return ReadList(value, line.request_ids, [&line](const dom::element& id, std::string& out) {
      line.textual_ids |= id.is_string();
      return ReadId(id, out);
    });
  }
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
  line.textual_ids = false;
}

Status ReadRecord(const dom::element& root, UpstreamLine& line) {
  Clear(line);
  dom::object object;
  if (root.get_object().get(object)) return BadInput("not a JSON object");
  for (const auto& [key, value] : object) {
    if (ReadField(key, value, line))
      return BadInput(fmt::format("\"{}\" is not of the kind that MoE-CAP's recorder writes", key));
  }
  return {};
}

// The list of records in a document; false when there is none.
bool FindRecords(const dom::element& root, dom::array& records) {
  if (!root.get_array().get(records)) return true;
  for (const char* key : {"records", "data", "result", "results"}) {
    dom::element inner;
    if (root[key].get(inner)) continue;
    if (!inner.get_array().get(records) || FindRecords(inner, records)) return true;
  }
  return false;
}

bool Blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

}  // namespace

struct UpstreamFile::Impl {
  std::string name;
  dom::parser parser;
  std::optional<LineReader> lines;  // of JSON lines
  simdjson::padded_string text;     // of one document
  dom::array records;
  dom::array::iterator next, end;
  int64_t number = 0;

  Result<bool> NextLine(UpstreamLine& line) {
    constexpr bool kCopyIfNeeded = false;  // the padding behind the line is ours to read
    std::string_view one;
    do {
      const auto more = lines->Next(one);
      if (!more.ok()) return Annotate(name, more.error());
      if (!*more) return false;
      if (lines->line_number() == 1) one = WithoutBom(one);
    } while (Blank(one));
    dom::element root;
    if (parser.parse(one.data(), one.size(), kCopyIfNeeded).get(root)) return BadInput("not valid JSON");
    RETURN_IF_ERROR(ReadRecord(root, line));
    return true;
  }

  // A first line that is a whole record, or none at all, begins JSON lines.
  Result<bool> IsDocument(const std::filesystem::path& path) {
    ASSIGN_OR_RETURN(LineReader reader, LineReader::Open(path, simdjson::SIMDJSON_PADDING));
    std::string_view one;
    do {
      ASSIGN_OR_RETURN(const bool more, reader.Next(one));
      if (!more) return false;
      if (reader.line_number() == 1) one = WithoutBom(one);
    } while (Blank(one));
    dom::element root, mode;
    if (parser.parse(one.data(), one.size(), true).get(root))
      return one[one.find_first_not_of(" \t\r")] != '{' || one.size() < 3;
    dom::array list;
    return root["forward_mode"].get(mode) != simdjson::SUCCESS && FindRecords(root, list);
  }
};

UpstreamFile::UpstreamFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UpstreamFile::UpstreamFile(UpstreamFile&&) noexcept = default;
UpstreamFile::~UpstreamFile() = default;

Result<UpstreamFile> UpstreamFile::Open(const std::filesystem::path& path) {
  auto impl = std::make_unique<Impl>();
  impl->name = path.string();
  const auto document = impl->IsDocument(path);
  if (!document.ok()) return Annotate(path.string(), document.error());
  if (!*document) {
    ASSIGN_OR_RETURN(impl->lines, LineReader::Open(path, simdjson::SIMDJSON_PADDING));
    return UpstreamFile(std::move(impl));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  impl->text = simdjson::padded_string(WithoutBom(text));
  dom::element root;
  if (impl->parser.parse(impl->text).get(root)) return BadInput(fmt::format("{}: not valid JSON", path.string()));
  if (!FindRecords(root, impl->records))
    return BadInput(fmt::format("{}: neither a list of records nor an object with \"records\"", path.string()));
  impl->next = impl->records.begin();
  impl->end = impl->records.end();
  return UpstreamFile(std::move(impl));
}

std::string UpstreamFile::where() const {
  if (impl_->lines) return fmt::format("{}:{}", impl_->name, impl_->lines->line_number());
  return fmt::format("{}, record {}", impl_->name, impl_->number);
}

Result<bool> UpstreamFile::Next(UpstreamLine& line) {
  if (impl_->lines) {
    auto more = impl_->NextLine(line);
    if (!more.ok()) return Annotate(where(), more.error());
    return more;
  }
  if (!(impl_->next != impl_->end)) return false;
  ++impl_->number;
  const Status read = ReadRecord(*impl_->next, line);
  ++impl_->next;
  if (!read.ok()) return Annotate(where(), read.error());
  return true;
}

}  // namespace moecap::trace
