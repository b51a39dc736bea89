#include "net/zmtp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/testing/temp_dir.h"
#include "net/zmtp_subscriber.h"

namespace moecap::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

// As libzmq 4.3 greets and announces a publisher.
std::string PublisherHello() {
  std::string greeting = ZmtpGreeting();
  greeting[11] = 1;  // minor version
  const std::string ready = "\x05READY\x0bSocket-Type\0\0\0\x03PUB"s;
  return greeting + "\x04"s + static_cast<char>(ready.size()) + ready;
}

TEST(Zmtp, OurSideIsAsTheSpecificationHasIt) {
  const std::string greeting = ZmtpGreeting();
  ASSERT_EQ(greeting.size(), 64u);
  EXPECT_EQ(greeting.substr(0, 10), "\xff\0\0\0\0\0\0\0\0\x7f"s);
  EXPECT_EQ(greeting.substr(10, 7), "\x03\0NULL\0"s);
  EXPECT_EQ(ZmtpSubscription(), "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB\0\x01\x01"s);
}

TEST(Zmtp, MessagesComeWholeHoweverTheyAreCut) {
  const std::string large(300, 'x');
  const std::string bytes =
      PublisherHello() + "\x01\x00\x01\x08"s + "12345678" + "\x02\0\0\0\0\0\0\x01\x2c"s + large + "\x00\x01z"s;
  for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
    ZmtpReader reader;
    std::vector<ZmtpMessage> messages;
    for (size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(reader.Feed(std::string_view(bytes).substr(at, piece), messages).ok());
    EXPECT_TRUE(reader.greeted());
    EXPECT_THAT(messages, ElementsAre(ElementsAre("", "12345678", large), ElementsAre("z")));
  }
}

TEST(Zmtp, WhatIsNoPublisherIsRefused) {
  std::vector<ZmtpMessage> messages;
  EXPECT_THAT(ZmtpReader().Feed(std::string(64, 'H'), messages).error().message, HasSubstr("does not speak ZMTP"));
  std::string curve = ZmtpGreeting();
  curve.replace(12, 5, "CURVE");
  EXPECT_THAT(ZmtpReader().Feed(curve, messages).error().message, HasSubstr("authentication"));
  EXPECT_FALSE(ZmtpReader().Feed(PublisherHello() + "\x02\xff\0\0\0\0\0\0\0"s, messages).ok()) << "a frame of 2^63 bytes";
  std::string endless = PublisherHello();
  for (size_t i = 0; i <= ZmtpReader::kMostFrames; ++i) endless += "\x01\x00"s;
  EXPECT_FALSE(ZmtpReader().Feed(endless, messages).ok());
  EXPECT_TRUE(messages.empty());
}

