// Where the cells of a sweep run: this machine, or a scheduler that has one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/sweep_folder.h"
#include "base/result.h"

namespace moecap::app {

enum class CellState : uint8_t { kWaiting, kRunning, kEnded };

class SweepPlace {
 public:
  virtual ~SweepPlace() = default;
  // Begins these cells (indices in the grid), or finds them begun by an earlier process.
  virtual Status Submit(const std::vector<size_t>& cells) = 0;
  // Of the cells that were submitted. Error: kFailed when nothing can be learnt any more.
  virtual Result<std::map<size_t, CellState>> States() = 0;
  virtual int64_t PollNs() const { return 300'000'000; }  // between two looks at the states
  // How long after the end of a cell its files may still be on their way here.
  virtual int64_t SettleNs() const { return 0; }
  // What the user reads after an interrupt, and where a cell's own words are.
  virtual std::string AfterInterrupt() const = 0;
  virtual std::string LogOf(size_t cell) const = 0;
};

// One cell after another, the shards of one beside each other. Ends what runs with itself. `folder` must outlive it.
std::unique_ptr<SweepPlace> PlaceOnThisMachine(const SweepFolder& folder);
// One array job, a task a cell, through sbatch and squeue of PATH.
std::unique_ptr<SweepPlace> PlaceOnSlurm(const SweepFolder& folder);

}  // namespace moecap::app
