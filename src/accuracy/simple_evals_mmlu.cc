// openai/simple-evals' rule for MMLU: "Answer:" in many languages, tried in this order, and the letters of four scripts.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "accuracy/multiple_choice.h"
#include "accuracy/regex.h"
#include "accuracy/text.h"

namespace moecap::accuracy {
namespace {

// Removed in this order before the search.
constexpr std::array kMarkup{"**",  "$\\boxed{", "}$",  "\\$",       "$\\text{", "$",      "\\mathrm{",
                             "\\{", "\\text",    "\\(", "\\mathbf{", "{",        "\\boxed"};

constexpr std::array kLabels{"Answer\\s*:",
                             "Answer\\s*:\u200b\u200b\u200b\u200b\u200b\u200b",
                             "উত্তর\\s*:",
                             "उत्तर\\s*:",
                             "উত্তরঃ",
                             "উত্তর\\s*:",
                             "Antwort\\s*:",
                             "답변\\s*:",
                             "정답\\s*:",
                             "답\\s*:",
                             "答案\\s*：",
                             "答案\\s*:",
                             "答\\s*：",
                             "答\\s*:",
                             "答复\\s*：",
                             "答曰\\s*：",
                             "الإجابة:",
                             "الجواب:",
                             "إجابة:",
                             "الإجابة النهائية:",
                             "الإجابة الصحيحة:",
                             "الإجابة الصحيحة هي:",
                             "الإجابة هي:",
                             "الجواب النهائي:",
                             "Respuesta\\s*:",
                             "Risposta\\s*:",
                             "答え\\s*:",
                             "答え\\s*：",
                             "回答\\s*:",
                             "回答\\s*：",
                             "解答\\s*:",
                             "Jawaban\\s*:",
                             "Réponse\\s*:",
                             "Resposta\\s*:",
                             "Jibu\\s*:",
                             "Idahun\\s*:",
                             "Ìdáhùn\\s*:",
                             "Idáhùn\\s*:",
                             "Àmọ̀nà\\s*:",
                             "Àdáhùn\\s*:",
                             "Ànúgọ\\s*:",
                             "Àṣàyàn\\s*:"};

constexpr std::array kLetters{std::pair{"أ", " A"},  std::pair{"ب", " B"},  std::pair{"ج", " C"},  std::pair{"د", " D"},
                              std::pair{"অ", " A"},  std::pair{"ব", " B"},  std::pair{"ড", " C"},  std::pair{"ঢ", " D"},
                              std::pair{"Ａ", " A"}, std::pair{"Ｂ", " B"}, std::pair{"Ｃ", " C"}, std::pair{"Ｄ", " D"}};

std::vector<Regex> LabelPatterns() {
  std::vector<Regex> patterns;
  for (const char* label : kLabels)
    patterns.emplace_back(std::string("(?i)") + label + "[ \\t]*([A-D]|[أ-د]|[অ]|[ব]|[ড]|[ঢ]|[Ａ]|[Ｂ]|[Ｃ]|[Ｄ])");
  return patterns;
}

}  // namespace

Verdict SimpleEvalsMmlu(const Answer& answer) {
  static const std::vector<Regex> patterns = LabelPatterns();
  std::string text(answer.prediction);
  for (const char* markup : kMarkup) Replace(text, markup, "");
  Verdict verdict;
  for (const Regex& pattern : patterns) {
    verdict.extracted = pattern.FindFirst(text, &verdict.gave_up);
    if (verdict.extracted) break;
  }
  if (!verdict.extracted) return verdict;
  for (const auto& [letter, latin] : kLetters) Replace(*verdict.extracted, letter, latin);
  verdict.extracted = std::string(Strip(*verdict.extracted));
  verdict.correct = *verdict.extracted == Strip(answer.gold);
  return verdict;
}

}  // namespace moecap::accuracy
