// The device and link catalogue: what ships with the program, with the user's own entries laid over it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "hardware/device.h"

namespace moecap::hardware {

// A JSON text with "devices" and/or "links"; docs/hardware.md describes the keys. `name` is for messages: a file name.
struct CatalogueLayer {
  std::string name;
  std::string text;
};

class Catalogue {
 public:
  // Later layers win. An entry with a known id is merged key by key (RFC 7396: null removes a key, an object is merged, a list
  // is replaced); one with a new id is added and must be complete. Errors: kBadInput with layer, entry, key and what is wrong:
  // a missing or negative value, an unknown key, an alias or id that names two devices, a link that does not exist.
  static Result<Catalogue> Parse(std::span<const CatalogueLayer> layers);

  // What ships with the program (catalog/hardware/), and the same with a user's layer on top.
  static Result<Catalogue> Builtin();
  static Result<Catalogue> BuiltinWith(const CatalogueLayer& user);

  const std::vector<Device>& devices() const& { return devices_; }
  const std::vector<Link>& links() const& { return links_; }
  const std::vector<Device>& devices() && = delete;  // would dangle
  const std::vector<Link>& links() && = delete;

  // By id, name, alias or PCI number; letter case, spaces and punctuation do not matter ("H100 SXM" finds h100-sxm).
  // Error: kBadInput with the nearest known ids, and how to measure the machine or to add the device.
  Result<Device> FindDevice(std::string_view name) const;
  // Devices of which some name (id, name, alias, vendor, PCI number) holds every word of `words` as a part, in catalogue order.
  std::vector<Device> Search(std::string_view words) const;
  // By id.
  Result<Link> FindLink(std::string_view id) const;

  // The device that a driver reports as `name` with `memory_bytes` of memory (as nvidia-smi and rocm-smi print them): an exact
  // name or alias first; then a device whose name has all the telling words of the report, in order; among several the one
  // whose memory is nearest. Null when nothing fits, or when the memory differs by more than a quarter.
  std::optional<Device> MatchAccelerator(std::string_view name, std::optional<double> memory_bytes) const;

  // The device with the PCI number `pci_id` ("10de:2335"). Several boards may share one: then the one whose memory is nearest,
  // and null when the memory is not given; null too when it differs by more than a quarter.
  std::optional<Device> MatchPciId(std::string_view pci_id, std::optional<double> memory_bytes) const;

  // The processor whose model number stands in `cpu_model` (/proc/cpuinfo). Null when it is not in the catalogue or the
  // string was shortened, as clouds do.
  std::optional<Device> MatchProcessor(std::string_view cpu_model) const;

 private:
  std::vector<Device> devices_;
  std::vector<Link> links_;
};

Json ToJson(const Device& device);
Json ToJson(const Link& link);

}  // namespace moecap::hardware
