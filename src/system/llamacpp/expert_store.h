// The routed experts of a GGUF file in memory that can be given back one by one.
//
// The engine maps the file and computes on the mapping. Over the pages of the expert tensors lies memory of our own instead, at
// the same addresses: an expert is read into it from the disk, past the page cache, and its pages are given back to the system.
// So what is released is gone, whoever else maps the file, and what is read again comes from the disk. A page that two experts
// share stays, as do the file's own pages at the ends of a tensor.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace moecap::llamacpp {

// One tensor that holds a matrix of every expert of a layer.
struct ExpertTensor {
  std::string name;         // "blk.3.ffn_up_exps.weight"
  int layer = 0;            // among the MoE layers, from 0
  uint64_t offset = 0;      // in the file
  int64_t slice_bytes = 0;  // of one expert
};

struct ExpertLayout {
  std::vector<int> blocks;  // the engine's number of each MoE layer, ascending
  std::vector<ExpertTensor> tensors;
  int experts = 0;  // of a layer
  int top_k = 0;

  std::vector<int64_t> BytesOfLayer() const;  // of one expert, its matrices together
  int64_t TotalBytes() const;
};

// Error: kBadInput for a dense model, for layers with unequal numbers of experts, and for a model in several files.
Result<ExpertLayout> ReadExpertLayout(const std::filesystem::path& gguf);

// Bytes a second of reads as large as an expert's matrix, several at once, past the page cache: what Fetch can reach at most.
// Takes about a quarter of a second. Error: kFailed where the file system has no direct reads.
Result<double> MeasureExpertReads(const std::filesystem::path& gguf, const ExpertLayout& layout, const Clock& clock);

// Experts are numbered layer * experts + expert. One thread calls; readers of its own do the reading.
class ExpertStore {
 public:
  // `mapped`: where the engine has each tensor of the layout, by name. Nothing is in memory afterwards. The engine's mapping
  // must outlive the store. Errors: kBadInput where the engine computes on copies instead, kFailed.
  static Result<std::unique_ptr<ExpertStore>> Create(const std::filesystem::path& gguf, const ExpertLayout& layout,
                                                     const std::map<std::string, char*>& mapped);
  ~ExpertStore();
  ExpertStore(const ExpertStore&) = delete;
  ExpertStore& operator=(const ExpertStore&) = delete;

  // Begins to read; `urgent` goes before what is not. Each must be released before it is fetched again.
  void Fetch(std::span<const int> experts, bool urgent);
  // Until they are read; what waits is urgent from now on. Error: kFailed, of any read so far.
  Status Await(std::span<const int> experts);
  // After what is being read of them has ended.
  void Release(std::span<const int> experts);

  int64_t TakeBytesRead();                 // since the last call
  int64_t ResidentBytes() const;           // pages in memory, as the system counts them
  bool direct() const { return direct_; }  // false: the file system reads through the page cache only

 private:
  struct Slice {
    // Whole pages that cover the slice, without the file's own at the tensor's ends. One that neighbours share is read for each
    // of them, while the other is in use, too: the same bytes.
    char* begin = nullptr;
    size_t bytes = 0;
    uint64_t offset = 0;
    char* inner = nullptr;  // of these, those that hold nothing else
    size_t inner_bytes = 0;
  };
  struct Job {
    int expert = 0;
    size_t slice = 0;
  };
  ExpertStore() = default;
  Status Overlay(const ExpertTensor& tensor, char* address, int experts);
  void ReadLoop();
  Status Read(const Slice& slice) const;
  void MakeUrgent(std::span<const int> experts);  // under mutex_
  bool IsRead(std::span<const int> experts) const;

  int file_ = -1;
  bool direct_ = true;
  std::filesystem::path path_;
  std::vector<std::vector<Slice>> slices_;  // by expert
  std::vector<std::pair<char*, size_t>> areas_;

  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<Job> urgent_, waiting_;
  std::vector<int> unread_;  // slices of each expert that are waited for
  std::optional<Error> error_;
  int64_t bytes_read_ = 0;
  bool ending_ = false;
  std::vector<std::thread> readers_;
};

}  // namespace moecap::llamacpp
