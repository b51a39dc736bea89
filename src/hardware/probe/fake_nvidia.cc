// A stand-in for NVIDIA's libraries (libnvidia-ml.so.1 and libcuda.so.1 in one), so that tests reach the code that calls them
// on machines without a GPU: "GPU memory" is the host's. FAKE_NVIDIA_FAULT makes it err: init, copy, sum, clock, memory.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr int kSuccess = 0;
constexpr int kFailure = 999;
constexpr unsigned kGpus = 2;
constexpr size_t kFreeBytes = size_t{1} << 30;

bool Fault(std::string_view name) {
  const char* fault = std::getenv("FAKE_NVIDIA_FAULT");
  return fault != nullptr && name == fault;
}

double NowMs() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t IndexOf(const void* handle) { return reinterpret_cast<size_t>(handle) - 1; }

struct Memory {
  uint64_t total, free, used;
};
struct Pci {
  char legacy[16];
  unsigned domain, bus, device, device_and_vendor, subsystem;
  char address[32];
};

}  // namespace

extern "C" {

int nvmlInit_v2() { return Fault("init") ? kFailure : kSuccess; }
int nvmlShutdown() { return kSuccess; }
const char* nvmlErrorString(int) { return "Driver/library version mismatch"; }
int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "580.1");
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = kGpus;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  *handle = reinterpret_cast<void*>(static_cast<size_t>(index) + 1);
  return kSuccess;
}
int nvmlDeviceGetName(void*, char* text, unsigned size) {
  std::snprintf(text, size, "NVIDIA H200");
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void*, Memory* memory) {
  *memory = {uint64_t{143771} << 20, 0, 0};
  return kSuccess;
}
int nvmlDeviceGetPciInfo_v3(void* handle, Pci* pci) {
  pci->device_and_vendor = 0x233510de;
  std::snprintf(pci->address, sizeof(pci->address), "00000000:%zXB:00.0", IndexOf(handle) + 1);
  return kSuccess;
}
int nvmlDeviceGetCurrPcieLinkGeneration(void*, unsigned* value) {
  *value = 5;
  return kSuccess;
}
int nvmlDeviceGetCurrPcieLinkWidth(void*, unsigned* value) {
  *value = 16;
  return kSuccess;
}
int nvmlDeviceGetMaxPcieLinkGeneration(void*, unsigned*) { return kFailure; }  // not supported
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* value) {
  *value = 700000;
  return kSuccess;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* value) {
  *value = 75500;
  return kSuccess;
}
// 500 W.
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  *millijoules = static_cast<unsigned long long>(NowMs() * 500);
  return kSuccess;
}
int nvmlDeviceGetNvLinkState(void*, unsigned link, unsigned* enabled) {
  if (link >= 18) return kFailure;
  *enabled = link < 17 ? 1 : 0;
  return kSuccess;
}

int cuInit(unsigned) { return Fault("init") ? kFailure : kSuccess; }
int cuGetErrorString(int, const char** text) {
  *text = "a fault";
  return kSuccess;
}
int cuDeviceGetCount(int* count) {
  *count = 1;
  return kSuccess;
}
int cuDeviceGet(int* device, int index) {
  *device = index;
  return kSuccess;
}
int cuDeviceGetName(char* text, int size, int) {
  std::snprintf(text, static_cast<size_t>(size), "NVIDIA H200");
  return kSuccess;
}
int cuDeviceGetPCIBusId(char* text, int size, int) {
  std::snprintf(text, static_cast<size_t>(size), "0000:2B:00.0");
  return kSuccess;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = context;
  return kSuccess;
}
int cuDevicePrimaryCtxRelease_v2(int) { return kSuccess; }
int cuCtxSetCurrent(void*) { return kSuccess; }
int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = Fault("memory") ? 1 << 20 : kFreeBytes;
  *total = kFreeBytes;
  return kSuccess;
}
int cuMemAlloc_v2(unsigned long long* address, size_t bytes) {
  *address = reinterpret_cast<unsigned long long>(std::malloc(bytes));
  return *address == 0 ? kFailure : kSuccess;
}
int cuMemFree_v2(unsigned long long address) {
  std::free(reinterpret_cast<void*>(address));
  return kSuccess;
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? kFailure : kSuccess;
}
int cuMemFreeHost(void* memory) {
  std::free(memory);
  return kSuccess;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, size_t bytes, void*) {
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return kSuccess;
}
int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, size_t bytes, void*) {
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  if (Fault("copy")) static_cast<char*>(to)[bytes / 2] ^= 1;
  return kSuccess;
}
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void*) {
  std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  return kSuccess;
}
int cuStreamSynchronize(void*) { return kSuccess; }
int cuEventCreate(double** event, unsigned) {
  *event = new double(0);
  return kSuccess;
}
int cuEventDestroy_v2(double* event) {
  delete event;
  return kSuccess;
}
int cuEventRecord(double* event, void*) {
  *event = NowMs();
  return kSuccess;
}
int cuEventSynchronize(double*) { return kSuccess; }
int cuEventElapsedTime(float* ms, const double* start, const double* stop) {
  *ms = Fault("clock") ? 0.01F : static_cast<float>(*stop - *start);
  return kSuccess;
}
int cuModuleLoadData(void** module, const void*) {
  *module = module;
  return kSuccess;
}
int cuModuleUnload(void*) { return kSuccess; }
int cuModuleGetFunction(void** function, void*, const char* name) {
  *function = function;
  return std::string_view(name) == "stream_sum" ? kSuccess : kFailure;
}
// The one kernel there is: all of the sum goes to the first thread's place.
int cuLaunchKernel(void*, unsigned grid, unsigned, unsigned, unsigned block, unsigned, unsigned, unsigned, void*,
                   void** arguments, void**) {
  const auto* data = reinterpret_cast<const uint32_t*>(*static_cast<unsigned long long*>(arguments[0]));
  const uint64_t vectors = *static_cast<uint64_t*>(arguments[1]);
  auto* sums = reinterpret_cast<uint32_t*>(*static_cast<unsigned long long*>(arguments[2]));
  std::memset(sums, 0, size_t{grid} * block * sizeof(uint32_t));
  uint32_t total = Fault("sum") ? 1 : 0;
  for (uint64_t i = 0; i < vectors * 4; ++i) total += data[i];
  sums[0] = total;
  return kSuccess;
}

}  // extern "C"
