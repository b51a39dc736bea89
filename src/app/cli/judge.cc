// moecap judge: answers to Arena-Hard, compared with a baseline's by a model as the judge.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "accuracy/arena_judging.h"
#include "app/cli/cli.h"
#include "app/cli/interrupt.h"
#include "app/cli/output.h"
#include "app/judging.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/table.h"
#include "workload/dataset.h"
#include "workload/prompter.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

struct JudgeFlags {
  std::string answers, dataset = "arena-hard-v0.1", path, category, prompt = "arena-hard-judge", judgements;
  std::vector<std::string> baselines;  // FILE, or CATEGORY=FILE
  std::string url, model, api = "chat", kind, api_key_env;
  std::optional<double> temperature, usd_per_million_input, usd_per_million_output;
  bool no_temperature = false;
  std::optional<int64_t> max_output_tokens;
  int clients = 8;
  double timeout_s = 600;
  accuracy::Bootstrap bootstrap;
  bool json = false;
};

// All that is judged: the pairs of answers, and what the judge is to be shown of each in each round.
struct Contest {
  std::vector<accuracy::ArenaPair> pairs;
  std::vector<JudgeQuestion> games;  // of pairs whose model answered
};

using AnswersByUid = std::unordered_map<std::string, accuracy::ArenaAnswer>;

Result<AnswersByUid> ReadBaseline(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(std::vector<accuracy::ArenaAnswer> answers, accuracy::ParseArenaAnswers(text, file));
  AnswersByUid by_uid;
  for (accuracy::ArenaAnswer& answer : answers) {
    std::string uid = answer.uid;
    by_uid.emplace(std::move(uid), std::move(answer));
  }
  return by_uid;
}

// The baselines by category, "" of all.
class Baselines {
 public:
  static Result<Baselines> Read(const std::vector<std::string>& flags) {
    Baselines baselines;
    std::error_code none;
    for (const std::string& flag : flags) {
      const size_t equals = fs::exists(flag, none) ? std::string::npos : flag.find('=');
      const std::string category = equals == std::string::npos ? "" : flag.substr(0, equals);
      const std::string file = equals == std::string::npos ? flag : flag.substr(equals + 1);
      ASSIGN_OR_RETURN(AnswersByUid answers, ReadBaseline(file));
      if (!baselines.files_.emplace(category, std::pair(file, std::move(answers))).second)
        return BadInput(fmt::format("--baseline {}: a baseline for the same questions was given before", flag));
    }
    return baselines;
  }

  Result<accuracy::ArenaAnswer> For(const std::string& uid, const std::string& category) const {
    auto found = files_.find(category);
    if (found == files_.end()) found = files_.find("");
    if (found == files_.end())
      return BadInput(fmt::format("no baseline for {}; give --baseline {}=FILE, or judge one --category", category, category));
    const auto& [file, answers] = found->second;
    const auto answer = answers.find(uid);
    if (answer == answers.end() || !answer->second.text) return BadInput(fmt::format("{}: no answer to '{}'", file, uid));
    return answer->second;
  }

 private:
  std::map<std::string, std::pair<std::string, AnswersByUid>> files_;
};

std::string CategoryOf(const workload::Problem& problem, const workload::DatasetInfo& info) {
  const auto category = problem.fields.find("category");
  return category == problem.fields.end() ? info.name : category->second;
}

Status AddGames(const workload::Prompter& prompter, workload::Problem problem, const accuracy::ArenaPair& pair,
                std::optional<int64_t> max_output_tokens, std::vector<JudgeQuestion>& games) {
  problem.group = pair.category;
  for (int round = 0; round < accuracy::kArenaRounds; ++round) {
    problem.fields["answer_a"] = *(round == 0 ? pair.baseline : pair.model).text;
    problem.fields["answer_b"] = *(round == 0 ? pair.model : pair.baseline).text;
    ASSIGN_OR_RETURN(const workload::RenderedPrompt rendered, prompter.Render(problem));
    JudgeQuestion& game = games.emplace_back();
    game.uid = pair.uid;
    game.round = round;
    game.max_output_tokens = max_output_tokens.value_or(rendered.max_output_tokens);
    uint64_t hash = 0;
    for (const workload::PromptMessage& message : rendered.messages) {
      hash = HashOf(message.content, HashOf(message.role, hash));
      game.messages.push_back({message.role, message.content});
    }
    game.shown = fmt::format("{:016x}", hash);
  }
  return {};
}