TEST(ZmtpSubscriber, SubscribesWhenItIsGreeted) {
  const TempDir temp;
  const std::string path = (temp.path() / "pub.0").string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  auto subscriber = ZmtpSubscriber::Connect("ipc://" + path);
  ASSERT_TRUE(subscriber.ok()) << subscriber.error().message;
  const int publisher = ::accept(listener, nullptr, nullptr);
  const auto expect = [&](const std::string& bytes) {
    std::string got(bytes.size(), '\0');
    ASSERT_EQ(::recv(publisher, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
    EXPECT_EQ(got, bytes);
  };
  const auto send = [&](const std::string& bytes) {
    ASSERT_EQ(::send(publisher, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  };
  expect(ZmtpGreeting());
  std::vector<ZmtpMessage> messages;
  ASSERT_TRUE(subscriber->Take(messages).ok()) << "nothing yet is no error";
  send(PublisherHello());
  ASSERT_TRUE(subscriber->Take(messages).ok());
  expect(ZmtpSubscription());
  send("\x00\x02hi"s);
  ASSERT_TRUE(subscriber->Take(messages).ok());
  EXPECT_THAT(messages, ElementsAre(ElementsAre("hi")));
  ::close(publisher);
  EXPECT_THAT(subscriber->Take(messages).error().message, HasSubstr("gone"));
  ::close(listener);
}

// A listener on loopback that lets nobody in until it is asked to: its queue is full, so the kernel answers no further SYN.
class FullListener {
 public:
  FullListener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd_, 0), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    for (int& other : others_) {
      other = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      (void)::connect(other, reinterpret_cast<sockaddr*>(&address), size);
    }
  }
  ~FullListener() {
    for (const int other : others_) ::close(other);
    ::close(fd_);
  }
  std::string address() const { return "tcp://127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
  uint16_t port_ = 0;
  std::array<int, 8> others_{};
};

TEST(ZmtpSubscriber, AHostThatDoesNotAnswerKeepsNobody) {
  const FullListener host;
  auto subscriber = ZmtpSubscriber::Connect(host.address());
  ASSERT_TRUE(subscriber.ok()) << subscriber.error().message;
  std::vector<ZmtpMessage> messages;
  EXPECT_TRUE(subscriber->Take(messages).ok()) << "perhaps it answers later";
  EXPECT_FALSE(subscriber->subscribed());
  EXPECT_THAT(subscriber->Await(60'000'000).error().message, HasSubstr("no connection within 0.06 s"));
}

// A local listener whose queue is full: it refuses at once what TCP lets wait.
class FullLocalListener {
 public:
  FullLocalListener() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(fd_, to, sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 0), 0);
    do {
      others_.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    } while (::connect(others_.back(), to, sizeof address) == 0);
    EXPECT_EQ(errno, EAGAIN);
  }
  ~FullLocalListener() {
    for (const int other : others_) ::close(other);
    Close();
  }
  std::string address() const { return "ipc://" + path_; }
  int Accept() const { return ::accept(fd_, nullptr, nullptr); }
  size_t waiting() const { return others_.size() - 1; }
  void Close() { ::close(std::exchange(fd_, -1)); }

 private:
  const TempDir temp_;
  const std::string path_ = (temp_.path() / "pub.0").string();
  int fd_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
  std::vector<int> others_;
};

TEST(ZmtpSubscriber, ALocalQueueThatIsFullIsTriedAgain) {
  const FullLocalListener host;
  auto subscriber = ZmtpSubscriber::Connect(host.address());
  ASSERT_TRUE(subscriber.ok()) << subscriber.error().message;
  std::vector<ZmtpMessage> messages;
  EXPECT_TRUE(subscriber->Take(messages).ok());
  EXPECT_THAT(subscriber->Await(60'000'000).error().message, HasSubstr("no connection within 0.06 s"));
  for (size_t i = 0; i < host.waiting(); ++i) ::close(host.Accept());
  const Status connected = subscriber->Await(600'000'000'000);
  ASSERT_TRUE(connected.ok()) << connected.error().message;
  const int publisher = host.Accept();
  std::string got(ZmtpGreeting().size(), '\0');
  EXPECT_EQ(::recv(publisher, got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, ZmtpGreeting());
  ::close(publisher);
}

TEST(ZmtpSubscriber, APublisherThatGoesWhileItsQueueIsFullIsSaid) {
  FullLocalListener host;
  auto subscriber = ZmtpSubscriber::Connect(host.address());
  ASSERT_TRUE(subscriber.ok()) << subscriber.error().message;
  host.Close();
  EXPECT_THAT(subscriber->Await(600'000'000'000).error().message, HasSubstr("Connection refused"));
}

TEST(ZmtpSubscriber, APublisherThatNeverPausesKeepsNobody) {
  const TempDir temp;
  const std::string path = (temp.path() / "pub.0").string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  auto subscriber = ZmtpSubscriber::Connect("ipc://" + path);
  ASSERT_TRUE(subscriber.ok()) << subscriber.error().message;
  const int publisher = ::accept(listener, nullptr, nullptr);
  std::thread flood([&] {
    std::string bytes;
    for (int i = 0; i < 1000; ++i) bytes += "\x00\xff"s + std::string(255, 'x');
    bool goes_on = ::send(publisher, PublisherHello().data(), PublisherHello().size(), MSG_NOSIGNAL) > 0;
    while (goes_on) goes_on = ::send(publisher, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
  });
  size_t taken = 0;
  while (taken < 3 * ZmtpSubscriber::kMostTaken) {
    std::vector<ZmtpMessage> messages;
    ASSERT_TRUE(subscriber->Take(messages).ok());
    EXPECT_LE(messages.size() * 257, ZmtpSubscriber::kMostTaken + 257);
    taken += messages.size() * 257;
  }
  ::shutdown(publisher, SHUT_RDWR);
  flood.join();
  ::close(publisher);
  ::close(listener);
}

TEST(ZmtpSubscriber, AddressesThatAreNone) {
  EXPECT_THAT(ZmtpSubscriber::Connect("/run/fpm").error().message, HasSubstr("ipc:///run/fpm.0"));
  EXPECT_THAT(ZmtpSubscriber::Connect("tcp://host.example:1").error().message, HasSubstr("numeric"));
  EXPECT_THAT(ZmtpSubscriber::Connect("tcp://127.0.0.1").error().message, HasSubstr("tcp://ADDRESS:PORT"));
  EXPECT_THAT(ZmtpSubscriber::Connect("ipc:///no/such/socket").error().message, HasSubstr("/no/such/socket"));
}

}  // namespace
}  // namespace moecap::net
