#include "accuracy/hendrycks.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

// `\sqrt3` -> `\sqrt{3}`. Null where nothing follows.
std::optional<std::string> BraceRoots(std::string_view text) {
  constexpr std::string_view kRoot = "\\sqrt";
  std::string braced;
  for (size_t at = text.find(kRoot); at != std::string_view::npos; at = text.find(kRoot)) {
    braced += text.substr(0, at + kRoot.size());
    text.remove_prefix(at + kRoot.size());
    if (text.empty() || text.starts_with(kRoot)) return std::nullopt;
    if (text.front() == '{') continue;
    const size_t size = FirstCharacterSize(text);
    braced += "{" + std::string(text.substr(0, size)) + "}";
    text.remove_prefix(size);
  }
  return braced + std::string(text);
}

// `\frac12` -> `\frac{1}{2}`, `\frac1{72}` -> `\frac{1}{72}`, not `\frac{72}1`. The text itself where one character alone
// follows a `\frac`; null where none does.
std::optional<std::string> BraceFractions(const std::string& text) {
  constexpr std::string_view kFraction = "\\frac";
  std::string_view rest = text;
  size_t at = rest.find(kFraction);
  std::string braced(rest.substr(0, at));
  while (at != std::string_view::npos) {
    rest.remove_prefix(at + kFraction.size());
    at = rest.find(kFraction);
    std::string_view part = rest.substr(0, at);
    braced += kFraction;
    if (part.empty()) return std::nullopt;
    if (part.front() != '{') {
      const size_t first = FirstCharacterSize(part);
      if (first == part.size()) return text;
      braced += "{" + std::string(part.substr(0, first)) + "}";
      part.remove_prefix(first);
      if (part.front() != '{') {
        const size_t second = FirstCharacterSize(part);
        braced += "{" + std::string(part.substr(0, second)) + "}";
        part.remove_prefix(second);
      }
    }
    braced += part;
  }
  return braced;
}

// What Python's int() takes, of ASCII: digits with single underscores between them, a sign before them, blanks around.
bool IsPythonInteger(std::string_view text) {
  text = Strip(text);
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  if (text.empty() || !IsDigit(text.front()) || !IsDigit(text.back()) || text.find("__") != std::string_view::npos)
    return false;
  constexpr size_t kMostDigits = 4300;
  return text.size() <= kMostDigits && std::all_of(text.begin(), text.end(), [](char c) { return IsDigit(c) || c == '_'; });
}

// As str(int(text)) writes it.
bool IsCanonicalInteger(std::string_view text) {
  if (text == "0") return true;
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.front() != '0' && std::all_of(text.begin(), text.end(), IsDigit);
}

// "a/b" of integers -> `\frac{a}{b}`.
std::optional<std::string> FractionOfSlash(const std::string& text, HendrycksVariant variant) {
  if (Count(text, "/") != 1) return text;
  const std::string over = text.substr(0, text.find('/')), under = text.substr(text.find('/') + 1);
  if (!IsPythonInteger(over) || !IsPythonInteger(under)) {
    if (variant == HendrycksVariant::kHarness) return std::nullopt;
    return text;
  }
  if (!IsCanonicalInteger(over) || !IsCanonicalInteger(under)) return text;
  return "\\frac{" + over + "}{" + under + "}";
}

constexpr std::array<std::pair<const char*, const char*>, 10> kFirst{{{"\n", ""},
                                                                      {"\\!", ""},
                                                                      {"\\\\", "\\"},
                                                                      {"tfrac", "frac"},
                                                                      {"dfrac", "frac"},
                                                                      {"\\left", ""},
                                                                      {"\\right", ""},
                                                                      {"^{\\circ}", ""},
                                                                      {"^\\circ", ""},
                                                                      {"\\$", ""}}};

}  // namespace

std::optional<std::string> HendrycksNormalised(std::string_view original, HendrycksVariant variant) {
  std::string text(original);
  for (const auto& [from, to] : kFirst) Replace(text, from, to);
  constexpr std::string_view kUnit = "\\text{ ";
  const size_t units = Count(text, kUnit);
  if (units > 1) return std::nullopt;
  if (units == 1) text.resize(text.find(kUnit));
  Replace(text, "\\%", "");
  Replace(text, " .", " 0.");
  Replace(text, "{.", "{0.");
  if (text.empty()) return text;
  if (text.front() == '.') text.insert(0, "0");
  // "x = 5" -> "5": at most two characters before the only "=".
  if (Count(text, "=") == 1) {
    const size_t equals = text.find('=');
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
    if (equals - std::count_if(text.begin(), text.begin() + equals, continues) <= 2) text.erase(0, equals + 1);
  }
  std::optional<std::string> rooted = BraceRoots(text);
  if (!rooted) return std::nullopt;
  Replace(*rooted, " ", "");
  std::optional<std::string> braced = BraceFractions(*rooted);
  if (!braced) return std::nullopt;
  if (*braced == "0.5") *braced = "\\frac{1}{2}";
  return FractionOfSlash(*braced, variant);
}

bool HendrycksEqual(std::string_view first, std::string_view second, HendrycksVariant variant) {
  const std::optional<std::string> a = HendrycksNormalised(first, variant), b = HendrycksNormalised(second, variant);
  return a && b ? *a == *b : first == second;
}

}  // namespace moecap::accuracy
