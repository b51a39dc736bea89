#include "metrics/pass_reconstruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

namespace moecap::metrics {
namespace {

using record::PassKind;
using record::RequestRecord;

constexpr double kNever = std::numeric_limits<double>::infinity();
// Of the tokens: below it, events with several tokens are too few to spoil anything.
constexpr double kFewBundled = 0.05;
// Two tokens that were made in two passes take twice the time of one; made in one, they take as long. Between the two.
constexpr double kLeastPerToken = 0.7;

double MiddleOf(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// A request on its way through the passes.
struct Track {
  size_t request = 0;
  const RequestRecord* record = nullptr;
  size_t next = 0;  // token

  double At(size_t token) const { return token < record->token_s.size() ? record->token_s[token] : kNever; }
  double Next() const { return At(next); }
  double Sent() const { return record->sent_s.value_or(record->send_s); }
  bool Done() const { return next >= record->token_s.size(); }
};

struct Draft {
  double end_s = 0;
  double idle_until_s = 0;  // when nobody ran before: the moment at which its first request was there
  std::vector<PassShare> decodes, prompts;

  int64_t Tokens() const {
    int64_t tokens = std::ssize(decodes);
    for (const PassShare& share : prompts) tokens += share.count;
    return tokens;
  }
};

// Walks through the passes in order.
class Walk {
  static constexpr size_t kAligned = 8, kLeastAligned = 3;  // tokens of a new request that are laid beside those of the others
  static constexpr size_t kMostLate = 6;                    // passes by which its first token may come late

 public:
  Walk(std::span<const RequestRecord> requests, PrefillBatching prefill) : prefill_(prefill) {
    for (size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].token_s.empty()) waiting_.push_back({i, &requests[i], 0});
    }
    std::ranges::stable_sort(waiting_, {}, [](const Track& track) { return track.Next(); });
  }

  std::vector<Draft> Take() {
    while (!running_.empty() || first_ < waiting_.size()) drafts_.push_back(Step());
    return std::move(drafts_);
  }

 private:
  // The median over those that run of their `ahead`-th token from now; kNever when none has so many. When nobody runs the
  // first one that waits will.
  double MedianOfRunning(size_t ahead) {
    if (running_.empty()) return waiting_[first_].At(ahead);
    times_.clear();
    for (const Track& track : running_) {
      if (const double at = track.At(track.next + ahead); at != kNever) times_.push_back(at);
    }
    return times_.empty() ? kNever : MiddleOf(times_);
  }

  // Prompts whose first token came until `limit_s`.
  std::vector<Track> JoinUntil(double limit_s) {
    std::vector<Track> joined;
    for (; first_ < waiting_.size() && waiting_[first_].Next() <= limit_s; ++first_) joined.push_back(waiting_[first_]);
    return joined;
  }

  // Prompts that join the pass at `step_s`, before that at `next_s`. First tokens take longer on their way than others, by
  // several passes of a busy server, so the tokens behind them say to which pass they belong.
  std::vector<Track> Join(double step_s, double next_s) {
    const auto begin = waiting_.begin() + static_cast<std::ptrdiff_t>(first_);
    if (begin == waiting_.end()) return {};
    std::vector<double> steps;
    for (size_t ahead = 0; ahead < kAligned + kMostLate; ++ahead) steps.push_back(MedianOfRunning(ahead));
    const double late_s = steps[kMostLate] != kNever ? std::max(steps[kMostLate], next_s) : next_s;
    const auto end = std::partition_point(begin, waiting_.end(), [&](const Track& track) { return track.Next() <= late_s; });
    const double half_way_s = step_s + (next_s - step_s) / 2;
    const auto later = std::stable_partition(begin, end, [&](const Track& track) {
      const auto steps_later = StepsLater(track, steps);
      return steps_later ? *steps_later == 0 : track.Next() <= half_way_s;
    });
    std::vector<Track> joined(begin, later);
    first_ += joined.size();
    return joined;
  }

  // How many passes after that at steps[0] the tokens of `track` fit best. Null: too few tokens run beside it.
  static std::optional<size_t> StepsLater(const Track& track, std::span<const double> steps) {
    std::optional<size_t> best;
    double least = kNever;
    for (size_t later = 0; later <= kMostLate; ++later) {
      double sum = 0;
      size_t compared = 0;
      for (; compared < kAligned && compared + later < steps.size(); ++compared) {
        const double at = track.At(compared);
        if (at == kNever || steps[compared + later] == kNever) break;
        sum += std::abs(at - steps[compared + later]);
      }
      if (compared < kLeastAligned) {
        if (later <= 1) return std::nullopt;  // nothing to choose between
        break;
      }
      const double mean = sum / static_cast<double>(compared);
      if (mean < least) {
        least = mean;
        best = later;
      }
    }
    return best;
  }

