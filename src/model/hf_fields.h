// Fields of a config.json with a sticky error: a missing or impossible field is remembered (the first one) and read as 1, so
// that shape code stays straight; whoever built the shapes asks error() at the end. Private to the config reader.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::model {

class HfFields {
 public:
  // `text` is the text model's object, `root` the whole file (for fields that only stand at the top). Both must outlive this.
  HfFields(const Json& root, const Json& text) : root_(&root), text_(&text) {}

  using Names = std::initializer_list<std::string_view>;  // first present wins; "a.b" is a nested field; null counts as missing

  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // 1..2^24, at layer `layer` of a list if the field is one.
  int64_t Need(Names names, int layer = 0);
  // 0..2^24.
  int64_t Optional(Names names, int64_t fallback, int layer = 0);
  bool Flag(std::string_view name, bool fallback) const;
  std::string Text(std::string_view name, std::string_view fallback = "") const;
  // A list of numbers or booleans (as 0/1), or numbers in a comma-separated string; empty when missing.
  std::vector<int64_t> Numbers(std::string_view name);
  // A list of strings; empty when missing.
  std::vector<std::string> Words(std::string_view name);
  // The list must have at least `size` entries.
  void NeedLength(std::string_view name, size_t have, size_t size);

  const Json* Find(std::string_view name) const;
  void Fail(std::string message);
  const std::optional<Error>& error() const { return error_; }

 private:
  int64_t Checked(std::string_view name, const Json& value, int layer, int64_t least);

  const Json* root_;
  const Json* text_;
  std::optional<Error> error_;
};

}  // namespace moecap::model
