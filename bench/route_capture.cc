// Whether decoding experts holds up receiving them, and how fast both are.
//
//   route_capture [REQUESTS [OUTPUT_TOKENS]]           default 64 512: the mock as vLLM with the shape of Qwen3-30B-A3B
//   route_capture URL KIND NAME MODEL [REQUESTS [API]] a server (vllm, sglang) that serves MODEL under NAME
//
// "held" is the longest time that the receiving thread spent on one piece of an answer, from the stamp after its read on.
// Decoding on that thread would hold it as long as an answer takes to decode. The digests are of all token ids and all experts:
// equal for two servers that answer and route alike.
#include "system/openai/route_capture.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/check.h"
#include "base/hash.h"
#include "mock_process.h"
#include "model/open_model.h"

namespace moecap::bench {
namespace {

struct Target {
  openai::OpenAiOptions options;
  openai::CaptureOptions capture;
  std::vector<load::RequestSpec> requests;
};

openai::CaptureOptions CaptureOf(const model::ModelSpec& model) {
  openai::CaptureOptions capture;
  capture.shape = {.layers = static_cast<int>(model.layers.size()), .top_k = model.TopK(), .experts = model.Experts()};
  return capture;
}

void Point(Target& target, const std::string& url, openai::ServerKind kind, const std::string& name) {
  target.options.http.urls = {net::ParseUrl(url).value()};
  target.options.profile = {openai::Api::kCompletions, kind, name, ""};
}

std::vector<load::RequestSpec> Sums(int64_t count) {
  std::vector<load::RequestSpec> requests(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    load::RequestSpec& request = requests[static_cast<size_t>(i)];
    request.prompt = fmt::format("Question: what is {} + {}?\nAnswer:", 3 * i + 1, 7 * i + 2);
    request.max_output_tokens = 64;
  }
  return requests;
}

int Report(const Target& target) {
  const SteadyClock clock;
  const int64_t begin_ns = clock.NowNs();
  const auto routes = openai::CaptureRoutes(target.options, target.requests, target.capture, clock);
  if (!routes.ok()) {
    fmt::print("{}\n", routes.error().message);
    return 1;
  }
  const double seconds = static_cast<double>(clock.NowNs() - begin_ns) * 1e-9;
  int64_t rows = 0;
  std::string tokens, experts;
  for (const openai::CapturedAnswer& answer : routes->answers) {
    rows += answer.experts.rows;
    for (const int32_t id : answer.token_ids) tokens += fmt::format("{},", id);
    experts.append(reinterpret_cast<const char*>(answer.experts.ids.data()), answer.experts.ids.size() * sizeof(uint16_t));
  }
  const double decode_ms = static_cast<double>(routes->decode_ns) * 1e-6;
  fmt::print("{} of {} answers with experts, {} rows, {:.2f} s; digests: tokens {:016x}, experts {:016x}\n", routes->told,
             routes->answers.size(), rows, seconds, HashOf(tokens), HashOf(experts));
  fmt::print("decoding: {:.1f} ms in all, {:.2f} ms an answer; the receiving thread was held {:.3f} ms at most\n", decode_ms,
             decode_ms / static_cast<double>(routes->answers.size()), static_cast<double>(routes->longest_hold_ns) * 1e-6);
  for (const std::string& finding : routes->findings) fmt::print("{}\n", finding);
  for (const openai::CapturedAnswer& answer : routes->answers) {
    if (answer.missing.empty()) continue;
    fmt::print("missing: {}\n", answer.missing);
    return 1;
  }
  return 0;
}

int OnMock(int64_t count, int64_t output_tokens) {
  mock::ServerOptions server;
  server.model = model::OpenModel("Qwen/Qwen3-30B-A3B").value();
  server.simulated.emplace();
  server.simulated->roofline = {4.8e12, 1e15, 141e9, 1, 1, 1, 0};
  server.routed_experts = true;
  const MockProcess process(server);
  PinTo(1);
  Target target;
  target.capture = CaptureOf(server.model);
  target.requests = NamedRequests(count, output_tokens);
  Point(target, process.url(), openai::ServerKind::kVllm, "mock");
  return Report(target);
}

int OnServer(const std::string& url, const std::string& kind, const std::string& name, const std::string& model, int64_t count,
             const std::string& api) {
  Target target;
  target.capture = CaptureOf(model::OpenModel(model).value());
  target.requests = Sums(count);
  Point(target, url, openai::ParseServerKind(kind).value(), name);
  target.options.profile.api = openai::ParseApi(api).value();
  const SteadyClock clock;
  const auto offer = openai::TellsExperts(target.options, 60'000'000'000, clock);
  if (!offer.ok() || !offer->tells) {
    fmt::print("{}\n", offer.ok() ? offer->why_not : offer.error().message);
    return 1;
  }
  return Report(target);
}

}  // namespace
}  // namespace moecap::bench

int main(int argc, char** argv) {
  using namespace moecap::bench;
  const auto number = [&](int index, int64_t otherwise) { return argc > index ? std::atoll(argv[index]) : otherwise; };
  if (argc >= 5) return OnServer(argv[1], argv[2], argv[3], argv[4], number(5, 64), argc > 6 ? argv[6] : "completions");
  return OnMock(number(1, 64), number(2, 512));
}