  Draft Step() {
    const bool idle = running_.empty();
    const double first_s = first_ < waiting_.size() ? waiting_[first_].Next() : kNever;
    const double step_s = MedianOfRunning(0);
    const double after_s = MedianOfRunning(1);
    // The last pass of all has no next one, and lasts about as long as the one before it.
    const double next_s = after_s != kNever ? std::max(after_s, step_s) : step_s + last_s_;
    std::vector<Track> joined;
    if (prefill_ == PrefillBatching::kMixed) {
      joined = Join(step_s, next_s);
      return Make(joined, true, idle);
    }
    // A prompt's own pass ends before the next token of the others.
    if (idle) {
      joined = JoinUntil(step_s + (next_s - step_s) / 2);
    } else if (first_s < step_s) {
      joined = JoinUntil(first_s + (step_s - first_s) / 2);
    }
    return Make(joined, joined.empty(), idle);
  }

  Draft Make(std::vector<Track>& joined, bool step_running, bool idle) {
    Draft draft;
    times_.clear();
    if (step_running) {
      for (Track& track : running_) {
        times_.push_back(track.Next());
        draft.decodes.push_back({track.request, track.record->input_tokens + static_cast<int64_t>(track.next) - 1, 1});
        ++track.next;
      }
    }
    draft.idle_until_s = idle ? kNever : -kNever;
    for (Track& track : joined) {
      times_.push_back(track.Next());
      const int64_t cached = std::clamp<int64_t>(track.record->cached_input_tokens.value_or(0), 0, track.record->input_tokens);
      // The last token of a prompt is always computed: it makes the first one of the answer.
      const int64_t begin = std::min(cached, std::max<int64_t>(0, track.record->input_tokens - 1));
      draft.prompts.push_back({track.request, begin, std::max<int64_t>(1, track.record->input_tokens - begin)});
      draft.idle_until_s = idle ? std::min(draft.idle_until_s, track.Sent()) : draft.idle_until_s;
      ++track.next;
    }
    draft.end_s = MiddleOf(times_);
    if (!drafts_.empty()) last_s_ = std::max(0.0, draft.end_s - drafts_.back().end_s);
    running_.insert(running_.end(), joined.begin(), joined.end());
    std::erase_if(running_, [](const Track& track) { return track.Done(); });
    return draft;
  }

  PrefillBatching prefill_;
  std::vector<Track> waiting_, running_;
  size_t first_ = 0;  // of those that wait
  double last_s_ = 0;
  std::vector<Draft> drafts_;
  std::vector<double> times_;
};

// Half of a typical decode pass: no pass with a prompt ends sooner after the one before it. 0 without two decode passes in a
// row.
double LeastPromptPass(std::span<const Draft> drafts) {
  std::vector<double> steps;
  for (size_t i = 1; i < drafts.size(); ++i) {
    if (drafts[i].prompts.empty() && drafts[i - 1].prompts.empty()) steps.push_back(drafts[i].end_s - drafts[i - 1].end_s);
  }
  return steps.empty() ? 0 : MiddleOf(steps) / 2;
}

// Passes whose tokens arrived together are spread evenly over the time that they took together: a server process that is late
// hands them out at once, and one that schedules ahead of its results waits for a prompt's and has the next pass ready by then.
void SpreadBursts(std::vector<Draft>& drafts) {
  const double least_s = LeastPromptPass(drafts);
  double before_s = drafts.empty() ? 0 : drafts.front().idle_until_s;
  for (size_t begin = 0; begin < drafts.size();) {
    size_t end = begin + 1;
    double burst_s = std::max(drafts[begin].end_s, before_s);
    for (; end < drafts.size(); ++end) {
      const bool any_prompt = !drafts[end].prompts.empty() || !drafts[end - 1].prompts.empty();
      const bool is_new = drafts[end].idle_until_s > burst_s || drafts[end].end_s > burst_s + (any_prompt ? least_s : 0);
      if (is_new) break;
      burst_s = std::max(burst_s, drafts[end].end_s);
    }
    const double start_s = std::max(before_s, drafts[begin].idle_until_s);
    for (size_t i = begin; i < end; ++i) {
      const double part = static_cast<double>(i - begin + 1) / static_cast<double>(end - begin);
      drafts[i].end_s = start_s + std::max(0.0, burst_s - start_s) * part;
    }
    before_s = burst_s;
    begin = end;
  }
}

// Prompts longer than a pass takes: the passes before that of their first token computed their beginning, as many of them as
// it takes and as far as they had room and the request was there. Where they had too little, passes did it of which no token
// tells. Servers fill one pass after the other, so what is left over comes last, with the first token, and the prompt that did
// not fit into a pass as a whole begins there.
class PromptSplitter {
 public:
  PromptSplitter(std::span<const RequestRecord> requests, int64_t most_tokens)
      : requests_(requests), most_tokens_(most_tokens) {}

