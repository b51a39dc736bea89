#include "planner/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "model/catalogue.h"
#include "planner/candidate.h"
#include "planner/question_file.h"
#include "planner/running_limit.h"

namespace moecap::planner {
namespace {

class PlanTest : public testing::Test {
 protected:
  PlanTest()
      : devices_(*hardware::Catalogue::Builtin()),
        prices_(*cost::PriceBook::Parse(cost::PriceBook::BuiltinText())),
        multipliers_(*Multipliers::Builtin()),
        systems_(*SystemSupport::Builtin()) {}

  static model::ModelSpec Model(const char* id) {
    static const model::ModelCatalogue kModels = *model::ModelCatalogue::Builtin();
    return *model::SpecOf(*kModels.Find(id), id);
  }
  static Question Ask(std::initializer_list<std::pair<const char*, const char*>> values) {
    QuestionText text;
    for (const auto& [key, value] : values) text.Set(key, value);
    const auto question = MakeQuestion(text);
    EXPECT_TRUE(question.ok()) << question.error().message;
    return *question;
  }
  static std::string Refusal(std::initializer_list<std::pair<const char*, const char*>> values) {
    QuestionText text;
    for (const auto& [key, value] : values) text.Set(key, value);
    const auto question = MakeQuestion(text);
    return question.ok() ? "" : question.error().message;
  }
  Plan Answer(const Question& question, const char* model, bool changes = false) const {
    auto plan = MakePlan(question, Model(model), {devices_, prices_, multipliers_, systems_}, {.changes = changes});
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    return *std::move(plan);
  }

