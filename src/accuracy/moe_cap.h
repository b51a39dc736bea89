// MoE-CAP's own rules (moe_cap/utils/acc_metrics.py at e9e0d88), for comparison with its published numbers: what it extracts,
// then equality of stripped, lowered text. Its number rule reads integers only and prefers whatever stands last.
#pragma once

#include "accuracy/verdict.h"

namespace moecap::accuracy {

// Its gold is what follows "####", without commas.
Verdict MoeCapGsm8k(const Answer& answer);
Verdict MoeCapNumber(const Answer& answer);  // math, numinamath
Verdict MoeCapAToJ(const Answer& answer);    // mmlu_pro
Verdict MoeCapAToD(const Answer& answer);    // longbench_v2

}  // namespace moecap::accuracy
