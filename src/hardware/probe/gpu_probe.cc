#include "hardware/probe/gpu_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <functional>

#include "base/clock.h"
#include "base/rng.h"
#include "base/wall_clock.h"
#include "hardware/probe/cuda_driver.h"
#include "hardware/probe/team.h"

namespace moecap::hardware {
namespace {

using Address = CudaDriver::Address;

constexpr int kMinRepetitions = 5;
constexpr int kMostRepetitions = 2000;
constexpr unsigned kThreadsPerBlock = 256;
constexpr unsigned kBlocks = 4096;
constexpr unsigned kThreads = kThreadsPerBlock * kBlocks;
constexpr size_t kBytesPerSweep = size_t{kThreads} * 4 * 16;  // a thread loads 4 x 16 bytes in each turn of the kernel's loop
constexpr double kFreeShare = 0.25;
// Above anything built; a figure beyond it is a broken clock.
constexpr double kPlausibleMemoryBytesPerS = 100e12;
constexpr double kPlausibleLinkBytesPerS = 2e12;
constexpr double kEnergyS = 1;

// Each thread adds up 32-bit words, 16 bytes a load, and stores its sum: reads at the rate of the memory, and an answer to
// check.
constexpr const char* kSumKernel = R"(
.version 6.3
.target sm_70
.address_size 64
.visible .entry stream_sum(.param .u64 data, .param .u64 vectors, .param .u64 sums)
{
  .reg .pred %p;
  .reg .b32 %r<32>;
  .reg .b64 %d<16>;
  ld.param.u64 %d0, [data];
  ld.param.u64 %d1, [vectors];
  ld.param.u64 %d2, [sums];
  cvta.to.global.u64 %d0, %d0;
  cvta.to.global.u64 %d2, %d2;
  mov.u32 %r0, %ctaid.x;
  mov.u32 %r1, %ntid.x;
  mov.u32 %r2, %tid.x;
  mov.u32 %r3, %nctaid.x;
  mad.lo.u32 %r4, %r0, %r1, %r2;
  mul.lo.u32 %r5, %r1, %r3;
  cvt.u64.u32 %d3, %r4;
  cvt.u64.u32 %d4, %r5;
  shl.b64 %d5, %d3, 4;
  add.u64 %d5, %d0, %d5;
  shl.b64 %d6, %d4, 4;
  mov.u32 %r6, 0;
  mov.u32 %r7, 0;
  mov.u32 %r8, 0;
  mov.u32 %r9, 0;
  mov.u64 %d7, %d3;
LOOP:
  setp.ge.u64 %p, %d7, %d1;
  @%p bra DONE;
  add.u64 %d8, %d5, %d6;
  add.u64 %d9, %d8, %d6;
  add.u64 %d10, %d9, %d6;
  ld.global.nc.v4.u32 {%r10, %r11, %r12, %r13}, [%d5];
  ld.global.nc.v4.u32 {%r14, %r15, %r16, %r17}, [%d8];
  ld.global.nc.v4.u32 {%r18, %r19, %r20, %r21}, [%d9];
  ld.global.nc.v4.u32 {%r22, %r23, %r24, %r25}, [%d10];
  add.u32 %r6, %r6, %r10;
  add.u32 %r7, %r7, %r11;
  add.u32 %r8, %r8, %r12;
  add.u32 %r9, %r9, %r13;
  add.u32 %r6, %r6, %r14;
  add.u32 %r7, %r7, %r15;
  add.u32 %r8, %r8, %r16;
  add.u32 %r9, %r9, %r17;
  add.u32 %r6, %r6, %r18;
  add.u32 %r7, %r7, %r19;
  add.u32 %r8, %r8, %r20;
  add.u32 %r9, %r9, %r21;
  add.u32 %r6, %r6, %r22;
  add.u32 %r7, %r7, %r23;
  add.u32 %r8, %r8, %r24;
  add.u32 %r9, %r9, %r25;
  add.u64 %d5, %d10, %d6;
  shl.b64 %d11, %d4, 2;
  add.u64 %d7, %d7, %d11;
  bra LOOP;
DONE:
  add.u32 %r6, %r6, %r7;
  add.u32 %r8, %r8, %r9;
  add.u32 %r6, %r6, %r8;
  shl.b64 %d12, %d3, 2;
  add.u64 %d2, %d2, %d12;
  st.global.u32 [%d2], %r6;
  ret;
}
)";

size_t RoundDown(double bytes, size_t unit) { return static_cast<size_t>(bytes) / unit * unit; }

// Everything that must be given back, in the order of giving it back.
class Session {
 public:
  Session(const CudaDriver& cuda, int device) : cuda_(cuda), device_(device) {}
  ~Session() {
    for (auto release = releases_.rbegin(); release != releases_.rend(); ++release) (*release)();
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Status Start(const GpuOptions& options) {
    CudaDriver::Context context = nullptr;
    RETURN_IF_ERROR(Call("cuDevicePrimaryCtxRetain", cuda_.ContextRetain(&context, device_)));
    releases_.push_back([this] { cuda_.ContextRelease(device_); });
    RETURN_IF_ERROR(Call("cuCtxSetCurrent", cuda_.ContextSetCurrent(context)));
    size_t free = 0;
    RETURN_IF_ERROR(Call("cuMemGetInfo", cuda_.MemoryInfo(&free, &total_)));
    bytes_ = RoundDown(std::min(options.most_bytes, kFreeShare * static_cast<double>(free)), kBytesPerSweep);
    pinned_bytes_ = RoundDown(std::min(options.most_pinned_bytes, static_cast<double>(bytes_)), kBytesPerSweep);
    if (pinned_bytes_ == 0) return Failed(fmt::format("only {} MiB of its memory are free", free >> 20));
    // The buffer is a whole number of copies of what the host holds.
    bytes_ = bytes_ / pinned_bytes_ * pinned_bytes_;
    RETURN_IF_ERROR(Allocate(bytes_, from_));
    RETURN_IF_ERROR(Allocate(bytes_, to_));
    RETURN_IF_ERROR(Allocate(kThreads * sizeof(uint32_t), sums_));
    void* memory = nullptr;
    RETURN_IF_ERROR(Call("cuMemHostAlloc", cuda_.AllocateHost(&memory, pinned_bytes_, 0)));
    releases_.push_back([this, memory] { cuda_.FreeHost(memory); });
    host_ = static_cast<uint32_t*>(memory);
    RETURN_IF_ERROR(CreateEvent(start_));
    return CreateEvent(stop_);
  }

  // Seconds of each repetition of `enqueue` on the GPU's clock.
  Result<std::vector<double>> Time(double budget_s, const std::function<Status()>& enqueue) const {
    std::vector<double> times;
    double spent_s = 0;
    const auto wanted = [&](int done) { return done < kMinRepetitions || (spent_s < budget_s && done < kMostRepetitions); };
    for (int done = -1; wanted(done); ++done) {  // the first one warms up
      RETURN_IF_ERROR(Call("cuEventRecord", cuda_.EventRecord(start_, nullptr)));
      RETURN_IF_ERROR(enqueue());
      RETURN_IF_ERROR(Call("cuEventRecord", cuda_.EventRecord(stop_, nullptr)));
      RETURN_IF_ERROR(Call("cuEventSynchronize", cuda_.EventSynchronize(stop_)));
      float ms = 0;
      RETURN_IF_ERROR(Call("cuEventElapsedTime", cuda_.EventElapsedMs(&ms, start_, stop_)));
      if (done >= 0) times.push_back(ms * 1e-3);
      spent_s += ms * 1e-3;
    }
    return times;
  }

  Status Call(const char* name, int code) const { return cuda_.Check(name, code); }
  Status Upload(Address to) const { return Call("cuMemcpyHtoDAsync", cuda_.HostToDevice(to, host_, pinned_bytes_, nullptr)); }
  Status Download(Address from) const {
    return Call("cuMemcpyDtoHAsync", cuda_.DeviceToHost(host_, from, pinned_bytes_, nullptr));
  }
  Status CopyWithin() const { return Call("cuMemcpyDtoDAsync", cuda_.DeviceToDevice(to_, from_, bytes_, nullptr)); }
  Status Finish() const { return Call("cuStreamSynchronize", cuda_.StreamSynchronize(nullptr)); }

  Status LoadKernel() {
    RETURN_IF_ERROR(Call("cuModuleLoadData", cuda_.ModuleLoad(&module_, kSumKernel)));
    releases_.push_back([this] { cuda_.ModuleUnload(module_); });
    return Call("cuModuleGetFunction", cuda_.ModuleFunction(&kernel_, module_, "stream_sum"));
  }
  Status Sum(Address data) const {
    uint64_t vectors = bytes_ / 16;
    Address sums = sums_;
    void* arguments[] = {&data, &vectors, &sums};
    return Call("cuLaunchKernel", cuda_.Launch(kernel_, kBlocks, 1, 1, kThreadsPerBlock, 1, 1, 0, nullptr, arguments, nullptr));
  }
  // The sum of all words that Sum has read, modulo 2^32.
  Result<uint32_t> Answer() const {
    std::vector<uint32_t> sums(kThreads);
    RETURN_IF_ERROR(Call("cuMemcpyDtoHAsync", cuda_.DeviceToHost(sums.data(), sums_, kThreads * sizeof(uint32_t), nullptr)));
    RETURN_IF_ERROR(Finish());
    uint32_t total = 0;
    for (const uint32_t sum : sums) total += sum;
    return total;
  }

  uint32_t* host() const { return host_; }
  size_t words() const { return pinned_bytes_ / sizeof(uint32_t); }
  size_t pinned_bytes() const { return pinned_bytes_; }
  size_t bytes() const { return bytes_; }
  size_t total() const { return total_; }
  Address from() const { return from_; }
  Address to() const { return to_; }

 private:
  Status Allocate(size_t bytes, Address& out) {
    RETURN_IF_ERROR(Call("cuMemAlloc", cuda_.Allocate(&out, bytes)));
    releases_.push_back([this, address = out] { cuda_.Free(address); });
    return {};
  }
  Status CreateEvent(CudaDriver::Event& event) {
    RETURN_IF_ERROR(Call("cuEventCreate", cuda_.EventCreate(&event, 0)));
    releases_.push_back([this, &event] { cuda_.EventDestroy(event); });
    return {};
  }

  const CudaDriver& cuda_;
  int device_;
  std::vector<std::function<void()>> releases_;
  size_t total_ = 0, bytes_ = 0, pinned_bytes_ = 0;
  Address from_ = 0, to_ = 0, sums_ = 0;
  uint32_t* host_ = nullptr;
  CudaDriver::Event start_ = nullptr, stop_ = nullptr;
  CudaDriver::Module module_ = nullptr;
  CudaDriver::Function kernel_ = nullptr;
};

class GpuMeasurement {
 public:
  GpuMeasurement(Session& session, const GpuOptions& options, GpuCeilings& out)
      : session_(session), options_(options), out_(out) {
    Rng rng(2026);
    for (size_t i = 0; i < session_.words(); i += 2) {
      const uint64_t word = rng.Next();
      std::memcpy(session_.host() + i, &word, sizeof(word));
    }
    pattern_.assign(session_.host(), session_.host() + session_.words());
    const uint32_t copies = static_cast<uint32_t>(session_.bytes() / session_.pinned_bytes());
    for (const uint32_t word : pattern_) expected_sum_ += word;
    expected_sum_ *= copies;
  }

