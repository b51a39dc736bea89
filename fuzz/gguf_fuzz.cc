// GGUF headers, and the model that one describes.
#include "fuzz/fuzz.h"
#include "model/gguf_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto file = model::ParseGguf(fuzz::Bytes(data, size));
  const auto prefix = model::ParseGgufPrefix(fuzz::Bytes(data, size));
  CHECK(file.ok() == (prefix.ok() && prefix->has_value()));
  if (!file.ok()) return 0;
  CHECK(file->data_offset <= file->file_bytes);
  const auto spec = model::SpecFromGguf(*file);
  if (spec.ok()) CHECK(spec->TotalParams() >= 0 && spec->ActiveParams() >= 0 && spec->WeightBytes() >= 0);
  return 0;
}
