// The text of catalog/models/models.json, compiled in.
#pragma once

namespace moecap::model {

const char* BuiltinModelsText();

}  // namespace moecap::model