  Status HostLink() {
    ASSIGN_OR_RETURN(const auto up_s, session_.Time(options_.figure_s, [&] { return session_.Upload(session_.from()); }));
    ASSIGN_OR_RETURN(const auto down_s, session_.Time(options_.figure_s, [&] { return session_.Download(session_.from()); }));
    // Once more into cleared memory: what is compared must have come back from the GPU.
    std::memset(session_.host(), 0, session_.pinned_bytes());
    RETURN_IF_ERROR(session_.Download(session_.from()));
    RETURN_IF_ERROR(CheckHost("host-to-device and device-to-host copies"));
    const auto bytes = static_cast<double>(session_.pinned_bytes());
    RETURN_IF_ERROR(
        Put(up_s, bytes, "pinned memory to the GPU, driver's copy", kPlausibleLinkBytesPerS, out_.host_to_device_bytes_per_s));
    return Put(down_s, bytes, "GPU to pinned memory, driver's copy", kPlausibleLinkBytesPerS, out_.device_to_host_bytes_per_s);
  }

  // The whole of the first buffer holds copies of the pattern afterwards.
  Status FillDevice() {
    for (size_t at = 0; at < session_.bytes(); at += session_.pinned_bytes())
      RETURN_IF_ERROR(session_.Upload(session_.from() + at));
    return session_.Finish();
  }

