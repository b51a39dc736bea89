// The readers behind result_file.h, one a family of tools, and what they share. Private to this folder.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "foreign/result_file.h"

namespace moecap::foreign {

// Each says by its keys whether the documents are its tool's; null: they are not.
std::optional<Result<ResultFile>> ReadServeBench(const std::vector<Json>& documents);
std::optional<Result<ResultFile>> ReadAiPerf(const std::vector<Json>& documents);
std::optional<Result<ResultFile>> ReadGuideLlm(const std::vector<Json>& documents);
std::optional<Result<ResultFile>> ReadLlamaBench(const std::vector<Json>& documents);
std::optional<Result<ResultFile>> ReadMoeCap(const std::vector<Json>& documents, const Json& metadata);
Result<ResultFile> ReadLlamaBenchCsv(std::string_view text);

// The first of `keys` that holds a finite number; a text that is one counts ("inf" does not).
std::optional<double> NumberOf(const Json& object, std::initializer_list<const char*> keys);
std::string TextOf(const Json& object, std::initializer_list<const char*> keys);
// The object below `keys`, one inside the other; null where one is missing.
const Json* Inside(const Json& object, std::initializer_list<const char*> keys);

inline std::optional<double> Scaled(std::optional<double> value, double factor) {
  if (value) *value *= factor;
  return value;
}

// "20260428-105748" and "2026-04-28 10:57:48" as ISO 8601; other texts come back empty.
std::string IsoTime(const std::string& text);

// Clients where a concurrency is given, else a rate, else all `requests` at once.
void SetLevel(const std::optional<double>& concurrency, const std::optional<double>& rate,
              const std::optional<double>& requests, Cell& cell);

}  // namespace moecap::foreign