Result<Contest> ReadContest(const JudgeFlags& flags) {
  ASSIGN_OR_RETURN(const workload::DatasetInfo info, workload::FindDataset(flags.dataset));
  if (info.task != "arena_hard") return BadInput(info.name + " is not judged; arena-hard-v0.1 and arena-hard-v2 are");
  ASSIGN_OR_RETURN(const workload::LoadedDataset loaded, workload::LoadDataset(info, info.split, flags.path, 0));
  ASSIGN_OR_RETURN(const workload::PromptTemplate prompt, workload::FindPromptTemplate(flags.prompt));
  if (!prompt.is_chat) return BadInput(fmt::format("the prompt {} is no chat, as a judge needs it", prompt.name));
  ASSIGN_OR_RETURN(const workload::Prompter prompter, workload::Prompter::Create(prompt, {}, loaded.rows));
  ASSIGN_OR_RETURN(const Baselines baselines, Baselines::Read(flags.baselines));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.answers));
  ASSIGN_OR_RETURN(std::vector<accuracy::ArenaAnswer> answers, accuracy::ParseArenaAnswers(text, flags.answers));
  std::unordered_map<std::string_view, const workload::Problem*> questions;
  for (const workload::Problem& problem : loaded.problems) questions.emplace(problem.id, &problem);
  Contest contest;
  for (accuracy::ArenaAnswer& answer : answers) {
    const std::string where = fmt::format("{}: row {}", flags.answers, answer.row);
    const auto question = questions.find(answer.uid);
    if (question == questions.end())
      return BadInput(fmt::format("{}: '{}' is no question of {}", where, answer.uid, info.name));
    accuracy::ArenaPair pair;
    pair.uid = answer.uid;
    pair.category = CategoryOf(*question->second, info);
    if (!flags.category.empty() && pair.category != flags.category) continue;
    auto baseline = baselines.For(pair.uid, pair.category);
    if (!baseline.ok()) return Annotate(where, baseline.error());
    pair.baseline = std::move(*baseline);
    pair.model = std::move(answer);
    if (pair.model.text) RETURN_IF_ERROR(AddGames(prompter, *question->second, pair, flags.max_output_tokens, contest.games));
    contest.pairs.push_back(std::move(pair));
  }
  if (contest.pairs.empty()) return BadInput(fmt::format("{}: no answer is of the category {}", flags.answers, flags.category));
  return contest;
}

fs::path JudgementsPath(const JudgeFlags& flags) {
  if (!flags.judgements.empty()) return flags.judgements;
  return fs::path(flags.answers).replace_extension("judgements.jsonl");
}

// Those made before, of these very games and this judge; what was being written when the program ended is cut off.
Result<std::vector<accuracy::Judgement>> ReadJudgements(const JudgeFlags& flags, const Contest& contest) {
  const fs::path path = JudgementsPath(flags);
  std::error_code none;
  if (!fs::exists(path, none)) return std::vector<accuracy::Judgement>();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(accuracy::JudgementFile file, accuracy::ParseJudgements(text, path.string()));
  std::map<std::pair<std::string_view, int>, const JudgeQuestion*> games;
  for (const JudgeQuestion& game : contest.games) games[{game.uid, game.round}] = &game;
  const char* remedy = "; name another file with --judgements";
  for (const accuracy::Judgement& judgement : file.judgements) {
    const auto game = games.find({judgement.uid, judgement.round});
    if (game == games.end()) continue;
    if (game->second->shown != judgement.shown)
      return BadInput(
          fmt::format("{}: '{}' was judged with other answers or another prompt{}", path.string(), judgement.uid, remedy));
    if (!flags.model.empty() && judgement.judge != flags.model)
      return BadInput(fmt::format("{}: '{}' was judged by {}{}", path.string(), judgement.uid, judgement.judge, remedy));
  }
  if (file.whole_bytes < text.size()) fs::resize_file(path, file.whole_bytes, none);
  std::erase_if(file.judgements, [&](const auto& judgement) { return !games.contains({judgement.uid, judgement.round}); });
  return std::move(file.judgements);
}

std::vector<JudgeQuestion> Pending(const Contest& contest, std::span<const accuracy::Judgement> judgements) {
  std::map<std::pair<std::string_view, int>, bool> judged;
  for (const accuracy::Judgement& judgement : judgements)
    judged[{judgement.uid, judgement.round}] = judgement.verdict.has_value();
  std::vector<JudgeQuestion> pending;
  for (const JudgeQuestion& game : contest.games) {
    const auto found = judged.find({game.uid, game.round});
    if (found == judged.end() || !found->second) pending.push_back(game);
  }
  return pending;
}

