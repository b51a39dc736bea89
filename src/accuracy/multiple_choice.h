// Letters of multiple choice. Gold is a letter, or a letter in brackets where the task says so.
#pragma once

#include "accuracy/verdict.h"

namespace moecap::accuracy {

// lm-evaluation-harness 4e7e0d4; compared without case and ASCII punctuation.
Verdict MmluProCustomExtract(const Answer& answer);       // mmlu_pro 3.1, custom-extract
Verdict GpqaStrictMatch(const Answer& answer);            // gpqa_*_cot_zeroshot 2.2, strict-match
Verdict MultipleChoiceFlexible(const Answer& answer);     // gpqa, mmlu_flan_cot: flexible-extract; reads the choices
Verdict MmluFlanStrictMatch(const Answer& answer);        // mmlu_flan_cot_zeroshot 3, strict-match
Verdict MmluGenerativeGetResponse(const Answer& answer);  // mmlu_generative 3, get_response
Verdict MmluCotLlamaStrictMatch(const Answer& answer);    // mmlu_cot_llama 1, strict_match

// MLPerf Inference, language/deepseek-r1/eval_accuracy.py.
Verdict MlperfAToD(const Answer& answer);
Verdict MlperfAToJ(const Answer& answer);

// TIGER-AI-Lab/MMLU-Pro compute_accuracy.py; where it would guess a letter at random, none.
Verdict TigerLevel1(const Answer& answer);
Verdict TigerLevel2(const Answer& answer);

// idavidrein/gpqa baselines: the first of five patterns whose letter is A to D.
Verdict GpqaOfficial(const Answer& answer);

// THUDM/LongBench pred.py (LongBench v2).
Verdict LongBenchV2Official(const Answer& answer);

// openai/simple-evals gpqa_eval.py and mmlu_eval.py (which knows "Answer" in 30 languages).
Verdict SimpleEvalsGpqa(const Answer& answer);
Verdict SimpleEvalsMmlu(const Answer& answer);

}  // namespace moecap::accuracy
