#include "load/slo_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moecap::load {
namespace {

Status Check(const SloSearchOptions& options) {
  const auto share = [](double value) { return value > 0 && value < 1; };
  if (!(options.lowest > 0 && options.lowest <= options.start && options.start <= options.highest)) {
    return BadInput(fmt::format("the search needs 0 < lowest <= start <= highest, not {:g}, {:g}, {:g}", options.lowest,
                                options.start, options.highest));
  }
  if (!share(options.target_share) || !share(options.confidence))
    return BadInput(fmt::format("the target share {:g} and the confidence {:g} must lie between 0 and 1", options.target_share,
                                options.confidence));
  if (!(options.resolution > 0) || options.repeats < 1 || options.max_probes < 2)
    return BadInput("the search needs a resolution above 0, at least 1 probe a load and at least 2 in all");
  return {};
}

class Search {
 public:
  Search(const SloSearchOptions& options, const std::function<Result<SloOutcomes>(double)>& probe)
      : options_(options), probe_(probe) {}

  Result<SloSearchResult> Run() {
    RETURN_IF_ERROR(Bracket());
    while (low_ && high_ && !NarrowEnough() && CanProbe()) RETURN_IF_ERROR(Try(Middle()));
    Conclude();
    return std::move(result_);
  }

 private:
  bool CanProbe() const { return probes_run_ < options_.max_probes; }
  double Rounded(double load) const { return options_.whole_numbers ? std::round(load) : load; }
  double Middle() const {
    const double middle = std::sqrt(*low_ * *high_);
    return options_.whole_numbers ? std::clamp(std::round(middle), *low_ + 1, *high_ - 1) : middle;
  }
  bool NarrowEnough() const {
    return *high_ <= *low_ * (1 + options_.resolution) || (options_.whole_numbers && *high_ - *low_ <= 1);
  }

  // Doubles up or halves down from the start until one load passes and one above it fails.
  Status Bracket() {
    RETURN_IF_ERROR(Try(Rounded(options_.start)));
    while (CanProbe() && low_ && !high_ && *low_ < options_.highest)
      RETURN_IF_ERROR(Try(Rounded(std::min(options_.highest, *low_ * 2))));
    while (CanProbe() && high_ && !low_ && *high_ > options_.lowest)
      RETURN_IF_ERROR(Try(Rounded(std::max(options_.lowest, *high_ / 2))));
    return {};
  }

  Status Try(double load) {
    SloProbe entry;
    entry.load = load;
    SloOutcomes outcomes;
    for (int i = 0; i < options_.repeats && entry.verdict == Verdict::kUndecided && CanProbe(); ++i) {
      ASSIGN_OR_RETURN(const SloOutcomes more, probe_(load));
      ++probes_run_;
      outcomes.insert(outcomes.end(), more.begin(), more.end());
      entry.verdict = JudgeShare(outcomes, options_.target_share, options_.confidence);
    }
    entry.offered = std::ssize(outcomes);
    entry.met = std::ranges::count_if(outcomes, &stats::TimedOutcome::met);
    entry.share = stats::EstimateShareInTime(outcomes, options_.confidence);
    if (entry.verdict == Verdict::kPass) {
      low_ = load;
    } else {
      high_ = load;
      high_is_undecided_ = entry.verdict == Verdict::kUndecided;
    }
    result_.probes.push_back(entry);
    return {};
  }

  void Conclude() {
    result_.passes = low_;
    result_.fails = high_;
    result_.fail_is_undecided = high_ && high_is_undecided_;
    const std::string target = fmt::format("{:g} % of the requests meet the objectives", 100 * options_.target_share);
    if (!low_) {
      result_.verdict = fmt::format("{} at no load down to {:.4g}", target, *high_);
    } else if (!high_) {
      result_.verdict = fmt::format("{} up to {:.4g}, the highest load that was tried", target, *low_);
    } else {
      result_.verdict = fmt::format("{} up to {:.4g}; {:.4g} {}", target, *low_, *high_,
                                    result_.fail_is_undecided ? "could not be shown to pass" : "fails");
    }
  }

  const SloSearchOptions& options_;
  const std::function<Result<SloOutcomes>(double)>& probe_;
  std::optional<double> low_, high_;
  bool high_is_undecided_ = false;
  int probes_run_ = 0;
  SloSearchResult result_;
};

}  // namespace

Verdict JudgeShare(std::span<const stats::TimedOutcome> outcomes, double target_share, double confidence) {
  const auto found = stats::EstimateShareInTime(outcomes, confidence);
  if (!found) return Verdict::kUndecided;
  if (found->interval.high < target_share) return Verdict::kFail;
  return found->long_enough && found->interval.low >= target_share ? Verdict::kPass : Verdict::kUndecided;
}

Result<SloSearchResult> SearchHighestLoad(const SloSearchOptions& options,
                                          const std::function<Result<SloOutcomes>(double load)>& probe) {
  RETURN_IF_ERROR(Check(options));
  return Search(options, probe).Run();
}

}  // namespace moecap::load
