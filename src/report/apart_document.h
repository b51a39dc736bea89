// "Prefill and decode apart?" as a document and as JSON.
#pragma once

#include <string>

#include "base/json.h"
#include "planner/disaggregation.h"
#include "report/document.h"

namespace moecap::report {

struct ApartAnswer {
  std::string model, devices;  // "16 x H100 SXM5"
  planner::ApartQuestion question;
  planner::Apart apart;
  planner::ErrorBand band;
};

Document ApartDocument(const ApartAnswer& answer);
Json ApartToJson(const ApartAnswer& answer);

}  // namespace moecap::report
