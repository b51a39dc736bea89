#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "load/closed_loop.h"
#include "system/llamacpp/batch.h"
#include "system/llamacpp/llamacpp_system.h"
#include "system/llamacpp/ngram_drafts.h"
#include "system/llamacpp/vocabulary.h"

namespace moecap::llamacpp {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;

TEST(NgramDrafts, AreWhatFollowedTheLatestOfTheLongestOccurrences) {
  const std::vector<int32_t> history = {1, 2, 3, 9, 2, 3, 8, 3, 7, 2, 3};
  EXPECT_THAT(DraftNgram(history, {.length = 2, .lookup_max = 3}), ElementsAre(8, 3)) << "2 3 at its second place, not 3 alone";
  EXPECT_THAT(DraftNgram(history, {.length = 2, .lookup_max = 1}), ElementsAre(7, 2));
  EXPECT_THAT(DraftNgram(history, {.length = 1, .lookup_max = 3}), ElementsAre(8));
  EXPECT_THAT(DraftNgram(history, {.length = 2, .lookup_max = 3, .lookup_min = 3}), IsEmpty());
  EXPECT_THAT(DraftNgram(history, {.length = 0}), IsEmpty());
  EXPECT_THAT(DraftNgram(std::vector<int32_t>{4}, {.length = 2}), IsEmpty());
  EXPECT_THAT(DraftNgram({}, {.length = 2}), IsEmpty());
}

TEST(NgramDrafts, ContinueALoopAsALoop) {
  EXPECT_THAT(DraftNgram(std::vector<int32_t>{5, 1, 2, 1, 2}, {.length = 5}), ElementsAre(1, 2, 1, 2, 1));
  EXPECT_THAT(DraftNgram(std::vector<int32_t>{7, 7}, {.length = 3}), ElementsAre(7, 7, 7));
}

TEST(SequenceRows, AreAcceptedUpToTheFirstDraftThatTheEngineDidNotChoose) {
  const std::vector<BatchToken> tokens = {{10, 4, 0, true, 11}, {11, 5, 0, true, 12},  {13, 6, 0, true, 14},
                                          {20, 9, 1, true, 21}, {22, 10, 1, true, 23}, {23, 11, 1, true, 24},
                                          {30, 2, 2, true, 31}};
  const auto sequences = RowsBySequence(tokens);
  ASSERT_EQ(sequences.size(), 3u);
  EXPECT_EQ(sequences[0].accepted, 1) << "11 was drafted and chosen, 13 was not";
  EXPECT_EQ(sequences[1].accepted, 0) << "23 follows a draft that was refused";
  EXPECT_EQ(sequences[2].accepted, 0);
  EXPECT_EQ(sequences[1].rows.size(), 3u);
}

class Speculation : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    library_ = EngineLibrary::Load().value().release();
    model_ =
        LoadedModel::Load(*library_, std::filesystem::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf").value();
  }
  static void TearDownTestSuite() {
    model_.reset();
    delete library_;
  }

  // Problems like those of tinymath, two of which repeat themselves.
  static std::vector<load::RequestSpec> Requests() {
    std::vector<load::RequestSpec> requests;
    for (const char* question : {"Tom has 12 apples and buys 30 more. He gives half of them away. How many are left?",
                                 "A shop sells 15 pens a day for 7 days. How many pens is that?",
                                 "Ann saves 25 dollars a week. How much has she after 8 weeks?",
                                 "There are 144 eggs in boxes of 12. How many boxes are there?"}) {
      load::RequestSpec request;
      request.id = std::to_string(requests.size());
      request.prompt = std::string("Question: ") + question + "\nAnswer:";
      request.max_output_tokens = 40;
      request.ignore_end_token = requests.size() == 1;
      requests.push_back(request);
    }
    return requests;
  }

