#include "experiment/energy_meter.h"

#include <utility>

#include "hardware/probe/energy.h"

namespace moecap::experiment {
namespace {

class CounterMeter final : public EnergyMeter {
 public:
  explicit CounterMeter(hardware::EnergyReader reader) : reader_(std::move(reader)) {}

  void Begin() override { begin_ = reader_.SinceOpen(); }
  hardware::EnergyReading SinceBegin() override { return hardware::Difference(begin_, reader_.SinceOpen()); }
  std::string Describe(const hardware::UsedDevices& used) const override { return reader_.Describe(used); }

 private:
  hardware::EnergyReader reader_;
  hardware::EnergyReading begin_;
};

}  // namespace

std::unique_ptr<EnergyMeter> OpenEnergyMeter(std::string& why_not) {
  auto reader = hardware::EnergyReader::Open();
  if (reader.ok()) return std::make_unique<CounterMeter>(std::move(reader).value());
  why_not = reader.error().message;
  return nullptr;
}

}  // namespace moecap::experiment
