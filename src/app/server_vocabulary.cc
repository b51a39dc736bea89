#include "app/server_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "base/fs.h"
#include "base/json.h"
#include "model/open_model.h"
#include "workload/prompt_content.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

constexpr int kWordsOfOneText = 128;

// The config.json in a folder of this machine; null when there is none. Any architecture's: only single numbers are needed.
Json ConfigAt(const fs::path& folder) {
  std::error_code error;
  if (!folder.is_absolute() || !fs::is_directory(folder, error)) return nullptr;
  const auto text = ReadFile(folder / "config.json");
  auto config = text.ok() ? ParseJson(*text) : Result<Json>(Json());
  return config.ok() && config->is_object() ? std::move(config).value() : Json(nullptr);
}

// Of the model, or the text model of several.
std::optional<int64_t> NumberIn(const Json& config, const char* key) {
  if (!config.is_object()) return std::nullopt;
  for (const Json* part : {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
    if (part == nullptr || !part->is_object()) continue;
    const auto number = part->find(key);
    if (number != part->end() && number->is_number_integer() && *number > 0) return number->get<int64_t>();
  }
  return std::nullopt;
}

std::optional<experiment::Vocabulary> AtPath(const fs::path& path) {
  std::error_code error;
  if (!path.is_absolute() || !fs::exists(path, error)) return std::nullopt;
  if (fs::is_directory(path, error)) {
    const auto size = NumberIn(ConfigAt(path), "vocab_size");
    if (!size) return std::nullopt;
    return experiment::Vocabulary{*size, {}, "vocab_size of " + (path / "config.json").string()};
  }
  const auto spec = model::OpenModel(path.string());
  if (!spec.ok() || spec->vocab <= 0) return std::nullopt;
  return experiment::Vocabulary{spec->vocab, {}, "the model file " + path.string()};
}

std::optional<experiment::Vocabulary> OfCatalogue(const std::string& name) {
  std::error_code error;
  if (name.empty() || fs::exists(name, error)) return std::nullopt;
  const auto spec = model::OpenModel(name);
  if (!spec.ok() || spec->vocab <= 0) return std::nullopt;
  return experiment::Vocabulary{spec->vocab, {}, "the catalogue's " + name};
}

// Every id below the greatest one exists, but only those that words became are known to be no control tokens.
std::optional<experiment::Vocabulary> OfTokenizer(const TokenizeText& tokenize) {
  if (!tokenize) return std::nullopt;
  std::set<int32_t> ids;
  std::vector<int32_t> words(kWordsOfOneText);
  for (int32_t begin = 0; begin < workload::WordCount(); begin += kWordsOfOneText) {
    words.resize(static_cast<size_t>(std::min(kWordsOfOneText, workload::WordCount() - begin)));
    std::iota(words.begin(), words.end(), begin);
    const auto tokens = tokenize(workload::Words(words));
    if (!tokens.ok()) return std::nullopt;
    // A tokenizer may put a control token in front.
    for (size_t i = 1; i < tokens->size(); ++i) ids.insert((*tokens)[i]);
  }
  if (ids.empty()) return std::nullopt;
  return experiment::Vocabulary{*ids.rbegin() + 1, {ids.begin(), ids.end()}, "what its /tokenize makes of common words"};
}

}  // namespace

std::optional<experiment::Vocabulary> FindVocabulary(const openai::ServerFacts& facts, const std::string& model_name,
                                                     const std::string& served, const TokenizeText& tokenize) {
  if (facts.vocabulary) return experiment::Vocabulary{*facts.vocabulary, {}, facts.vocabulary_page};
  for (const std::string& path : {facts.model_path, model_name, served}) {
    if (auto found = AtPath(path)) return found;
  }
  for (const std::string& name : {served, model_name, facts.model_path}) {
    if (auto found = OfCatalogue(name)) return found;
  }
  return OfTokenizer(tokenize);
}

std::optional<int64_t> FindContext(const openai::ServerFacts& facts, const std::string& model_name, const std::string& served) {
  if (facts.context_tokens) return facts.context_tokens;
  for (const std::string& path : {facts.model_path, model_name, served}) {
    if (const auto tokens = NumberIn(ConfigAt(path), "max_position_embeddings")) return tokens;
    std::error_code error;
    if (!path.ends_with(".gguf") || !fs::path(path).is_absolute() || !fs::exists(path, error)) continue;
    const auto spec = model::OpenModel(path);
    if (spec.ok() && spec->max_context) return spec->max_context;
  }
  return std::nullopt;
}

}  // namespace moecap::app