  struct Run {
    load::LoadResult result;
    PassLog log;
    ReplayedLog routing;
  };
  Run Generate(int length, int clients, const std::vector<load::RequestSpec>& requests) {
    EngineOptions options;
    options.slots = clients;
    options.drafts.length = length;
    auto system = LlamaCppSystem::Create(*library_, model_, options, clock_).value();
    system->StartPassLog();
    load::ClosedLoopOptions loop;
    loop.clients = clients;
    Run run;
    run.result = load::RunClosedLoop(*system, requests, loop, clock_).value();
    run.log = system->TakePassLog();
    run.routing = system->ReplayRouting(run.log).value();
    return run;
  }

  // By how much the logits behind `history` prefer their largest to `other`: what a last bit would have to tip.
  static float Margin(const std::vector<int32_t>& history, int32_t other) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 512;
    const ContextPtr context(llama_init_from_model(model_->get(), params));
    std::vector<BatchToken> tokens;
    for (const int32_t token : history) tokens.push_back({token, static_cast<int32_t>(tokens.size()), 0, false, -1});
    tokens.back().output = true;
    Batch batch(512);
    EXPECT_EQ(llama_decode(context.get(), batch.Fill(tokens)), 0);
    const float* logits = llama_get_logits_ith(context.get(), static_cast<int32_t>(tokens.size()) - 1);
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model_->get()));
    return *std::max_element(logits, logits + vocab) - logits[other];
  }

  // Equal answers, but where the rounding of a batch of other rows tips a near-tie.
  static void ExpectSameAnswers(const Run& plain, const Run& drafted, const std::vector<load::RequestSpec>& requests) {
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& a = plain.result.requests[i].token_ids;
      const auto& b = drafted.result.requests[i].token_ids;
      const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
      if (at_a == a.end() && at_b == b.end()) continue;
      ASSERT_TRUE(at_a != a.end() && at_b != b.end()) << "request " << i << " ends elsewhere";
      std::vector<int32_t> history = Tokenize(llama_model_get_vocab(model_->get()), requests[i].prompt);
      history.insert(history.end(), a.begin(), at_a);
      const float margin = std::max(Margin(history, *at_a), Margin(history, *at_b));
      EXPECT_LT(margin, 0.02) << "request " << i << " token " << at_a - a.begin() << ": no near-tie";
    }
  }

  static EngineLibrary* library_;
  static std::shared_ptr<const LoadedModel> model_;
  SteadyClock clock_;
};
EngineLibrary* Speculation::library_ = nullptr;
std::shared_ptr<const LoadedModel> Speculation::model_;

TEST_F(Speculation, GeneratesWhatPlainDecodingDoes) {
  const auto requests = Requests();
  for (const int clients : {1, 3}) {
    const Run plain = Generate(0, clients, requests);
    for (const int length : {2, 7}) {
      SCOPED_TRACE(testing::Message() << clients << " clients, " << length << " drafts");
      const Run drafted = Generate(length, clients, requests);
      ExpectSameAnswers(plain, drafted, requests);
      if (clients == 1) {
        EXPECT_LT(drafted.result.passes.size(), plain.result.passes.size()) << "no draft was accepted";
      }
      for (size_t i = 0; i < requests.size(); ++i) {
        if (drafted.result.requests[i].token_ids != plain.result.requests[i].token_ids) continue;  // a near-tie
        EXPECT_EQ(drafted.result.requests[i].finish, plain.result.requests[i].finish);
        EXPECT_EQ(drafted.result.requests[i].text, plain.result.requests[i].text);
      }
    }
  }
}

TEST_F(Speculation, PassesTellTheirRowsAndWhatWasAccepted) {
  const auto requests = Requests();
  const Run run = Generate(4, 2, requests);
  int64_t generated = 0, accepted = 0;
  for (const auto& request : run.result.requests) generated += request.output_tokens - 1;  // the first is the prefill's
  for (const auto& pass : run.result.passes) {
    if (pass.kind == record::PassKind::kPrefill) {
      EXPECT_THAT(pass.accepted_drafts, IsEmpty());
      continue;
    }
    ASSERT_EQ(pass.accepted_drafts.size(), pass.sequences.size());
    for (size_t i = 0; i < pass.sequences.size(); ++i) {
      EXPECT_LT(pass.accepted_drafts[i], pass.sequences[i].new_tokens);
      EXPECT_LE(pass.sequences[i].new_tokens, 5);
      accepted += 1 + pass.accepted_drafts[i];
    }
  }
  EXPECT_GE(accepted, generated);
  EXPECT_LE(accepted, generated + 4 * std::ssize(requests)) << "drafts behind an answer's end are not part of it";
}