  Status CopyWithin() {
    ASSIGN_OR_RETURN(const auto times_s, session_.Time(options_.figure_s, [&] { return session_.CopyWithin(); }));
    std::memset(session_.host(), 0, session_.pinned_bytes());
    RETURN_IF_ERROR(session_.Download(session_.to() + session_.bytes() - session_.pinned_bytes()));
    RETURN_IF_ERROR(CheckHost("copies within the GPU's memory"));
    return Put(times_s, 2.0 * static_cast<double>(session_.bytes()), "driver's copy within the GPU's memory",
               kPlausibleMemoryBytesPerS, out_.copy_bytes_per_s);
  }

  // Of the second buffer: it must hold what was copied.
  Status Read() {
    RETURN_IF_ERROR(session_.LoadKernel());
    ASSIGN_OR_RETURN(const auto times_s, session_.Time(options_.figure_s, [&] { return session_.Sum(session_.to()); }));
    ASSIGN_OR_RETURN(const uint32_t sum, session_.Answer());
    if (sum != expected_sum_) return Wrong("sums of the GPU's memory");
    return Put(times_s, static_cast<double>(session_.bytes()), "16-byte loads, summed", kPlausibleMemoryBytesPerS,
               out_.read_bytes_per_s);
  }

  // Mean power while the GPU streams its memory.
  Status Power(GpuManager& gpus, size_t index) {
    const auto before_j = gpus.TotalJoules(index);
    const SteadyClock clock;
    const double start_s = clock.NowS();
    RETURN_IF_ERROR(session_.Time(kEnergyS, [&] { return session_.Sum(session_.to()); }).ok() ? Status()
                                                                                              : Failed("no repetition"));
    const double elapsed_s = clock.NowS() - start_s;
    const auto after_j = gpus.TotalJoules(index);
    if (before_j && after_j && *after_j > *before_j && elapsed_s > 0) out_.busy_w = (*after_j - *before_j) / elapsed_s;
    return {};
  }

