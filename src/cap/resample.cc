#include "cap/resample.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/rng.h"

namespace moecap::cap {
namespace {

// FNV-1a, 64 bits: a seed from a text.
uint64_t HashOf(std::string_view text, uint64_t hash = 0xcbf29ce484222325u) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

uint64_t HashOfProblems(const MeasuredSystem& system) {
  uint64_t hash = HashOf("problems");
  for (const ProblemSample& problem : system.problems) hash = HashOf("\n", HashOf(problem.id, hash));
  return hash;
}

// 0 <= result < bound, from the high half of a product (Lemire 2019): its bias, below bound / 2^32, is far under the noise.
size_t Below(Rng& rng, size_t bound) { return static_cast<size_t>(((rng.Next() >> 32) * bound) >> 32); }

// Of one problem: the sum and the number of samples, so that a mean over drawn problems weighs every sample the same.
struct Part {
  double sum = 0;
  double count = 0;
};

std::vector<Part> PartsOf(const MeasuredSystem& system, AxisId axis) {
  std::vector<Part> parts;
  for (const ProblemSample& problem : system.problems) {
    if (axis == AxisId::kAccuracy) {
      parts.push_back({problem.score.value_or(0), problem.score ? 1.0 : 0.0});
      continue;
    }
    const auto& samples = axis == AxisId::kTtft ? problem.ttft_s : axis == AxisId::kTpot ? problem.tpot_s : problem.e2e_s;
    parts.push_back({std::accumulate(samples.begin(), samples.end(), 0.0), static_cast<double>(samples.size())});
  }
  return parts;
}

// One figure of one system that follows from the drawn problems.
struct ProblemFigure {
  std::vector<Part> parts;
  double center = 0;  // the figure itself
  double mean = 0;    // what `parts` give without drawing
  std::vector<double>* out;
};

// Draws the problems once for all figures of the systems that answered them.
void DrawProblems(std::vector<ProblemFigure>& figures, size_t problems, uint64_t seed, int64_t resamples) {
  Rng rng(seed);
  std::vector<uint32_t> draws(problems);
  for (auto& figure : figures) figure.out->reserve(static_cast<size_t>(resamples));
  for (int64_t i = 0; i < resamples; ++i) {
    for (auto& draw : draws) draw = static_cast<uint32_t>(Below(rng, problems));
    for (auto& figure : figures) {
      double sum = 0, count = 0;
      for (const uint32_t draw : draws) {
        sum += figure.parts[draw].sum;
        count += figure.parts[draw].count;
      }
      figure.out->push_back(count > 0 ? figure.center + sum / count - figure.mean : figure.center);
    }
  }
}

// What one repetition adds to the numerator and denominator of a figure.
Part PartOf(const RepeatSample& repeat, AxisId axis) {
  switch (axis) {
    case AxisId::kTtft:
      return {repeat.ttft_s.value_or(0), repeat.ttft_s ? 1.0 : 0.0};
    case AxisId::kTpot:
      return {repeat.tpot_s.value_or(0), repeat.tpot_s ? 1.0 : 0.0};
    case AxisId::kE2e:
      return {repeat.e2e_s.value_or(0), repeat.e2e_s ? 1.0 : 0.0};
    case AxisId::kOutputTokensPerS:
      return {repeat.output_tokens / repeat.seconds, 1};
    case AxisId::kRequestsPerS:
      return {repeat.requests / repeat.seconds, 1};
    case AxisId::kGoodput:
      return {repeat.good_requests.value_or(0) / repeat.seconds, repeat.good_requests ? 1.0 : 0.0};
    default:
      return {repeat.seconds, repeat.output_tokens};  // a bill and its energy grow with the time
  }
}

// What drawn repetitions would have given, over what all gave, once a resample. Empty: not known.
std::vector<double> DrawRepeats(const MeasuredSystem& system, AxisId axis, const stats::ResamplingOptions& options) {
  std::vector<Part> parts;
  Part all;
  for (const RepeatSample& repeat : system.repeats) {
    if (repeat.seconds <= 0) return {};
    parts.push_back(PartOf(repeat, axis));
    if (parts.back().count <= 0) return {};
    all.sum += parts.back().sum;
    all.count += parts.back().count;
  }
  if (parts.size() < 2 || all.sum <= 0) return {};
  Rng rng(options.seed ^ HashOf(system.run_id.empty() ? system.label : system.run_id));
  const auto count = static_cast<double>(parts.size());
  const double stretch = std::sqrt(count / (count - 1));
  std::vector<double> out;
  out.reserve(static_cast<size_t>(options.resamples));
  for (int64_t i = 0; i < options.resamples; ++i) {
    Part drawn;
    for (size_t k = 0; k < parts.size(); ++k) {
      const Part& part = parts[Below(rng, parts.size())];
      drawn.sum += part.sum;
      drawn.count += part.count;
    }
    // Stretched on a log scale, where no figure falls below zero.
    out.push_back(std::pow(drawn.sum / drawn.count / (all.sum / all.count), stretch));
  }
  return out;
}

// The problem-driven figures of one system, still to be drawn.
std::optional<ProblemFigure> ProblemFigureOf(const MeasuredSystem& system, AxisId axis, std::vector<double>& out) {
  ProblemFigure figure{PartsOf(system, axis), *system.Figure(axis), 0, &out};
  Part all;
  int64_t problems = 0;
  for (const Part& part : figure.parts) {
    all.sum += part.sum;
    all.count += part.count;
    problems += part.count > 0 ? 1 : 0;
  }
  if (problems < 2) return std::nullopt;
  figure.mean = all.sum / all.count;
  return figure;
}

}  // namespace

NoiseSource NoiseSourceOf(AxisId axis) {
  switch (axis) {
    case AxisId::kAccuracy:
      return NoiseSource::kProblems;
    case AxisId::kTpot:
    case AxisId::kTtft:
    case AxisId::kE2e:
      return NoiseSource::kRequests;
    case AxisId::kOutputTokensPerS:
    case AxisId::kRequestsPerS:
    case AxisId::kGoodput:
    case AxisId::kUsdPerMillionOutputTokens:
    case AxisId::kUsdPerMillionTokens:
    case AxisId::kJoulesPerOutputToken:
      return NoiseSource::kRepeats;
    case AxisId::kPurchaseUsd:
    case AxisId::kPowerW:
    case AxisId::kSMbu:
    case AxisId::kSMfu:
    case AxisId::kMemoryBytes:
      break;
  }
  return NoiseSource::kNone;
}

std::vector<AxisResamples> Resample(std::span<const MeasuredSystem> systems, std::span<const AxisId> axes,
                                    const stats::ResamplingOptions& options) {
  CHECK(options.resamples > 0);
  std::vector<AxisResamples> out(systems.size(), AxisResamples(axes.size()));
  std::map<uint64_t, std::vector<ProblemFigure>> by_problems;
  const auto visit = [&](NoiseSource wanted, const auto& action) {
    for (size_t i = 0; i < systems.size(); ++i) {
      for (size_t k = 0; k < axes.size(); ++k) {
        const auto figure = systems[i].Figure(axes[k]);
        if (figure && std::isfinite(*figure) && NoiseSourceOf(axes[k]) == wanted) action(systems[i], axes[k], out[i][k]);
      }
    }
  };
  const auto add_problems = [&](const MeasuredSystem& system, AxisId axis, std::vector<double>& values) {
    if (auto figure = ProblemFigureOf(system, axis, values)) by_problems[HashOfProblems(system)].push_back(std::move(*figure));
  };
  visit(NoiseSource::kProblems, add_problems);
  visit(NoiseSource::kRequests, add_problems);
  for (auto& [problems, figures] : by_problems)
    DrawProblems(figures, figures.front().parts.size(), options.seed ^ problems, options.resamples);
  visit(NoiseSource::kRequests, [&](const MeasuredSystem& system, AxisId axis, std::vector<double>& values) {
    const auto relative = DrawRepeats(system, axis, options);
    for (size_t i = 0; i < std::min(values.size(), relative.size()); ++i) values[i] *= relative[i];
  });
  visit(NoiseSource::kRepeats, [&](const MeasuredSystem& system, AxisId axis, std::vector<double>& values) {
    values = DrawRepeats(system, axis, options);
    for (double& value : values) value *= *system.Figure(axis);
  });
  return out;
}

bool SameProblems(const MeasuredSystem& a, const MeasuredSystem& b) {
  return std::equal(a.problems.begin(), a.problems.end(), b.problems.begin(), b.problems.end(),
                    [](const ProblemSample& x, const ProblemSample& y) { return x.id == y.id; });
}

std::vector<double> ItemScores(const MeasuredSystem& system) {
  std::vector<double> scores;
  for (const ProblemSample& problem : system.problems) {
    if (problem.score) scores.push_back(*problem.score);
  }
  return scores.size() == system.problems.size() ? scores : std::vector<double>{};
}

}  // namespace moecap::cap