// The passes of each request, as pairs of context and rows.
std::vector<std::vector<std::pair<int64_t, int64_t>>> RowsOf(const PassLog& log, size_t requests) {
  std::vector<std::vector<std::pair<int64_t, int64_t>>> rows(requests);
  for (const LoggedPass& pass : log) {
    for (const SequenceRows& sequence : RowsBySequence(pass.tokens))
      rows[static_cast<size_t>(sequence.rows.front().slot)].emplace_back(sequence.rows.front().position,
                                                                         std::ssize(sequence.rows));
  }
  return rows;
}

TEST_F(Speculation, DraftsAreThoseOfTheRequestWhateverItsNeighboursHave) {
  const auto requests = Requests();
  const Run together = Generate(4, static_cast<int>(requests.size()), requests);
  const auto rows = RowsOf(together.log, requests.size());
  bool ragged = false;
  for (const auto& pass : together.result.passes) {
    for (const auto& slice : pass.sequences) ragged = ragged || slice.new_tokens != pass.sequences[0].new_tokens;
  }
  EXPECT_TRUE(ragged) << "nothing was tried";
  for (size_t i = 0; i < requests.size(); ++i) {
    const Run alone = Generate(4, 1, {requests[i]});
    if (alone.result.requests[0].token_ids != together.result.requests[i].token_ids) continue;  // a near-tie
    EXPECT_EQ(rows[i], RowsOf(alone.log, 1)[0]) << "request " << i;
  }
}

int graphs = 0;
bool CountGraphs(ggml_tensor* tensor, bool ask, void*) {
  if (ask && std::string_view(ggml_get_name(tensor)) == "ffn_moe_topk-0") ++graphs;
  return false;
}

// What the engine makes of a batch with three rows of one sequence and one of another.
TEST_F(Speculation, ABatchOfUnequalRowsIsOneGraphWhereCellsAreShared) {
  for (const bool shared : {false, true}) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 512;
    params.n_seq_max = 2;
    params.kv_unified = shared;
    params.cb_eval = CountGraphs;
    const ContextPtr context(llama_init_from_model(model_->get(), params));
    ASSERT_TRUE(context);
    graphs = 0;
    Batch batch(16);
    ASSERT_EQ(llama_decode(context.get(),
                           batch.Fill({{5, 0, 0, true, -1}, {6, 1, 0, true, -1}, {7, 2, 0, true, -1}, {8, 0, 1, true, -1}})),
              0);
    EXPECT_EQ(graphs, shared ? 1 : 2);
  }
}

TEST_F(Speculation, TheReplayRoutesTheRefusedDraftsToo) {
  const Run run = Generate(4, 2, Requests());
  EXPECT_EQ(run.routing.differing, 0);
  ASSERT_EQ(run.routing.passes.size(), run.result.passes.size());
  for (size_t i = 0; i < run.log.size(); ++i) {
    if (run.result.passes[i].kind != record::PassKind::kDecode) continue;
    for (const auto& layer : run.routing.passes[i].expert_counts)
      EXPECT_EQ(std::accumulate(layer.begin(), layer.end(), int64_t{0}), 2 * run.result.passes[i].NewTokens());
  }
}

TEST_F(Speculation, EndsAtTheContextsEnd) {
  std::vector<load::RequestSpec> requests = Requests();
  requests.resize(1);
  requests[0].max_output_tokens = 100000;
  requests[0].ignore_end_token = true;
  const auto request = Generate(8, 1, requests).result.requests[0];
  EXPECT_EQ(request.finish, record::FinishReason::kLength);
  EXPECT_EQ(request.input_tokens + request.output_tokens, 512 + 1);
}

}  // namespace
}  // namespace moecap::llamacpp
