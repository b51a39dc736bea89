#include "accuracy/math_answers.h"

#include "accuracy/boxed.h"
#include "accuracy/hendrycks.h"
#include "accuracy/math_verify.h"
#include "accuracy/minerva.h"
#include "accuracy/prm800k.h"

namespace moecap::accuracy {

Verdict MinervaExactMatch(const Answer& answer) {
  Verdict verdict{MinervaAnswer(answer.prediction)};
  verdict.correct = verdict.extracted &&
                    MinervaEqual(MinervaNormalised(*verdict.extracted), MinervaNormalised(answer.gold), &verdict.gave_up);
  return verdict;
}

Verdict MinervaExactMatchOrSame(const Answer& answer) {
  Verdict verdict = MinervaExactMatch(answer);
  if (!verdict.extracted || verdict.correct) return verdict;
  const std::string normalised = MinervaNormalised(*verdict.extracted);
  verdict.correct = !normalised.empty() && normalised == MinervaNormalised(answer.gold);
  return verdict;
}

Verdict HendrycksExactMatch(const Answer& answer) {
  const std::string text(BetweenDollars(answer.prediction));
  return {text, HendrycksEqual(text, answer.gold), false};
}

Verdict MathVerifyScore(const Answer& answer) {
  Verdict verdict;
  std::string found;
  verdict.correct = MathVerifyReply(answer.gold, answer.prediction, &found, &verdict.gave_up);
  if (!found.empty()) verdict.extracted = std::move(found);
  return verdict;
}

Verdict MlperfMath(const Answer& answer) {
  Verdict verdict{LastBoxedInBraces(answer.prediction)};
  if (verdict.extracted && verdict.extracted->empty()) verdict.extracted.reset();
  verdict.correct = verdict.extracted && Prm800kEqual(*verdict.extracted, answer.gold, &verdict.gave_up);
  return verdict;
}

Verdict HendrycksBoxed(const Answer& answer) {
  Verdict verdict{LastBoxed(answer.prediction)};
  verdict.correct = verdict.extracted && HendrycksEqual(*verdict.extracted, answer.gold, HendrycksVariant::kOriginal);
  return verdict;
}

Verdict Prm800kBoxed(const Answer& answer) {
  Verdict verdict{LastBoxed(answer.prediction)};
  verdict.correct = verdict.extracted && Prm800kEqual(*verdict.extracted, answer.gold, &verdict.gave_up);
  return verdict;
}

}  // namespace moecap::accuracy