 private:
  Status CheckHost(const char* what) {
    RETURN_IF_ERROR(session_.Finish());
    if (std::memcmp(session_.host(), pattern_.data(), session_.pinned_bytes()) != 0) return Wrong(what);
    return {};
  }

  static Error Wrong(const char* what) {
    return Failed(fmt::format("{} came back wrong: do not trust this GPU or its link", what));
  }

  Status Put(const std::vector<double>& times_s, double bytes, const char* kernel, double limit, std::optional<Ceiling>& out) {
    ASSIGN_OR_RETURN(Ceiling ceiling, ToCeiling(times_s, bytes, kernel));
    if (ceiling.best > limit) return Failed(fmt::format("{}: {:.3g} B/s is not possible", kernel, ceiling.best));
    out = std::move(ceiling);
    return {};
  }

  Session& session_;
  const GpuOptions& options_;
  GpuCeilings& out_;
  std::vector<uint32_t> pattern_;
  uint32_t expected_sum_ = 0;
};

// The index among the managed GPUs: CUDA numbers only those that CUDA_VISIBLE_DEVICES leaves, in its own order.
std::optional<size_t> ManagedIndex(GpuManager* gpus, const std::string& pci_address) {
  if (gpus == nullptr) return std::nullopt;
  const std::vector<Accelerator> devices = gpus->Devices();
  for (size_t i = 0; i < devices.size(); ++i) {
    if (devices[i].pci_address == pci_address) return i;
  }
  return std::nullopt;
}

Status MeasureGpu(const CudaDriver& cuda, int device, const GpuOptions& options, GpuManager* gpus, GpuCeilings& out) {
  const auto index = ManagedIndex(gpus, out.pci_address);
  if (index) out.idle_w = gpus->PowerW(*index);
  Session session(cuda, device);
  RETURN_IF_ERROR(session.Start(options));
  out.memory_bytes = static_cast<double>(session.total());
  GpuMeasurement measurement(session, options, out);
  RETURN_IF_ERROR(measurement.HostLink());
  RETURN_IF_ERROR(measurement.FillDevice());
  RETURN_IF_ERROR(measurement.CopyWithin());
  RETURN_IF_ERROR(measurement.Read());
  return index ? measurement.Power(*gpus, *index) : Status();
}

}  // namespace

Result<std::vector<GpuCeilings>> MeasureGpus(const GpuOptions& options, GpuManager* gpus) {
  ASSIGN_OR_RETURN(const CudaDriver cuda, CudaDriver::Open(options.cuda_library));
  int count = 0;
  RETURN_IF_ERROR(cuda.Check("cuDeviceGetCount", cuda.DeviceCount(&count)));
  std::vector<GpuCeilings> all;
  for (int i = 0; i < count; ++i) {
    int device = 0;
    RETURN_IF_ERROR(cuda.Check("cuDeviceGet", cuda.DeviceGet(&device, i)));
    GpuCeilings gpu;
    gpu.measured_at = WallTimeIso8601();
    std::array<char, 256> text{};
    if (cuda.DeviceName(text.data(), static_cast<int>(text.size()) - 1, device) == 0) gpu.name = text.data();
    if (cuda.DevicePciBusId(text.data(), static_cast<int>(text.size()) - 1, device) == 0) gpu.pci_address = text.data();
    std::transform(gpu.pci_address.begin(), gpu.pci_address.end(), gpu.pci_address.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (const Status status = MeasureGpu(cuda, device, options, gpus, gpu); !status)
      gpu.notes.push_back(status.error().message);
    all.push_back(std::move(gpu));
  }
  return all;
}

}  // namespace moecap::hardware
