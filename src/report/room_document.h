// "How many experts fit?" as a document and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "planner/expert_room.h"
#include "report/document.h"

namespace moecap::report {

struct RoomAnswer {
  std::string model, devices;  // "1 x GeForce RTX 4090"
  planner::RoomQuestion question;
  planner::ExpertRoom room;
  std::optional<planner::ExpertHits> hits;  // of the trace
  std::optional<double> traced_distinct;    // experts of a layer in one of its passes
};

Document RoomDocument(const RoomAnswer& answer);
Json RoomToJson(const RoomAnswer& answer);

}  // namespace moecap::report
