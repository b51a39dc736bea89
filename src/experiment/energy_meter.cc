#include "experiment/energy_meter.h"

#include <utility>

#include "hardware/probe/energy.h"

namespace moecap::experiment {
namespace {

class CounterMeter final : public EnergyMeter {
 public:
  explicit CounterMeter(hardware::EnergyReader reader) : reader_(std::move(reader)) {}

  void Begin() override { begin_j_ = reader_.JoulesSinceOpen(); }
  std::optional<double> JoulesSinceBegin() override {
    const auto now_j = reader_.JoulesSinceOpen();
    return now_j && begin_j_ ? std::optional(*now_j - *begin_j_) : std::nullopt;
  }
  std::string Describe() const override { return reader_.Describe(); }

 private:
  hardware::EnergyReader reader_;
  std::optional<double> begin_j_;
};

}  // namespace

std::unique_ptr<EnergyMeter> OpenEnergyMeter(std::string& why_not) {
  auto reader = hardware::EnergyReader::Open();
  if (reader.ok()) return std::make_unique<CounterMeter>(std::move(reader).value());
  why_not = reader.error().message;
  return nullptr;
}

}  // namespace moecap::experiment