Result<Judged> Ask(const JudgeFlags& flags, std::span<const JudgeQuestion> games) {
  const SteadyClock clock;
  JudgingOptions options;
  options.server.urls = {flags.url};
  options.server.api = flags.api;
  options.server.kind = flags.kind;
  options.server.model = flags.model;
  options.server.api_key_env = flags.api_key_env;
  options.server.temperature = flags.no_temperature ? std::nullopt : std::optional(flags.temperature.value_or(0));
  options.server.timeout_s = flags.timeout_s;
  options.server.stream = false;  // nothing is timed, and every server counts the tokens of an answer that comes whole
  options.clients = flags.clients;
  options.file = JudgementsPath(flags);
  InstallInterruptHandler();
  options.stop_requested = InterruptRequested;
  Progress progress(clock, stderr, ::isatty(STDERR_FILENO) == 1, "games");
  options.on_progress = [&](int64_t done, int64_t all) { progress.Update(done, all, "judging"); };
  return AskJudge(options, games, clock);
}

struct Outcome {
  std::vector<accuracy::ArenaResult> results;
  Judged judged;
  std::string judge;
  int64_t games = 0, pending = 0;
  int64_t input_tokens = 0, output_tokens = 0;  // of all judgements in the file
  std::optional<double> usd;
};

Outcome Summarise(const JudgeFlags& flags, const Contest& contest, std::span<const accuracy::Judgement> judgements,
                  const Judged& judged) {
  Outcome outcome;
  outcome.judged = judged;
  outcome.games = std::ssize(contest.games);
  outcome.pending = std::ssize(Pending(contest, judgements));
  outcome.results = accuracy::ScoreArena(contest.pairs, judgements, flags.bootstrap);
  for (const accuracy::Judgement& judgement : judgements) {
    outcome.judge = judgement.judge;
    outcome.input_tokens += judgement.input_tokens;
    outcome.output_tokens += judgement.output_tokens;
  }
  if (flags.usd_per_million_input && flags.usd_per_million_output)
    outcome.usd = (static_cast<double>(outcome.input_tokens) * *flags.usd_per_million_input +
                   static_cast<double>(outcome.output_tokens) * *flags.usd_per_million_output) *
                  1e-6;
  return outcome;
}

Json ScoreJson(const accuracy::ArenaScore& score) {
  return {{"win_rate", score.win_rate}, {"interval", {{"confidence", 0.9}, {"low", score.low}, {"high", score.high}}}};
}

Json ToJson(const JudgeFlags& flags, const Outcome& outcome) {
  Json categories = Json::array();
  for (const accuracy::ArenaResult& result : outcome.results) {
    Json styled = nullptr;
    if (result.styled) {
      styled = ScoreJson(result.styled->score);
      const auto& [length, headers, lists, bolds] = result.styled->influence;
      styled["influence"] = {{"length", length}, {"headers", headers}, {"lists", lists}, {"bolds", bolds}};
      styled["tokens_are_estimated"] = result.tokens_are_estimated;
    }
    categories.push_back({{"category", result.category},
                          {"questions", result.questions},
                          {"lost", result.lost},
                          {"dropped", result.dropped},
                          {"battles", result.battles},
                          {"score", result.score ? ScoreJson(*result.score) : Json(nullptr)},
                          {"style_controlled", styled},
                          {"moe_cap", OrNull(result.moe_cap)}});
  }
  return {{"dataset", flags.dataset},
          {"answers", flags.answers},
          {"judgements", JudgementsPath(flags).string()},
          {"judge", outcome.judge},
          {"games", outcome.games},
          {"asked", outcome.judged.asked},
          {"failed", outcome.judged.failed},
          {"pending", outcome.pending},
          {"input_tokens", outcome.input_tokens},
          {"output_tokens", outcome.output_tokens},
          {"usd", OrNull(outcome.usd)},
          {"categories", std::move(categories)}};
}

std::vector<std::string> ScoreCells(const std::optional<accuracy::ArenaScore>& score) {
  if (!score) return {"-", "-"};
  return {fmt::format("{:.1f}", 100 * score->win_rate), fmt::format("{:.1f} to {:.1f}", 100 * score->low, 100 * score->high)};
}

void Print(const JudgeFlags& flags, const Outcome& outcome) {
  PrintParagraph(fmt::format("{} against the baseline, judged by {}; win rates in %", PrintableText(flags.answers),
                             outcome.judge.empty() ? "nobody yet" : PrintableText(outcome.judge)));
  std::vector<std::vector<std::string>> rows;
  bool estimated = false;
  for (const accuracy::ArenaResult& result : outcome.results) {
    std::vector<std::string>& row = rows.emplace_back();
    row = {result.category, std::to_string(result.questions)};
    for (std::string& cell : ScoreCells(result.score)) row.push_back(std::move(cell));
    for (std::string& cell : ScoreCells(result.styled ? std::optional(result.styled->score) : std::nullopt))
      row.push_back(std::move(cell));
    row.push_back(std::to_string(result.dropped));
    row.push_back(std::to_string(result.lost));
    estimated = estimated || (result.styled && result.tokens_are_estimated);
  }
  fmt::print("\n");
  PrintText(RenderTable({{"", "category", Align::kLeft, true},
                         {"", "questions"},
                         {"", "win rate"},
                         {"", "90 %"},
                         {"", "equal style"},
                         {"", "90 %"},
                         {"", "dropped"},
                         {"", "lost"}},
                        rows, TerminalTable()));
  fmt::print("\n");
  if (estimated)
    PrintParagraph("Equal style: lengths are estimates, bytes over 4, since an answer lacks the count of its tokens.");
  std::string cost = fmt::format("The judge read {} and wrote {} tokens", outcome.input_tokens, outcome.output_tokens);
  if (outcome.usd) cost += fmt::format(", for {:.2f} USD", *outcome.usd);
  PrintParagraph(cost + fmt::format("; {} of {} games are without a verdict.", outcome.pending, outcome.games));
}