  std::vector<Draft> Split(std::vector<Draft> drafts) {
    for (Draft& draft : drafts) {
      const double start_s = std::max(split_.empty() ? draft.idle_until_s : split_.back().end_s, draft.idle_until_s);
      before_ = split_.size();
      hidden_.clear();
      std::vector<PassShare> prompts = std::exchange(draft.prompts, {});
      std::ranges::stable_sort(prompts, std::greater(), [&](const PassShare& prompt) { return Sent(prompt); });
      // The others found room behind the first one of the queue, which alone may have begun before.
      for (PassShare& prompt : prompts) {
        if (&prompt == &prompts.back()) FillPassBefore(prompt, draft);
        Place(prompt, draft);
      }
      AddHidden(draft, start_s);
      split_.push_back(std::move(draft));
    }
    return std::move(split_);
  }

 private:
  double Sent(const PassShare& prompt) const {
    return requests_[prompt.request].sent_s.value_or(requests_[prompt.request].send_s);
  }

  // A prompt that fits into the pass of its first token and not into the one before, for which it waited: that took as much of
  // it as it had room for.
  void FillPassBefore(PassShare& prompt, const Draft& draft) {
    if (split_.empty() || prompt.count > most_tokens_ - draft.Tokens()) return;
    Draft& before = split_.back();
    const double began_s = std::max(split_.size() > 1 ? split_[split_.size() - 2].end_s : -kNever, before.idle_until_s);
    const int64_t room = most_tokens_ - before.Tokens();
    if (room > 0 && room < prompt.count && Sent(prompt) < began_s) before.prompts.push_back(Take(room, prompt));
  }

  void Place(PassShare prompt, Draft& draft) {
    const int64_t own = std::max<int64_t>(1, most_tokens_ - draft.Tokens());
    const double sent_s = Sent(prompt);
    std::vector<size_t> used;  // the last one first
    int64_t room = own;
    for (size_t i = before_; room < prompt.count && i-- > 0 && split_[i].end_s > sent_s;) {
      const int64_t left = most_tokens_ - split_[i].Tokens();
      if (left <= 0) continue;
      used.push_back(i);
      room += left;
    }
    for (auto i = used.rbegin(); i != used.rend(); ++i) {
      const int64_t part = PartOf(prompt, most_tokens_ - split_[*i].Tokens(), own);
      if (part > 0) split_[*i].prompts.push_back(Take(part, prompt));
    }
    while (prompt.count > own) {
      Draft before;
      before.prompts.push_back(Take(PartOf(prompt, most_tokens_, own), prompt));
      hidden_.push_back(std::move(before));
    }
    draft.prompts.push_back(prompt);
  }

  // As much as there is room for, but something must be left for the pass of the first token.
  static int64_t PartOf(const PassShare& prompt, int64_t room, int64_t own) {
    return room < prompt.count ? room : std::max<int64_t>(0, prompt.count - own);
  }

  static PassShare Take(int64_t count, PassShare& prompt) {
    const PassShare part{prompt.request, prompt.begin, count};
    prompt.begin += count;
    prompt.count -= count;
    return part;
  }

  // They share the time with the pass behind them by their tokens.
  void AddHidden(const Draft& draft, double start_s) {
    double tokens = static_cast<double>(draft.Tokens());
    for (const Draft& before : hidden_) tokens += static_cast<double>(before.Tokens());
    double done = 0;
    for (Draft& before : hidden_) {
      done += static_cast<double>(before.Tokens());
      before.idle_until_s = draft.idle_until_s;
      before.end_s = start_s + (draft.end_s - start_s) * done / tokens;
      split_.push_back(std::move(before));
    }
  }

