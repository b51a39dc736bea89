// Gauges as Prometheus reads them.
#include "base/gauge_page.h"

#include <gtest/gtest.h>

#include <limits>

namespace moecap {
namespace {

TEST(GaugePage, AHeadAGaugeASampleALine) {
  GaugePage page;
  page.Begin("rate", "tokens a second\nor \\ so");
  page.Add({}, 2.5);
  page.Add({{"run", "a \"b\"\\\n"}, {"level", "8"}}, 1e9);
  page.Begin("absent", "nobody knows");
  page.Add({}, std::numeric_limits<double>::quiet_NaN());
  page.Begin("last", "none");
  page.Add({}, 0);
  EXPECT_EQ(page.text(),
            "# HELP moecap_rate tokens a second\\nor \\\\ so\n# TYPE moecap_rate gauge\nmoecap_rate 2.5\n"
            "moecap_rate{run=\"a \\\"b\\\"\\\\\\n\",level=\"8\"} 1000000000\n"
            "# HELP moecap_last none\n# TYPE moecap_last gauge\nmoecap_last 0\n");
}

}  // namespace
}  // namespace moecap