Status RunJudge(const JudgeFlags& flags) {
  if (flags.baselines.empty()) return BadInput("name the answers to compare with: --baseline FILE");
  ASSIGN_OR_RETURN(const Contest contest, ReadContest(flags));
  ASSIGN_OR_RETURN(std::vector<accuracy::Judgement> judgements, ReadJudgements(flags, contest));
  const std::vector<JudgeQuestion> pending = Pending(contest, judgements);
  Judged judged;
  if (!flags.url.empty() && !pending.empty()) {
    ASSIGN_OR_RETURN(judged, Ask(flags, pending));
    ASSIGN_OR_RETURN(judgements, ReadJudgements(flags, contest));
  }
  const Outcome outcome = Summarise(flags, contest, judgements, judged);
  if (flags.json) {
    PrintText(DumpJsonPretty(ToJson(flags, outcome)));
  } else {
    Print(flags, outcome);
  }
  const std::string again = fmt::format("the same command goes on with {}", JudgementsPath(flags).string());
  if (judged.failed > 0)
    return Failed(fmt::format("{} of {} games got no judgement, the first failed with: {}; {}", judged.failed, judged.asked,
                              judged.first_failure, again));
  if (judged.interrupted) return Error{ErrorKind::kInterrupted, "stopped; " + again};
  return {};
}

}  // namespace

Action AddJudge(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<JudgeFlags>();
  app.add_option("answers", flags->answers, "JSON lines: uid or id, and messages, prediction or text (a run's answers.jsonl)")
      ->required();
  app.add_option("--baseline", flags->baselines, "the answers to compare with, FILE or CATEGORY=FILE (may be repeated)")
      ->allow_extra_args(false);
  app.add_option("--dataset", flags->dataset, "arena-hard-v0.1 (default) or arena-hard-v2");
  app.add_option("--path", flags->path, "where its files are (default: where moecap datasets finds them)");
  app.add_option("--category", flags->category, "judge the questions of one category only");
  app.add_option("--url", flags->url, "the judge's server; without it the judgements there are, are scored");
  app.add_option("--model", flags->model, "the judge, as its server knows it");
  app.add_option("--api", flags->api, "its interface (default: chat)");
  app.add_option("--kind", flags->kind, "what its server is (default: asked)");
  app.add_option("--api-key-env", flags->api_key_env, "environment variable with its key");
  app.add_option("--judgements", flags->judgements,
                 "file of judgements, added to as they come (default: ANSWERS.judgements.jsonl)");
  app.add_option("--prompt", flags->prompt, "what the judge is told: a template (default: arena-hard-judge) or a .yaml file");
  auto* temperature = app.add_option("--temperature", flags->temperature, "of the judge (default: 0)");
  app.add_flag("--no-temperature", flags->no_temperature, "send none, for models that refuse it")->excludes(temperature);
  app.add_option("--max-output-tokens", flags->max_output_tokens, "of a judgement (default: the prompt's)")
      ->check(CLI::PositiveNumber);
  app.add_option("--clients", flags->clients, "requests at a time (default: 8)")->check(CLI::PositiveNumber);
  app.add_option("--timeout-s", flags->timeout_s, "of a request (default: 600)")->check(CLI::PositiveNumber);
  app.add_option("--usd-per-million-input", flags->usd_per_million_input, "the judge's price, for the cost of judging");
  app.add_option("--usd-per-million-output", flags->usd_per_million_output, "likewise");
  app.add_option("--rounds", flags->bootstrap.rounds, "of the bootstrap (default: 100)")->check(CLI::PositiveNumber);
  app.add_option("--seed", flags->bootstrap.seed, "of the bootstrap (default: 0)");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer(
      "Example:\n  moecap judge answers.jsonl --baseline gpt-4-0314.jsonl --url https://api.openai.com --model gpt-4.1 "
      "--api-key-env OPENAI_API_KEY");
  return [flags] { return RunJudge(*flags); };
}

}  // namespace moecap::app
