#include "planner/fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "base/check.h"

namespace moecap::planner {
namespace {

using Matrix = std::vector<std::vector<double>>;

constexpr std::array<const char*, 13> kTpotKeys = {
    "expert_stream",     "weight_stream", "kv_stream",           "matrix_time",       "weight_only_time", "collective_time",
    "interference_time", "layer_s",       "layer_s_per_element", "expert_overhead_s", "quantise_layer_s", "sync_s",
    "sequence_s"};
constexpr std::array<const char*, 6> kTtftKeys = {
    "prefill_time", "prefill_collective_time", "admission_s", "prefill_layer_s", "bunching", "waiting_steps"};

ServingPoint PointOf(const Observation& row, const StepFactors& factors) {
  ServingPoint point{*row.work, *row.device, row.deployment, row.fabric, factors};
  point.poll_steps = row.poll_steps;
  return point;
}

// Factors by system and device, so that rows share them.
class FactorCache {
 public:
  explicit FactorCache(const Multipliers& multipliers) : multipliers_(multipliers) {}
  const StepFactors& Of(const Observation& row) {
    const std::pair key(row.system, row.device);
    const auto found = factors_.find(key);
    if (found != factors_.end()) return found->second;
    return factors_.emplace(key, multipliers_.FactorsOf(row.system, *row.device)).first->second;
  }

 private:
  const Multipliers& multipliers_;
  std::map<std::pair<std::string, const hardware::Device*>, StepFactors> factors_;
};

// ln(predicted / measured) of every row.
std::vector<double> Residuals(const Multipliers& multipliers, std::span<const Observation> rows, FitTarget target) {
  FactorCache cache(multipliers);
  std::vector<double> residuals;
  residuals.reserve(rows.size());
  for (const Observation& row : rows) {
    const StepFactors& factors = cache.Of(row);
    if (target == FitTarget::kTpot) {
      residuals.push_back(std::log(PredictTpotAt(row, factors) / *row.tpot_s));
    } else {
      const double clients = std::max(1.0, *row.load.clients / row.deployment.data);
      const double predicted =
          TimeToFirstToken(PointOf(row, factors), clients, row.load.NewTokens(), row.load.CachedTokens(), *row.tpot_s);
      residuals.push_back(std::log(predicted / *row.ttft_s));
    }
  }
  return residuals;
}

double Loss(const std::vector<double>& residuals, double corner) {
  double sum = 0;
  for (const double r : residuals) sum += std::sqrt(r * r + corner * corner);
  return sum / static_cast<double>(residuals.size());
}

// Solves a x = b by elimination with pivoting; `a` is positive definite here.
std::vector<double> Solve(Matrix a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    size_t pivot = i;
    for (size_t r = i + 1; r < n; ++r) {
      if (std::abs(a[r][i]) > std::abs(a[pivot][i])) pivot = r;
    }
    std::swap(a[i], a[pivot]);
    std::swap(b[i], b[pivot]);
    for (size_t r = i + 1; r < n; ++r) {
      const double factor = a[r][i] / a[i][i];
      for (size_t c = i; c < n; ++c) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t c = i + 1; c < n; ++c) b[i] -= a[i][c] * b[c];
    b[i] /= a[i][i];
  }
  return b;
}

class Fitter {
 public:
  Fitter(const Multipliers& prior, std::span<const Observation> rows, std::span<const std::string> keys,
         const FitOptions& options)
      : rows_(rows), keys_(keys), options_(options), multipliers_(prior) {
    for (const std::string& key : keys) {
      const Multiplier* const found = prior.Find(key);
      CHECK(found != nullptr && found->value > 0);
      prior_.push_back(std::log(found->value));
      least_.push_back(found->least > 0 ? std::log(found->least) : -1e300);
    }
    at_ = prior_;
  }

  Multipliers Run() {
    double damping = 1e-3;
    std::vector<double> residuals = ResidualsAt(at_);
    double loss = LossAt(residuals, at_);
    for (int round = 0; round < options_.rounds && damping < 1e6; ++round) {
      const Matrix jacobian = Derivatives(residuals);
      bool better = false;
      while (!better && damping < 1e6) {
        const std::vector<double> candidate = StepFrom(residuals, jacobian, damping);
        const std::vector<double> next = ResidualsAt(candidate);
        const double next_loss = LossAt(next, candidate);
        better = next_loss < loss;
        damping *= better ? 0.3 : 4;
        if (!better) continue;
        const bool done = loss - next_loss < 1e-7 * loss;
        at_ = candidate;
        residuals = next;
        loss = next_loss;
        if (done) damping = 1e9;
      }
    }
    Store();
    return multipliers_;
  }

 private:
  std::vector<double> ResidualsAt(const std::vector<double>& at) {
    for (size_t i = 0; i < keys_.size(); ++i) multipliers_.Set(keys_[i], ValueOf(at, i), 0, "");
    return Residuals(multipliers_, rows_, options_.target);
  }
  double ValueOf(const std::vector<double>& at, size_t i) const {
    return std::max(std::exp(at[i]), multipliers_.Find(keys_[i])->least);
  }

  double LossAt(const std::vector<double>& residuals, const std::vector<double>& at) const {
    double pull = 0;
    for (size_t i = 0; i < at.size(); ++i) pull += (at[i] - prior_[i]) * (at[i] - prior_[i]);
    return Loss(residuals, options_.corner) + options_.ridge * pull;
  }

