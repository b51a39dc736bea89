// passes.jsonl and requests.jsonl: one JSON object a line, schema 1, specified in docs/formats/records.md.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::record {

inline constexpr int kSchemaVersion = 1;

// One line without its '\n'. Times are written with the nanosecond's precision or better and read back to the same double.
// `with_counts`: false leaves expert_counts out.
std::string ToJsonLine(const PassRecord& pass, bool with_counts = true);
std::string ToJsonLine(const RequestRecord& request);

// Errors name the key. Keys that are absent and not required take the default of the struct.
Result<PassRecord> ParsePassLine(std::string_view line);
Result<RequestRecord> ParseRequestLine(std::string_view line);

// Whole files, or the whole lines within the bytes [begin, end) of one. Errors name file and line, counted from `begin`.
Result<std::vector<PassRecord>> ReadPasses(const std::filesystem::path& path, uint64_t begin = 0, uint64_t end = UINT64_MAX);
Result<std::vector<RequestRecord>> ReadRequests(const std::filesystem::path& path, uint64_t begin = 0,
                                                uint64_t end = UINT64_MAX);

std::string_view Name(PassKind kind);
std::string_view Name(Source source);
std::string_view Name(FinishReason reason);
std::string_view Name(TokensSource source);
std::string_view Name(TimingGap gap);
std::string_view Name(RequestError error);

}  // namespace moecap::record
