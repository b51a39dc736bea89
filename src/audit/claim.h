// The claims of a publication with the inputs that it gives for them. docs/audit.md lists the keys of each kind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "audit/figure.h"

namespace moecap::audit {

// The name of a model or device as a file gives it, and where, so that an unknown one can be pointed at.
struct Name {
  std::string text;
  int line = 0;
};

// Parameters and expert counts of a model.
struct ModelParameters {
  Name model;
  std::optional<Printed> total_params, active_params, experts, top_k, shared_experts;
};

// The share of all parameters that one decode step of `batch` sequences activates.
struct ActivatedShare {
  Name model;
  int64_t batch = 1;
  Printed activated_share;
};

// A device that is said to have the bandwidth that one of the two points below needs.
struct DeviceOnLine {
  Name device;
  int64_t devices = 1;
  bool full_activation = false;  // false: the point of batch 1
};

// The memory bandwidth that a TPOT needs, with every expert active and with the experts of one token.
struct RequiredBandwidth {
  Name model;
  double tpot_s = 0.1;
  double bytes_per_param = 1;
  double total_params = 0, active_params = 0;  // as the publication rounds them
  Printed full_activation_bytes_per_s, batch_1_bytes_per_s;
  std::vector<DeviceOnLine> devices;
};

// The largest batch that keeps a TPOT on a device.
struct BatchLimit {
  Name model;
  double tpot_s = 0.25;
  double bytes_per_param = 2;
  int64_t context_tokens = 0;
  // The S-MBU that is reached, from another pair of figures: bytes a second that are used, and peak bandwidth that they are
  // said to need.
  double used_bytes_per_s = 0, needed_bytes_per_s = 1;
  std::vector<int64_t> batches;  // that were tried, ascending
  struct Row {
    Name device;
    Printed batch;
  };
  std::vector<Row> rows;
};

// Scores and classes of systems on the CAP radar.
struct CapRadar {
  std::vector<double> cost_ticks_usd;  // of the cost axis; the second-last one scores the baseline
  struct Row {
    std::string system;
    double tpot_s = 0, cost_usd = 0, accuracy = 0;
    std::optional<Printed> performance_score, cost_score, accuracy_score;
    std::string cap_class;  // "PA", "PC", "CA"; empty = not published
  };
  std::vector<Row> rows;
};

// Utilisation by a formula against the profiler's, at several batch sizes.
struct ErrorTable {
  bool flops = false;  // S-MFU; false: S-MBU
  // The error that the publication claims at most: relative to the profiler's value, and as a difference of the two shares.
  std::optional<Printed> most_relative, most_points;
  struct Row {
    int64_t batch = 1;
    Printed ours, profiled;  // 0..1
  };
  std::vector<Row> rows;
};

// S-MFU and S-MBU of a measured decode throughput.
struct Utilisation {
  Name model, device;
  int64_t devices = 1;
  double tokens_per_s = 0;
  std::optional<int64_t> batch, context_tokens;  // absent = not published
  std::optional<Printed> s_mfu, s_mbu;
};

// By how much counting every expert overstates what a decode step reads.
struct VanillaOverestimate {
  Name model;
  std::vector<int64_t> batches;
  Printed overestimate;  // 2.6 = 260 % more; claimed to be exceeded
};

// TTFT and TPOT without and with profiling.
struct ProfilingOverhead {
  std::optional<Printed> most_ttft_increase, most_tpot_increase;      // relative, claimed at most
  std::optional<Printed> most_ttft_increase_s, most_tpot_increase_s;  // claimed at most
  struct Row {
    std::string system;
    Printed ttft_before_s, ttft_after_s, tpot_before_s, tpot_after_s;
    std::optional<Printed> ttft_increase_s;  // as printed beside them
  };
  std::vector<Row> rows;
};

// What a server costs to buy (cost/machine.h prices it).
struct ServerCost {
  Name device, processor;
  int64_t devices = 1, processors = 1;
  double dram_gib = 0;
  Printed cost_usd;
};

// One number over another.
struct Ratio {
  enum class Form { kRatio, kSaving, kIncrease };  // a/b, 1 - a/b, a/b - 1
  Form form = Form::kRatio;
  Printed numerator, denominator;
  Printed ratio;  // the published result
};

// Board power of a device.
struct DevicePower {
  Name device;
  int64_t devices = 1;
  Printed tdp_w;
};

// Tokens per second of a prefill against its TTFT: their product is the number of tokens that one TTFT stands for.
struct PrefillTable {
  struct Row {
    std::string name;
    Printed ttft_s, tokens_per_s;
  };
  std::vector<Row> rows;
};

// A row of a public board: a model served on devices, and what physics allows of it.
struct BoardRow {
  Name model, device;
  int64_t devices = 1;            // that the row counts
  std::string precision;          // as the board labels it: "fp4", "fp8", "bf16"
  int64_t concurrency = 1;        // requests in flight, at most
  int64_t input_tokens = 0;       // of a request
  bool speculative = false;       // several tokens may come of one step
  std::optional<Printed> tpot_s;  // mean time per output token
  std::optional<Printed> output_tokens_per_s_per_device;
  std::optional<Printed> s_mbu, s_mfu;  // where the board prints them
};

// A row of a table of advice: on this hardware, at these batches, by these goals, take that way of serving.
struct DecisionRow {
  Name model, device;
  int64_t most_devices = 1;
  std::vector<int64_t> batches;      // ends of the row's range, ascending
  std::vector<std::string> goals;    // first and second: "latency", "throughput", "cost", "power", "accuracy"
  std::vector<std::string> systems;  // that the row names, as `moecap systems` calls them
  std::string weights;               // "original", "8-bit", "quantised"
  bool offload = false;              // experts outside the devices
};

// A claim whose inputs were not published.
struct NotComputable {
  std::string published;             // in words
  std::vector<std::string> missing;  // at least one
};

using Inputs = std::variant<ModelParameters, ActivatedShare, RequiredBandwidth, BatchLimit, CapRadar, ErrorTable, Utilisation,
                            VanillaOverestimate, ProfilingOverhead, ServerCost, Ratio, DevicePower, PrefillTable, BoardRow,
                            DecisionRow, NotComputable>;

struct Claim {
  std::string id;        // unique in its file
  std::string kind;      // "model_parameters"
  std::string source;    // "Table 1"
  std::string note;      // of the file's author; may be empty
  double tolerance = 0;  // allowed besides rounding, relative
  std::string file;      // "table1.yaml"
  Inputs inputs;
};

struct ClaimFile {
  std::string name;         // of the file, without folder and extension
  std::string publication;  // "MoE-CAP, arXiv 2412.07067"
  std::string title;        // "Table 1: model characteristics"
  std::vector<Claim> claims;
};

}  // namespace moecap::audit
