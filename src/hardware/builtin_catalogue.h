// The files of catalog/hardware/, compiled in. Internal to hardware/.
#pragma once

namespace moecap::hardware {

const char* BuiltinDevicesText();
const char* BuiltinLinksText();

}  // namespace moecap::hardware