  std::span<const RequestRecord> requests_;
  int64_t most_tokens_;
  std::vector<Draft> split_;
  size_t before_ = 0;  // passes in `split_` before the one that is split
  std::vector<Draft> hidden_;
};

void AddSlice(int64_t context, int64_t tokens, std::vector<record::SequenceSlice>& sequences) {
  for (record::SequenceSlice& slice : sequences) {
    if (slice.context_tokens != context || slice.new_tokens != tokens) continue;
    ++slice.count;
    return;
  }
  sequences.push_back({context, tokens, 1});
}

void AddPass(Draft& draft, double before_s, PassReconstruction& result) {
  record::PassRecord pass;
  pass.pass = std::ssize(result.passes);
  pass.kind = draft.prompts.empty() ? PassKind::kDecode : draft.decodes.empty() ? PassKind::kPrefill : PassKind::kMixed;
  pass.start_s = std::max(before_s, draft.idle_until_s);
  pass.latency_s = std::max(0.0, draft.end_s - pass.start_s);
  pass.source = record::Source::kEstimated;
  std::vector<PassShare>& shares = result.shares.emplace_back(std::move(draft.decodes));
  shares.insert(shares.end(), draft.prompts.begin(), draft.prompts.end());
  for (const PassShare& share : shares) AddSlice(share.begin, share.count, pass.sequences);
  result.passes.push_back(std::move(pass));
}

// The share of tokens that lie nearest to the end of their own pass.
double FitOf(std::span<const RequestRecord> requests, std::span<const Draft> drafts) {
  int64_t tokens = 0, near = 0;
  std::vector<size_t> next(requests.size());
  for (size_t i = 0; i < drafts.size(); ++i) {
    const double own_s = drafts[i].end_s;
    const double before_s = i > 0 ? drafts[i - 1].end_s : -kNever;
    const double after_s = i + 1 < drafts.size() ? drafts[i + 1].end_s : kNever;
    const auto count = [&](const PassShare& share) {
      const double at_s = requests[share.request].token_s[next[share.request]++];
      const double distance = std::abs(at_s - own_s);
      ++tokens;
      if (distance <= std::abs(at_s - before_s) && distance <= std::abs(after_s - at_s)) ++near;
    };
    for (const PassShare& share : drafts[i].decodes) count(share);
    for (const PassShare& share : drafts[i].prompts) count(share);
  }
  return tokens > 0 ? static_cast<double>(near) / static_cast<double>(tokens) : 1;
}

// Gaps before the events of answers, by whether one token came or several.
struct Gaps {
  double single_s = 0, bundled_s = 0;
  int64_t singles = 0, bundled_tokens = 0;

  void Add(const RequestRecord& request) {
    size_t token = 0;
    for (const int32_t chunk : request.chunk_tokens) {
      if (token > 0) {
        const double gap_s = request.token_s[token] - request.token_s[token - 1];
        (chunk == 1 ? single_s : bundled_s) += gap_s;
        (chunk == 1 ? singles : bundled_tokens) += chunk;
      }
      token += static_cast<size_t>(chunk);
    }
  }

  // A busy server process, or a stream interval, only delays tokens; speculative decoding makes several in one pass.
  bool AreSpeculative() const {
    if (singles == 0) return false;
    const double single = single_s / static_cast<double>(singles);
    return bundled_s / static_cast<double>(bundled_tokens) < kLeastPerToken * single;
  }
};

std::string WhyNot(std::span<const RequestRecord> requests) {
  int64_t unknown = 0, tokens = 0;
  Gaps gaps;
  for (const RequestRecord& request : requests) {
    if (request.token_s.empty()) continue;
    if (request.timing_gap != record::TimingGap::kNone) ++unknown;
    tokens += std::ssize(request.token_s);
    gaps.Add(request);
  }
  if (tokens == 0) return "no token came";
  if (unknown > 0)
    return fmt::format("when the tokens of {} of {} requests arrived is not known, so neither is with whom they shared a pass",
                       unknown, requests.size());
  if (static_cast<double>(gaps.bundled_tokens) <= kFewBundled * static_cast<double>(tokens)) return "";
  if (gaps.singles == 0)
    return "every event carries several tokens: a stream interval or speculative decoding, and nothing tells the two apart";
  if (gaps.AreSpeculative())
    return "events carry several tokens that took the time of one (speculative decoding), so a pass is not one token";
  return "";
}

}  // namespace

PassReconstruction ReconstructPasses(std::span<const RequestRecord> requests, const PassRule& rule) {
  PassReconstruction result;
  result.missing = WhyNot(requests);
  if (!result.missing.empty()) return result;
  std::vector<Draft> drafts = Walk(requests, rule.prefill).Take();
  result.fit = FitOf(requests, drafts);
  SpreadBursts(drafts);
  if (rule.most_tokens) drafts = PromptSplitter(requests, *rule.most_tokens).Split(std::move(drafts));
  double before_s = drafts.front().idle_until_s;
  for (Draft& draft : drafts) {
    const double end_s = draft.end_s;
    AddPass(draft, before_s, result);
    before_s = end_s;
  }
  return result;
}

}  // namespace moecap::metrics
