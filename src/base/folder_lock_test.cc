// The lock that says a process is at work in a folder.
#include "base/folder_lock.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "base/testing/temp_dir.h"

namespace moecap {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(FolderLock, HoldsWhileTheProcessLives) {
  const TempDir temp;
  const fs::path dir = temp.path();
  EXPECT_FALSE(IsFolderLocked(dir));
  EXPECT_FALSE(IsFolderLocked(dir / "no"));
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  char byte = 0;
  if (child == 0) {
    const auto lock = FolderLock::Acquire(dir);
    if (::write(ready[1], lock.ok() ? "y" : "n", 1) != 1) ::_exit(1);
    (void)!::read(done[0], &byte, 1);  // until it is killed
    ::_exit(0);
  }
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_TRUE(IsFolderLocked(dir));
  EXPECT_THAT(FolderLock::Acquire(dir).error().message, HasSubstr("another process is at work in"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(IsFolderLocked(dir)) << "a killed process holds nothing";
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
  fs::remove(dir);
}

}  // namespace
}  // namespace moecap
