// One function per kind of claim; internal to audit/. Each fills figures, reasons and missing of the report.
#pragma once

#include "audit/claim.h"
#include "audit/evaluate.h"
#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::audit {

// Errors name the claim's file and the line of the name.
Result<model::ModelSpec> FindModel(const Name& name, const Claim& claim, const Sources& sources);
Result<hardware::Device> FindDevice(const Name& name, const Claim& claim, const Sources& sources);
// A decode step of `batch` sequences with `context_tokens` each; its experts are not filled in.
record::PassRecord DecodePass(int64_t batch, int64_t context_tokens);
// Error kBadInput: the catalogue has the device but not this value of it.
Error LacksValue(const Name& name, const Claim& claim, std::string_view what);

// claims_model.cc
Status Fill(const ModelParameters& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const ActivatedShare& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const VanillaOverestimate& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
// claims_bandwidth.cc
Status Fill(const RequiredBandwidth& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const BatchLimit& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
// claims_utilisation.cc
Status Fill(const ErrorTable& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const Utilisation& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const ProfilingOverhead& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const PrefillTable& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
// claims_board.cc
Status Fill(const BoardRow& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
// claims_matrix.cc
Status Fill(const DecisionRow& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
// claims_cap.cc
Status Fill(const CapRadar& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const ServerCost& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const Ratio& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const DevicePower& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);
Status Fill(const NotComputable& inputs, const Claim& claim, const Sources& sources, ClaimReport& report);

}  // namespace moecap::audit
