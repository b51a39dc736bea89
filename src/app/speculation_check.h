// Speculative decoding by n-gram drafts on the embedded engine: what it gains, and what plain decoding tells of it beforehand.
// Behind `moecap validate --drafts`; docs/validation.md has the results.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/system_under_test.h"
#include "model/model_spec.h"
#include "planner/speculation.h"
#include "record/pass_record.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::app {

// A request as plain decoding of one sequence at a time answered it.
struct PlainSequence {
  std::vector<int32_t> prompt, output;
  // The experts of the pass that decoded output[i], [i][MoE layer]; one entry less than `output`, as its last token is decoded
  // nowhere.
  std::vector<std::vector<std::vector<int32_t>>> experts;
};
// From the passes of one slot.
std::vector<PlainSequence> PlainSequencesOf(const llamacpp::PassLog& log, const llamacpp::ReplayedLog& routing);

// What decoding of plain batches of 1, 2, ... sequences says of the machine.
struct PlainBatches {
  // With which planner::PassSeconds comes closest to the mean latency at each batch (squares of relative errors).
  planner::PassCeilings ceilings;
  // Of a batch of so many rows: mean latency / what these ceilings say of it. How well kernels do depends on the number of
  // rows.
  std::map<int64_t, double> by_rows;
  // What a decode pass takes longer whose number of rows is not that of the decode pass before: the engine builds its graph
  // anew.
  double new_shape_s = 0;

  // Of a decode pass with its distinct experts: PassSeconds times what so many rows take more or less (on the line between
  // the two numbers of rows beside it that were measured; the nearest outside of them).
  double Seconds(const model::ModelSpec& model, const record::PassRecord& pass) const;
};
// `passes`: in the order in which they were made. Passes behind a prompt's are left out: their caches are cold. Error:
// kBadInput without decode passes with distinct experts behind decode passes alike.
Result<PlainBatches> FitPlainBatches(const model::ModelSpec& model, std::span<const record::PassRecord> passes);

struct Speculated {
  double acceptance = 0;       // accepted / drafted; 0 where nothing was drafted
  double tokens_per_pass = 0;  // of a sequence in a decode pass
  double distinct = 0;         // experts of a decode pass, mean over layers and passes
  double speed_up = 0;         // plain seconds / seconds of the decode passes of the same answers
};

// What drafts of such lengths would do with these sequences when `clients` of them decode at once, the next one when one ends:
// the drafts are made from the very tokens; a verify pass reads the experts of as many consecutive tokens of each sequence as
// it has rows (those of refused drafts are not known).
Speculated PredictDrafts(const model::ModelSpec& model, std::span<const PlainSequence> sequences,
                         const llamacpp::NgramDrafts& drafts, int clients, const PlainBatches& machine);

struct SpeculationCell {
  int clients = 1;
  int length = 0;
  Speculated measured, predicted;
  int64_t differing = 0;  // requests whose answer is not the plain one

  bool SameSign() const { return (measured.speed_up > 1) == (predicted.speed_up > 1); }
  double Error() const { return predicted.speed_up / measured.speed_up - 1; }
};

struct SpeculationOptions {
  std::vector<int> lengths = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int> clients = {1};
  int repeats = 5;
  // The measured answers go on behind so many tokens of the model's own answer, which are then part of the prompt; they do not
  // end at an end token.
  int continued_tokens = 0;
  double limit_s = 1800;           // of the clock, for all of it
  llamacpp::EngineOptions engine;  // slots and drafts are set for each run
};

struct SpeculationProgress {
  int done = 0, total = 0;  // ways to answer
  std::string way;          // "2 clients, 4 drafts"
};

struct SpeculationCheck {
  PlainBatches machine;
  double plain_s = 0;  // decode seconds a token, plain, one client
  int repeats = 0;     // that were complete within the limit
  std::vector<SpeculationCell> cells;
};

// Answers the requests plainly and with drafts, in turn, `repeats` times; of each pass its least latency counts, as all
// repetitions make the same ones. Plain batches of every number of rows that drafts may make are measured beside them, some
// passes of each. `model`: of the loaded file. Errors: the engine's; kFailed when not even the first repetition ends within the
// limit; kInterrupted when `progress`, asked before each pass, returns false.
Result<SpeculationCheck> CheckSpeculation(const llamacpp::EngineLibrary& library,
                                          const std::shared_ptr<const llamacpp::LoadedModel>& loaded,
                                          const model::ModelSpec& model, std::span<const load::RequestSpec> requests,
                                          const SpeculationOptions& options, const Clock& clock,
                                          const std::function<bool(const SpeculationProgress&)>& progress);

}  // namespace moecap::app
