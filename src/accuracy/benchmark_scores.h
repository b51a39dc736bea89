// The benchmarks whose rules read more of a row than one gold, as scorers of contracts: LongBench, RULER, IFEval, HumanEval.
// Internal to the folder, but for tests.
#pragma once

#include "accuracy/reference.h"
#include "accuracy/verdict.h"
#include "base/json.h"
#include "base/result.h"

namespace moecap::accuracy {

// LongBench's metric of the reference's part; not judged where it needs jieba.
Verdict LongBenchOfficial(const Answer& answer);
Verdict LongBenchHarness(const Answer& answer);
// LongBench v2's "compensated" score: a reply without a letter counts kLongBenchV2Chance.
Verdict LongBenchV2Compensated(const Answer& answer);

// string_match_part for qa_1 and qa_2, else string_match_all; the harness: the latter for all.
Verdict RulerOfficial(const Answer& answer);
Verdict RulerHarness(const Answer& answer);

// Of a whole prompt, and of its instructions, which are the verdict's parts. Those that are not judged are left out (reason),
// and a prompt is not judged that hangs on one.
Verdict IfevalPromptStrict(const Answer& answer);
Verdict IfevalPromptLoose(const Answer& answer);
Verdict IfevalInstructionStrict(const Answer& answer);
Verdict IfevalInstructionLoose(const Answer& answer);

// The text that follows the prompt in the program; null for none. Nothing is run.
Verdict HumanEvalHarness(const Answer& answer);          // up to the stop strings of the task humaneval
Verdict HumanEvalHarnessInstruct(const Answer& answer);  // up to the first fence
Verdict HumanEvalCompletion(const Answer& answer);       // as it is
Verdict HumanEvalSimpleEvals(const Answer& answer);      // the body of a fenced function

// What these need of a row's facts. Errors: kBadInput that names the fact.
Status ReadLongBenchFacts(const Json& facts, Reference& reference);
Status ReadRulerFacts(const Json& facts, Reference& reference);
Status ReadIfevalFacts(const Json& facts, Reference& reference);
Status ReadHumanEvalFacts(const Json& facts, Reference& reference);

}  // namespace moecap::accuracy