  // [key][row]
  Matrix Derivatives(const std::vector<double>& residuals) {
    constexpr double kStep = 1e-4;
    Matrix jacobian;
    for (size_t i = 0; i < keys_.size(); ++i) {
      std::vector<double> moved = at_;
      moved[i] += kStep;
      std::vector<double> column = ResidualsAt(moved);
      for (size_t r = 0; r < column.size(); ++r) column[r] = (column[r] - residuals[r]) / kStep;
      jacobian.push_back(std::move(column));
    }
    return jacobian;
  }

  std::vector<double> StepFrom(const std::vector<double>& residuals, const Matrix& jacobian, double damping) const {
    const size_t n = keys_.size();
    const double rows = static_cast<double>(residuals.size());
    Matrix normal(n, std::vector<double>(n));
    std::vector<double> gradient(n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t r = 0; r < residuals.size(); ++r) {
        const double weight = 1 / std::sqrt(residuals[r] * residuals[r] + options_.corner * options_.corner) / rows;
        gradient[i] -= weight * jacobian[i][r] * residuals[r];
        for (size_t j = 0; j <= i; ++j) normal[i][j] += weight * jacobian[i][r] * jacobian[j][r];
      }
      gradient[i] -= 2 * options_.ridge * (at_[i] - prior_[i]);
      normal[i][i] += 2 * options_.ridge;
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i + 1; j < n; ++j) normal[i][j] = normal[j][i];
      normal[i][i] *= 1 + damping;
      // A multiplier at its floor that wants to go lower stays out of this step.
      if (at_[i] <= least_[i] && gradient[i] < 0) {
        for (size_t j = 0; j < n; ++j) normal[i][j] = normal[j][i] = 0;
        normal[i][i] = 1;
        gradient[i] = 0;
      }
    }
    std::vector<double> next = Solve(std::move(normal), std::move(gradient));
    for (size_t i = 0; i < n; ++i) next[i] = std::max(least_[i], at_[i] + std::clamp(next[i], -1.0, 1.0));
    return next;
  }

  // A row supports a multiplier when a change of it by 1 % moves the prediction by 0.0005.
  void Store() {
    const std::vector<double> residuals = ResidualsAt(at_);
    const Matrix jacobian = Derivatives(residuals);
    for (size_t i = 0; i < keys_.size(); ++i) {
      const auto supports = std::count_if(jacobian[i].begin(), jacobian[i].end(), [](double d) { return std::abs(d) > 0.05; });
      multipliers_.Set(keys_[i], ValueOf(at_, i), static_cast<double>(supports), "");
    }
  }

  std::span<const Observation> rows_;
  std::span<const std::string> keys_;
  const FitOptions& options_;
  Multipliers multipliers_;
  std::vector<double> prior_, least_, at_;
};

}  // namespace

double MeasuredRunning(const Observation& observation) {
  if (*observation.load.clients <= observation.deployment.data) return 1;
  const double decode_s = observation.load.output_tokens * *observation.tpot_s;
  const double clients = *observation.load.clients / observation.deployment.data;
  return std::max(1.0, clients * decode_s / (*observation.ttft_s + decode_s));
}

double PredictTpotAt(const Observation& observation, const StepFactors& factors) {
  return Tpot(PointOf(observation, factors), observation.load, MeasuredRunning(observation));
}

Serving Predict(const Observation& observation, const StepFactors& factors) {
  return Serve(PointOf(observation, factors), observation.load, observation.most_sequences, observation.running_limit);
}

Multipliers Fit(const Multipliers& prior, std::span<const Observation> rows, std::span<const std::string> keys,
                const FitOptions& options) {
  std::vector<Observation> usable;
  for (const Observation& row : rows) {
    const bool alone = options.target == FitTarget::kTpot && *row.load.clients <= row.deployment.data;
    if (row.tpot_s && (row.ttft_s || alone)) usable.push_back(row);
  }
  if (usable.empty() || keys.empty()) return prior;
  return Fitter(prior, usable, keys, options).Run();
}

std::vector<std::string> FittedKeys(const Multipliers& multipliers, std::span<const Observation> rows, FitTarget target) {
  std::vector<std::string> keys;
  std::set<std::string> named;
  const bool tpot = target == FitTarget::kTpot;
  for (const Observation& row : rows) {
    named.insert(tpot ? "layer_time." + Multipliers::KernelsOf(row.system, *row.device) : "ttft_time." + row.system);
    if (tpot) {
      for (const char* of_kernels : {"vector_time.", "packed_time.", "replay_time."})
        named.insert(of_kernels + Multipliers::KernelsOf(row.system, *row.device));
    }
    const std::string generation = multipliers.GenerationOf(*row.device);
    if (tpot && generation != "blackwell") named.insert("generation_time." + generation);
  }
  if (tpot) {
    keys.assign(kTpotKeys.begin(), kTpotKeys.end());
  } else {
    keys.assign(kTtftKeys.begin(), kTtftKeys.end());
  }
  for (const std::string& key : named) {
    if (multipliers.Find(key)) keys.push_back(key);
  }
  return keys;
}

}  // namespace moecap::planner
