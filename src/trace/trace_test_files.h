// Files and folders of tests, and reading a whole source.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "trace/trace.h"

namespace moecap::trace {

// A folder that disappears with the object.
class TestDir {
 public:
  TestDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moecap-trace-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TestDir() { std::filesystem::remove_all(path_); }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::filesystem::path Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Every pass of a source; an error fails the test.
inline std::vector<TracePass> AllPasses(TraceSource& source) {
  std::vector<TracePass> passes;
  for (;;) {
    TracePass pass;
    const auto more = source.Next(pass);
    if (!more.ok()) {
      ADD_FAILURE() << more.error().message;
      return passes;
    }
    if (!*more) return passes;
    passes.push_back(std::move(pass));
  }
}

}  // namespace moecap::trace