  hardware::Catalogue devices_;
  cost::PriceBook prices_;
  Multipliers multipliers_;
  SystemSupport systems_;
};

TEST_F(PlanTest, AnswersKeepTargetsAndMemory) {
  const Plan plan = Answer(Ask({{"clients", "200"}, {"tpot", "50ms"}}), "Qwen/Qwen3-235B-A22B", true);
  ASSERT_TRUE(plan.Answered());
  ASSERT_TRUE(plan.runner_up);
  for (const Candidate& c : plan.search.candidates) {
    if (!c.Answers()) continue;
    EXPECT_LE(c.serving.tpot_s * c.margin, 0.05);
    EXPECT_FALSE(c.serving.over_capacity);
    EXPECT_GE(c.money.usd_per_h.value_or(1e300), plan.Best()->money.usd_per_h.value_or(0));
    EXPECT_LE(c.serving.s_mbu, 1);
    EXPECT_LE(c.serving.s_mfu, 2);  // of the bf16 peak: fp8 has twice as much
    EXPECT_GT(c.band.high, 1);      // never without its band
    if (c.offload.residence == Residence::kDevice) {
      EXPECT_LE(c.memory.weights_bytes + c.memory.sequence_bytes * c.serving.running / c.deployment.data, c.usable_bytes);
    }
  }
  EXPECT_GE(plan.changes.size(), 5);
}

// The same question of a launch that nobody tunes: the same memory, longer times, fewer tokens.
TEST_F(PlanTest, DefaultSettingsTakeLonger) {
  const auto ask = [&](const char* launch) {
    return Answer(Ask({{"clients", "32"}, {"tpot", "1s"}, {"ttft", "60s"}, {"devices", "h200-sxm"}, {"launch", launch}}),
                  "openai/gpt-oss-120b");
  };
  const Plan tuned = ask("tuned"), untuned = ask("default"), either = ask("either");
  const LaunchEffect& effect = multipliers_.DefaultLaunch();
  const auto of = [](const Plan& plan, const Candidate& like) {
    const auto at = std::find_if(plan.search.candidates.begin(), plan.search.candidates.end(), [&](const Candidate& c) {
      return c.system == like.system && c.count == like.count && c.deployment == like.deployment &&
             plan.search.variants[c.variant].label == "as stored (mxfp4)" && !c.Offloaded();
    });
    return at == plan.search.candidates.end() ? nullptr : &*at;
  };
  const auto first = std::find_if(tuned.search.candidates.begin(), tuned.search.candidates.end(), [&](const Candidate& c) {
    return c.count == 1 && c.system == "vllm" && tuned.search.variants[c.variant].original;
  });
  ASSERT_NE(first, tuned.search.candidates.end());
  const Candidate *slow = of(untuned, *first), *open = of(either, *first);
  ASSERT_TRUE(slow && open);
  EXPECT_GT(slow->serving.tpot_s,
            (1 + 0.8 * (effect.tpot_time - 1)) * first->serving.tpot_s);  // not all: fewer may run at once
  EXPECT_LT(slow->serving.output_tokens_per_s, first->serving.output_tokens_per_s);
  EXPECT_LT(slow->serving.s_mbu, first->serving.s_mbu);
  EXPECT_NEAR(slow->serving.untuned_s, (1 - 1 / effect.tpot_time) * slow->serving.tpot_s, 1e-9);
  EXPECT_EQ(open->serving.tpot_s, first->serving.tpot_s);
  EXPECT_EQ(open->margin, first->margin);
  EXPECT_EQ(open->default_time, effect.tpot_time);
  EXPECT_EQ(first->default_time, 1);
  EXPECT_LE(open->band.low, first->band.low);
  EXPECT_GE(open->band.high, effect.tpot.high);
  EXPECT_NE(Refusal({{"launch", "careful"}}).find("either, tuned, default"), std::string::npos);
}

// Four run at once: the others wait, which a target of the first token judges, and twice as many are tried.
TEST_F(PlanTest, ARunningLimitIsPartOfTheQuestion) {
  const auto ask = [&](const char* limit, const char* ttft) {
    return Answer(Ask({{"clients", "32"},
                       {"tpot", "1s"},
                       {"ttft", ttft},
                       {"devices", "h200-sxm"},
                       {"most_devices", "1"},
                       {"max_running", limit}}),
                  "openai/gpt-oss-120b", true);
  };
  const Plan open = ask("", ""), four = ask("4", ""), as_many = ask("32", ""), quick = ask("4", "1s");
  EXPECT_FALSE(open.question.max_running);
  EXPECT_EQ(open.Best()->running_limit, kNoRunningLimit);
  EXPECT_EQ(as_many.Best()->serving.tpot_s, open.Best()->serving.tpot_s);
  EXPECT_TRUE(four.Answered());
  EXPECT_NEAR(four.Best()->serving.running, 4, 1e-4);
  EXPECT_LT(four.Best()->serving.decoding, 4);
  EXPECT_EQ(four.Best()->serving.bound, Bound::kRunningLimit);
  EXPECT_LT(four.Best()->serving.tpot_s, open.Best()->serving.tpot_s);
  EXPECT_FALSE(quick.Answered());
  EXPECT_NE(quick.Best()->misses.front().find("TTFT"), std::string::npos);
  const auto changes = [](const Plan& plan) {
    return std::count_if(plan.changes.begin(), plan.changes.end(),
                         [](const Change& change) { return change.what == "twice the running requests"; });
  };
  EXPECT_EQ(changes(four), 1);
  EXPECT_EQ(changes(open), 0);
  for (const char* bad : {"0", "-4", "2.5", "1e9"})
    EXPECT_NE(Refusal({{"max_running", bad}}).find("use a whole number from 1"), std::string::npos) << bad;
  EXPECT_NE(Refusal({{"output_cv", "-1"}}).find("output_cv: -1 is not in range"), std::string::npos);
  EXPECT_NE(Refusal({{"max_running", "many"}}).find("max_running: 'many' is no number"), std::string::npos);
}

// What a system lets run by default is assumed of launches with default settings alone.
TEST_F(PlanTest, DefaultSettingsHaveTheSystemsRunningLimit) {
  const auto best = [&](const char* launch) {
    const Plan plan =
        Answer(Ask({{"clients", "32"}, {"tpot", "1s"}, {"own", "1xrtx-4090"}, {"launch", launch}}), "Qwen/Qwen3-30B-A3B");
    const auto at = std::find_if(plan.search.candidates.begin(), plan.search.candidates.end(),
                                 [](const Candidate& c) { return c.system == "llama-server"; });
    EXPECT_NE(at, plan.search.candidates.end());
    return at->running_limit;
  };
  EXPECT_EQ(best("default"), 4);
  EXPECT_EQ(best("tuned"), kNoRunningLimit);
  EXPECT_EQ(best("either"), kNoRunningLimit);
}

// The launch asks for no part of a request, and for none that memory does not hold.
TEST(PlannedRunning, IsAWholeNumberThatMemoryHolds) {
  Candidate candidate;
  candidate.deployment.data = 2;
  candidate.room = 220.46;
  Load closed, open;
  closed.clients = 400;
  open.requests_per_s = 1;
  const auto planned = [&](double running, const Load& load) {
    candidate.serving.running = 2 * running;
    return PlannedRunning(candidate, load);
  };
  EXPECT_EQ(planned(200, closed), 200);
  EXPECT_EQ(planned(199.2, closed), 200);
  EXPECT_EQ(planned(220.46, closed), 220);
  EXPECT_EQ(planned(100, open), 130);
  EXPECT_EQ(planned(200, open), 220);
  EXPECT_EQ(planned(0.01, closed), 1);
  candidate.running_limit = 10.5;
  candidate.serving.most_running = 21;
  EXPECT_EQ(planned(10.5, closed), 10);
}

// SGLang has states for fewer requests of a hybrid model than memory would hold: a plan for more says so.
TEST_F(PlanTest, ManyRequestsOfAHybridModelNeedAnotherLaunchOfSglang) {
  const auto note = [&](const char* clients, const char* hits = "0") {
    const Plan plan = Answer(Ask({{"clients", clients},
                                  {"input_tokens", "8192"},
                                  {"output_tokens", "1024"},
                                  {"prefix_hit", hits},
                                  {"tpot", "9s"},
                                  {"own", "1xh200-sxm"},
                                  {"fidelity", "original"}}),
                             "Qwen/Qwen3.5-35B-A3B");
    const auto& candidates = plan.search.candidates;
    const auto at = std::find_if(candidates.begin(), candidates.end(), [](const Candidate& c) { return c.system == "sglang"; });
    EXPECT_NE(at, candidates.end());
    EXPECT_GT(at->room, at->default_running);
    const Load& load = plan.question.load;
    return StatesNote(systems_.Find(at->system), at->memory, at->default_running, PlannedRunning(*at, load), load);
  };
  EXPECT_NE(note("200").find("sglang keeps 5 recurrent states"), std::string::npos) << note("200");
  EXPECT_NE(note("200").find("200 take a launch without its cache of prefixes (--disable-radix-cache)."), std::string::npos);
  // Five states of 67 MB against a cache of 8,704 tokens of 20 KiB.
  EXPECT_NE(note("120", "0.5").find("120 take a launch with 1.8 times as much memory for states"), std::string::npos)
      << note("120", "0.5");
  EXPECT_EQ(note("20"), "");
}

TEST_F(PlanTest, UncertainDevicesNeedAWiderMargin) {
  const Plan plan = Answer(Ask({{"clients", "8"}, {"tpot", "1s"}}), "openai/gpt-oss-120b");
  std::set<double> margins;
  for (const Candidate& c : plan.search.candidates) {
    if (c.offload.residence == Residence::kDevice) margins.insert(c.margin);
  }
  EXPECT_EQ(margins.size(), 3);  // measured (or steps together, whose band ends no higher), of a measured generation, neither
  EXPECT_DOUBLE_EQ(*margins.begin(), 1.15);
}

TEST_F(PlanTest, ImpossibleTargetsGiveTheNearest) {
  const Plan plan = Answer(Ask({{"clients", "64"}, {"tpot", "0.1ms"}}), "Qwen/Qwen3-235B-A22B");
  ASSERT_TRUE(plan.best);
  EXPECT_FALSE(plan.Answered());
  ASSERT_FALSE(plan.Best()->misses.empty());
  EXPECT_NE(plan.Best()->misses.front().find("TPOT"), std::string::npos);
  for (const Candidate& c : plan.search.candidates) EXPECT_GE(c.worst_miss, plan.Best()->worst_miss);
}

TEST_F(PlanTest, AModelThatFitsNowhereSaysByHowMuch) {
  const Plan plan = Answer(Ask({{"clients", "1"}, {"devices", "rtx-3060-12"}, {"most_devices", "1"}, {"offload", "no"}}),
                           "deepseek-ai/DeepSeek-V3");
  EXPECT_FALSE(plan.best);
  ASSERT_TRUE(plan.search.shortage);
  EXPECT_EQ(plan.search.shortage->memory, ShortOf::kDevice);
  EXPECT_NEAR(plan.search.shortage->LackingBytes(), 673e9 - 12e9, 20e9);
}

// 128 experts over 5 ranks would not be 25.6 each: `moecap plan ranks` refuses that, too.
TEST_F(PlanTest, ExpertsAreSpreadEvenly) {
  const Plan plan = Answer(Ask({{"clients", "64"}, {"own", "5xh100-sxm"}}), "openai/gpt-oss-120b");
  ASSERT_TRUE(plan.best);
  for (const Candidate& c : plan.search.candidates) EXPECT_EQ(128 % c.deployment.expert, 0) << c.deployment.expert;
  const model::ModelSpec spec = Model("openai/gpt-oss-120b");
  const hardware::Device h100 = *devices_.FindDevice("h100-sxm");
  for (const metrics::Deployment& d : DeploymentsOf(h100, 6, spec)) EXPECT_EQ(128 % d.expert, 0);
  const std::vector<metrics::Deployment> eight = DeploymentsOf(h100, 8, spec);
  EXPECT_TRUE(std::any_of(eight.begin(), eight.end(), [](const metrics::Deployment& d) { return d.expert == 8; }));
}

TEST_F(PlanTest, EachSystemThatIsNotProposedHasItsReason) {
  std::set<std::string> named;
  for (const hardware::Device& device : devices_.devices()) {
    for (const Residence residence : {Residence::kDevice, Residence::kExecute, Residence::kCopy, Residence::kSsd}) {
      for (const std::string& system : SystemsOf(device, residence)) named.insert(system);
    }
  }
  EXPECT_EQ(named, std::set<std::string>(ProposedSystems().begin(), ProposedSystems().end()));
  const auto why = [&](const char* system) {
    return Answer(Ask({{"clients", "4"}, {"own", "1xh100-sxm"}, {"why_not", system}}), "openai/gpt-oss-20b")
        .why_not.at(0)
        .reason;
  };
  EXPECT_THAT(why("ollama"),
              testing::HasSubstr("proposes only systems whose speed it can predict: vllm, sglang, trtllm, llama-server"));
  EXPECT_THAT(why("llama-server"), testing::HasSubstr("not proposed for H100 SXM5"));
  const auto wrong =
      MakePlan(Ask({{"why_not", "olama"}}), Model("openai/gpt-oss-20b"), {devices_, prices_, multipliers_, systems_});
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message,
              testing::HasSubstr("'olama' is no system and no device of the catalogue, did you mean 'ollama'?"));
}

// With experts elsewhere it is what must lie beside them that has no room: the same however much memory the host has.
TEST_F(PlanTest, AShortageIsTheLeastOfTheWaysThatAreAllowed) {
  const auto ask = [&](const char* dram, const char* offload) {
    return Answer(Ask({{"clients", "1"}, {"own", "1xrtx-4090"}, {"dram", dram}, {"offload", offload}}),
                  "deepseek-ai/DeepSeek-V3");
  };
  const Plan little = ask("64GB", "yes"), much = ask("1TB", "yes"), none = ask("1TB", "no");
  ASSERT_TRUE(little.search.shortage && much.search.shortage && none.search.shortage);
  EXPECT_EQ(little.search.shortage->memory, ShortOf::kBesideExperts);
  EXPECT_EQ(little.search.shortage->LackingBytes(), much.search.shortage->LackingBytes());
  EXPECT_EQ(none.search.shortage->memory, ShortOf::kDevice);
  const Shortage& shortage = *much.search.shortage;
  // By another count: all but the three matrices of 256 experts in 58 layers and the one that predicts a second token, in q8_0,
  // whose 32 weights take 34 bytes.
  EXPECT_EQ(much.search.variants[shortage.way.variant].label, "q8_0");
  const double beside = shortage.way.memory.weights_bytes - 59 * 256 * 3 * 7168.0 * 2048 * 34 / 32;
  EXPECT_NEAR(shortage.needed_bytes, beside + shortage.way.memory.other_bytes + shortage.way.memory.sequence_bytes, 1e7);
  EXPECT_LT(shortage.LackingBytes(), 2e9);
  EXPECT_GT(shortage.LackingBytes(), 0);
  EXPECT_THAT(WordsOf(shortage, much.search.variants), testing::HasSubstr("missing on the device"));
}

// ktransformers alone takes fp8 and reads nothing from an SSD: then it is the host's memory that lacks.
TEST_F(PlanTest, AHostMayBeWhatLacks) {
  const auto ask = [&](const char* dram) {
    return Answer(Ask({{"clients", "1"}, {"own", "1xh100-sxm"}, {"dram", dram}, {"fidelity", "original"}}),
                  "deepseek-ai/DeepSeek-V3");
  };
  const Plan poor = ask("64GB");
  EXPECT_FALSE(poor.best);
  ASSERT_TRUE(poor.search.shortage);
  EXPECT_EQ(poor.search.shortage->memory, ShortOf::kHost);
  const double needed = poor.search.shortage->needed_bytes;
  EXPECT_EQ(poor.search.shortage->has_bytes, 64e9);
  const auto with = [&](double bytes) { return ask((std::to_string(std::ceil(bytes / 1e9)) + "GB").c_str()); };
  EXPECT_TRUE(with(needed).best) << "as much as was said";
  EXPECT_FALSE(with(needed - 2e9).best);
}

TEST_F(PlanTest, OwnedHardwareOffloadsAndCostsItsEnergy) {
  const Question question = Ask({{"scenario", "single-user"}, {"own", "2xrtx-4090"}, {"dram", "256GB"}, {"speed", ""}});
  const Plan plan = Answer(question, "Qwen/Qwen3-235B-A22B");
  ASSERT_TRUE(plan.best);
  EXPECT_NE(plan.Best()->offload.residence, Residence::kDevice);
  EXPECT_LT(plan.Best()->offload.device_share, 1);
  EXPECT_EQ(plan.Best()->device->id, "rtx-4090");
  ASSERT_TRUE(plan.Best()->money.usd_per_h);
  EXPECT_LT(*plan.Best()->money.usd_per_h, 1);
}

TEST_F(PlanTest, ExplainsADevice) {
  Question question = Ask({{"clients", "200"}, {"tpot", "50ms"}, {"why_not", "rtx-4090, h100-sxm"}});
  const Plan plan = Answer(question, "Qwen/Qwen3-235B-A22B");
  ASSERT_EQ(plan.why_not.size(), 2);
  EXPECT_FALSE(plan.why_not[0].reason.empty());
  EXPECT_NE(plan.why_not[1].reason.find("H100"), std::string::npos);
}

TEST_F(PlanTest, NamesContradictions) {
  EXPECT_NE(Refusal({{"budget_usd", "10k"}, {"pay", "rent"}}).find("contradict"), std::string::npos);
  EXPECT_NE(Refusal({{"ttft", "5s"}, {"e2e", "3s"}}).find("contradict"), std::string::npos);
  EXPECT_NE(Refusal({{"tpot", "50ms"}, {"tokens_per_s", "100"}}).find("contradict"), std::string::npos);
  EXPECT_NE(Refusal({{"clients", "4"}, {"requests_per_s", "2"}}).find("either"), std::string::npos);
  EXPECT_NE(Refusal({{"own", "2xrtx-4090"}, {"pay", "rent"}}).find("contradict"), std::string::npos);
  EXPECT_NE(Refusal({{"clients", "many"}}).find("clients"), std::string::npos);
  EXPECT_NE(Refusal({{"accepted_tokens", "4"}, {"drafted_tokens", "2"}}).find("accepted"), std::string::npos);
  EXPECT_NE(Refusal({{"scenario", "chess"}}).find("chat"), std::string::npos);
  EXPECT_NE(Refusal({{"dram", "64GB"}}).find("own"), std::string::npos);
  EXPECT_NE(Refusal({{"own", "rtx-4090"}, {"dram", "64"}}).find("64GB"), std::string::npos);
  EXPECT_NE(Refusal({{"own", "rtx-4090"}, {"dram", "lots"}}).find("TiB"), std::string::npos);
  EXPECT_NE(Refusal({{"own", "rtx4090x2"}}).find("2xrtx4090"), std::string::npos);
  EXPECT_NE(Refusal({{"tpot", "50"}}).find("50ms"), std::string::npos);
  EXPECT_NE(Refusal({{"clients", "1000M"}}).find("at most 1,000,000"), std::string::npos);
  EXPECT_NE(Refusal({{"device_classes", "phone"}}).find("plan devices"), std::string::npos);
  EXPECT_EQ(Refusal({{"device_classes", "laptop"}}), "");
  EXPECT_NE(Refusal({{"own", "2xrtx-4090"}, {"most_devices", "1"}}).find("contradict"), std::string::npos);
  EXPECT_NE(Refusal({{"most_devices", "1"}, {"own", "2xrtx-4090"}}).find("own 1xrtx-4090"), std::string::npos);
  EXPECT_EQ(Refusal({{"own", "2xrtx-4090"}, {"most_devices", "2"}}), "");
  EXPECT_EQ(Refusal({{"own", "128xh100-sxm"}}), "") << "64 is a default, no limit that was set";
  for (const char* bad : {"1.7", "0", "-1", "1025"})
    EXPECT_NE(Refusal({{"most_devices", bad}}).find("no whole number from 1 to 1024"), std::string::npos) << bad;
  EXPECT_NE(Refusal({{"clients", "50%"}}).find("clients: '50%' is no number"), std::string::npos);
  EXPECT_NE(Refusal({{"clients", "0.5"}}).find("1 at least"), std::string::npos);
  EXPECT_EQ(Refusal({{"requests_per_s", "0.5"}, {"prefix_hit", "50%"}}), "");
}

TEST_F(PlanTest, TriesWhatServersAcceptAndMachinesHold) {
  const auto h100 = *devices_.FindDevice("h100-sxm"), desktop = *devices_.FindDevice("rtx-4090"),
             mac = *devices_.FindDevice("m3-ultra");
  EXPECT_EQ(CountsOf(h100, 64), (std::vector<int64_t>{1, 2, 4, 8, 16, 32, 64}));
  EXPECT_EQ(CountsOf(desktop, 64), (std::vector<int64_t>{1, 2, 4}));
  EXPECT_EQ(CountsOf(mac, 64), std::vector<int64_t>{1});
  const model::ModelSpec spec = Model("Qwen/Qwen3-235B-A22B");
  for (const int64_t count : {1, 8, 16}) {
    for (const metrics::Deployment& d : DeploymentsOf(h100, count, spec)) {
      EXPECT_EQ(d.Devices(), count);
      EXPECT_LE(d.pipeline, std::max<int64_t>(1, count / 8)) << "stages are nodes";
      EXPECT_TRUE(Validate(d, spec).ok());
    }
  }
}

// Switch Transformers are an encoder and a decoder that llama.cpp does not have: what is left says why.
// Half the bytes of a cache are room for twice the requests beside the same weights; no GGUF, no device without fp8 has it.
TEST_F(PlanTest, CachesInFp8AreTriedWhereAnyFidelityWillDo) {
  const auto search = [&](const char* fidelity, const char* narrow) {
    return Answer(Ask({{"clients", "64"}, {"tpot", "1s"}, {"fidelity", fidelity}, {"narrow_kv", narrow}}), "Qwen/Qwen3-30B-A3B")
        .search;
  };
  const auto narrow = [](const SearchResult& result) {
    return std::ranges::count_if(result.variants, [](const Variant& variant) { return variant.narrow_kv; });
  };
  EXPECT_EQ(narrow(search("near", "")), 0);
  EXPECT_EQ(narrow(search("any", "no")), 0);
  EXPECT_EQ(narrow(search("original", "yes")), 1);
  const SearchResult any = search("any", "");
  EXPECT_EQ(narrow(any), 4) << "bf16, fp8, nvfp4, int4";
  int tried = 0;
  for (const Candidate& c : any.candidates) {
    const Variant& variant = any.variants[c.variant];
    if (!variant.narrow_kv) continue;
    ++tried;
    EXPECT_TRUE(c.device->peaks.fp8) << c.device->id;
    EXPECT_NE(c.system, "llama-server");
    EXPECT_FALSE(variant.original);
    EXPECT_NE(Label(c, any.variants).find(" with KV in fp8"), std::string::npos);
    const auto same = std::ranges::find_if(any.candidates, [&](const Candidate& wide) {
      const Variant& other = any.variants[wide.variant];
      return !other.narrow_kv && other.spec.weight_type == variant.spec.weight_type && wide.device == c.device &&
             wide.count == c.count && wide.system == c.system && wide.offload.residence == c.offload.residence &&
             wide.deployment == c.deployment;
    });
    if (same == any.candidates.end()) continue;
    EXPECT_NEAR(c.memory.sequence_bytes, same->memory.sequence_bytes / 2, 1e-6 * c.memory.sequence_bytes);
    EXPECT_EQ(c.memory.weights_bytes, same->memory.weights_bytes);
  }
  EXPECT_GT(tried, 20);
}

// Attention data parallelism of TensorRT-LLM has ranks of one GPU; vLLM's may be wider.
TEST_F(PlanTest, NoTensorParallelismInsideTensorRtLlmsRanks) {
  const Plan plan =
      Answer(Ask({{"clients", "256"}, {"devices", "h100-sxm"}, {"most_devices", "16"}}), "deepseek-ai/DeepSeek-V3");
  int wide = 0;
  for (const Candidate& c : plan.search.candidates) {
    EXPECT_TRUE(c.system != "trtllm" || c.deployment.StepReplicas() == 1 || c.deployment.tensor == 1);
    wide += c.system == "trtllm";
  }
  EXPECT_GT(wide, 0);
}

TEST_F(PlanTest, LeavesOutSystemsWithoutTheModel) {
  const auto question = Ask({{"scenario", "single-user"}, {"own", "2xrtx-4090"}, {"dram", "4TB"}, {"why_not", "llama-server"}});
  const Plan plan = Answer(question, "google/switch-c-2048");
  ASSERT_TRUE(plan.best);
  for (const Candidate& c : plan.search.candidates) EXPECT_EQ(c.system, "moe-infinity");
  ASSERT_EQ(plan.why_not.size(), 1);
  EXPECT_EQ(plan.why_not[0].device, "llama-server v0.5.0");
  EXPECT_NE(plan.why_not[0].reason.find("has no switch_transformers"), std::string::npos);
  EXPECT_TRUE(std::any_of(plan.notes.begin(), plan.notes.end(),
                          [](const std::string& note) { return note.starts_with("Left out: ktransformers (0.7.0) has no"); }));
}

TEST_F(PlanTest, AModelThatNoSystemTakesSaysSo) {
  const Plan plan = Answer(Ask({{"clients", "1"}, {"devices", "h200-sxm"}}), "jetmoe/jetmoe-8b");
  EXPECT_FALSE(plan.best);
  ASSERT_FALSE(plan.search.refusals.empty());
  EXPECT_NE(plan.search.refusals.front().reason.find("jetmoe"), std::string::npos);
}

// GGUF has no fp8: llama.cpp gets the nearest type that it has, where that is near enough.
TEST_F(PlanTest, LlamaCppTakesAnFp8CheckpointAsQ8) {
  const Plan near = Answer(Ask({{"clients", "1"}, {"own", "m3-ultra"}}), "MiniMaxAI/MiniMax-M2.5");
  ASSERT_TRUE(near.best);
  for (const Candidate& c : near.search.candidates) EXPECT_EQ(near.search.variants[c.variant].label, "q8_0");
  const Plan stored = Answer(Ask({{"clients", "1"}, {"own", "m3-ultra"}, {"fidelity", "original"}}), "MiniMaxAI/MiniMax-M2.5");
  EXPECT_FALSE(stored.best);
  EXPECT_NE(stored.search.refusals.front().reason.find("fp8"), std::string::npos);
}

TEST_F(PlanTest, AnOpenLoopThatNothingHoldsNamesTheNearestByWhatItServes) {
  const Plan plan = Answer(Ask({{"requests_per_s", "100k"}, {"devices", "h100-sxm, l4"}}), "openai/gpt-oss-120b");
  ASSERT_TRUE(plan.best);
  EXPECT_NE(plan.Best()->misses.front().find("requests/s"), std::string::npos);
  for (const Candidate& c : plan.search.candidates)
    EXPECT_LE(c.serving.requests_per_s, plan.Best()->serving.requests_per_s * (1 + 1e-9));
}

TEST_F(PlanTest, UnknownPricesAreBehindThoseThatAreOver) {
  const Plan plan = Answer(Ask({{"clients", "8"}, {"budget_usd", "100"}}), "openai/gpt-oss-120b");
  ASSERT_TRUE(plan.best);
  EXPECT_TRUE(plan.Best()->money.purchase_usd) << plan.Best()->misses.front();
}

TEST(ParseDevices, CountsAndNames) {
  EXPECT_EQ(ParseDevices("2xrtx-4090")->count, 2);
  EXPECT_EQ(ParseDevices("2xrtx-4090")->id, "rtx-4090");
  EXPECT_EQ(ParseDevices("8 x h100-sxm")->id, "h100-sxm");
  EXPECT_EQ(ParseDevices("xeon-6980p")->id, "xeon-6980p");
  EXPECT_EQ(ParseDevices("xeon-6980p")->count, 1);
  EXPECT_EQ(ParseDevices("2048xh800-sxm")->count, 2048);
  EXPECT_FALSE(ParseDevices("0xh100-sxm").ok());
  EXPECT_FALSE(ParseDevices("1000000xh100-sxm").ok());
  EXPECT_FALSE(ParseDevices("").ok());
  EXPECT_EQ(ParseDevices("rtx4090")->id, "rtx4090");
  EXPECT_EQ(ParseDevices("mi300x")->id, "mi300x");
  EXPECT_FALSE(ParseDevices("h100-sxmx8").ok());
}

TEST_F(PlanTest, ReadsAFile) {
  const auto text =
      ParseQuestionFile("model: openai/gpt-oss-120b\nclients: 16\ntpot: 20ms\nwhy_not: [h100-sxm, l40s]\n", "q.yaml");
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->Get("model"), "openai/gpt-oss-120b");
  const auto question = MakeQuestion(*text);
  ASSERT_TRUE(question.ok());
  EXPECT_DOUBLE_EQ(*question->targets.tpot_s, 0.02);
  EXPECT_EQ(question->why_not.size(), 2);
  const auto wrong = ParseQuestionFile("clients: 16\nclinets: 2\n", "q.yaml");
  EXPECT_NE(wrong.error().message.find("q.yaml:2"), std::string::npos);
  EXPECT_NE(wrong.error().message.find("clients"), std::string::npos);
}

TEST_F(PlanTest, TheBillIsTheSumOfItsTokens) {
  const Plan plan = Answer(Ask({{"clients", "64"}}), "openai/gpt-oss-120b");
  const Candidate& best = *plan.Best();
  const double in = best.serving.requests_per_s * 3600 * plan.question.load.NewTokens() / 1e6;
  const double out = best.serving.output_tokens_per_s * 3600 / 1e6;
  EXPECT_NEAR(in * *best.usd_per_million_input + out * *best.usd_per_million_output, *best.money.usd_per_useful_h, 1e-6);
}

}  // namespace
}  // namespace moecap::planner
