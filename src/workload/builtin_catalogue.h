// The data sets and prompts that this program knows, as they stand in catalog/. Internal to the folder.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace moecap::workload {

struct BuiltinText {
  std::string_view file;  // "catalog/datasets/gsm8k.yaml"
  std::string_view text;
};

// "gsm8k": a file is named as what it describes.
inline std::string NameOf(const BuiltinText& builtin) {
  const std::string_view name = builtin.file.substr(builtin.file.rfind('/') + 1);
  return std::string(name.substr(0, name.rfind('.')));
}

// In the order of their names.
std::span<const BuiltinText> BuiltinDatasetTexts();
std::span<const BuiltinText> BuiltinPromptTexts();

}  // namespace moecap::workload
