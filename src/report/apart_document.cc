#include "report/apart_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

using metrics::Deployment;

std::string ReplicaText(const Deployment& deployment) {
  std::string text = fmt::format("TP {}", deployment.tensor);
  if (deployment.expert > 1) text += fmt::format(" EP {}", deployment.expert);
  return text;
}

std::string DivisionText(const planner::Apart& apart) {
  return fmt::format("{} ({}) for prompts and {} ({}) for answers", CountText(apart.prompt_replicas, "replica", "replicas"),
                     ReplicaText(apart.prompts), CountText(apart.answer_replicas, "replica", "replicas"),
                     ReplicaText(apart.answers));
}

std::vector<std::string> ApartHeadline(const ApartAnswer& answer) {
  const planner::Apart& apart = answer.apart;
  std::vector<std::string> lines;
  if (!apart.Answered()) {
    lines.emplace_back("Neither one pool nor two keep the targets at any rate.");
  } else if (apart.better && apart.together_per_s <= 0) {
    lines.push_back(fmt::format("Apart: {} serve {} requests/s under the targets, one pool none.", DivisionText(apart),
                                NumberText(apart.apart_per_s)));
  } else if (apart.better) {
    lines.push_back(fmt::format(
        "Apart: {} serve {} requests/s under the targets, one pool {}: {:.2f} times ({:.2f} to {:.2f}).", DivisionText(apart),
        NumberText(apart.apart_per_s), NumberText(apart.together_per_s), apart.gain, apart.gain_low, apart.gain_high));
  } else {
    lines.push_back(fmt::format("One pool: {} requests/s under the targets; apart {}.", NumberText(apart.together_per_s),
                                NumberText(apart.apart_per_s)));
  }
  if (apart.Answered()) lines.push_back(Sentence(apart.why));
  lines.push_back(
      fmt::format("The KV cache of a prompt is {} and takes {} over {} a device; the range is that of predictions "
                  "that are all {:g} or {:g} times as long ({}).",
                  BytesText(apart.kv_bytes), SecondsText(apart.transfer_s), RateText(apart.link_bytes_per_s, "B/s"),
                  answer.band.low, answer.band.high, answer.band.basis));
  return lines;
}

Table PoolsTable(const ApartAnswer& answer) {
  Table table{.name = "pools", .title = "Requests/s of one replica under the targets"};
  table.columns = {{.header = "replica", .kind = ColumnKind::kKey},   {.header = "devices"},
                   {.header = "both", .group = "it serves"},          {.header = "prompts alone", .group = "it serves"},
                   {.header = "answers alone", .group = "it serves"}, {.header = "sequences", .group = "room for"}};
  for (const planner::PoolRates& pool : answer.apart.pools) {
    table.rows.push_back({ReplicaText(pool.deployment), std::to_string(pool.deployment.Devices()),
                          Estimate(NumberText(pool.together_per_s)), Estimate(NumberText(pool.prompts_per_s)),
                          Estimate(NumberText(pool.answers_per_s)), NumberText(pool.room)});
  }
  return table;
}

Json DeploymentJson(const Deployment& deployment) {
  return {{"tensor", deployment.tensor}, {"expert", deployment.expert}, {"devices", deployment.Devices()}};
}

}  // namespace

Document ApartDocument(const ApartAnswer& answer) {
  Document document;
  document.kind = "plan apart";
  document.title = answer.model;
  const planner::Load& load = answer.question.load;
  const planner::Targets& targets = answer.question.targets;
  document.about.items = {{"devices", answer.devices},
                          {"system", answer.question.system},
                          {"load", fmt::format("{:.0f} tokens in, {} of them cached, {:.0f} out", load.input_tokens,
                                               ShareText(load.prefix_hit, 0), load.output_tokens)},
                          {"TPOT", targets.tpot_s ? "at most " + SecondsText(*targets.tpot_s) : ""},
                          {"TTFT", targets.ttft_s ? "at most " + SecondsText(*targets.ttft_s) : ""}};
  document.headline = ApartHeadline(answer);
  Section pools{.heading = "Pools", .detail = Detail::kFirstScreen, .blocks = {PoolsTable(answer)}};
  pools.blocks.emplace_back(
      KeyValues{"The best of each",
                {{"one pool of", answer.apart.together_per_s > 0 ? ReplicaText(answer.apart.together) : ""},
                 {"apart", answer.apart.apart_per_s > 0 ? DivisionText(answer.apart) : ""},
                 {"prompts would need",
                  answer.apart.apart_per_s > 0 ? ShareText(answer.apart.ideal_prompt_share, 0) + " of the devices" : ""}}});
  document.sections.push_back(std::move(pools));
  if (!answer.apart.notes.empty())
    document.sections.push_back(
        {.heading = "Notes", .detail = Detail::kFirstScreen, .blocks = {Notes{"", answer.apart.notes}}});
  return document;
}

Json ApartToJson(const ApartAnswer& answer) {
  const planner::Apart& apart = answer.apart;
  Json pools = Json::array();
  for (const planner::PoolRates& pool : apart.pools) {
    pools.push_back({{"replica", DeploymentJson(pool.deployment)},
                     {"together_requests_per_s", pool.together_per_s},
                     {"prompts_per_s", pool.prompts_per_s},
                     {"answers_per_s", pool.answers_per_s},
                     {"sequences", pool.room}});
  }
  return {{"schema", 1},
          {"model", answer.model},
          {"devices", answer.devices},
          {"system", answer.question.system},
          {"apart", apart.better},
          {"why", apart.why},
          {"notes", apart.notes},
          {"together_requests_per_s", apart.together_per_s},
          {"apart_requests_per_s", apart.apart_per_s},
          {"gain", apart.gain},
          {"gain_low", apart.gain_low},
          {"gain_high", apart.gain_high},
          {"together_replica", apart.together_per_s > 0 ? DeploymentJson(apart.together) : Json(nullptr)},
          {"prompt_replica", apart.apart_per_s > 0 ? DeploymentJson(apart.prompts) : Json(nullptr)},
          {"answer_replica", apart.apart_per_s > 0 ? DeploymentJson(apart.answers) : Json(nullptr)},
          {"prompt_replicas", apart.prompt_replicas},
          {"answer_replicas", apart.answer_replicas},
          {"ideal_prompt_share", apart.ideal_prompt_share},
          {"prefill_share", apart.prefill_share},
          {"kv_bytes", apart.kv_bytes},
          {"transfer_s", apart.transfer_s},
          {"pools", std::move(pools)}};
}

}  // namespace moecap::report
