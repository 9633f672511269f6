// SPDX-License-Identifier: MIT
// The manifest room: JSON to manifest and back, manifest to index, stores that open through theirs. Needs
// nlohmann/json.
#ifndef STET_MANIFEST_HPP
#define STET_MANIFEST_HPP

#include "manifest/check.hpp"
#include "manifest/graph.hpp"
#include "manifest/graph_json.hpp"
#include "manifest/graph_link.hpp"
#include "manifest/json_text.hpp"
#include "manifest/manifest.hpp"
#include "manifest/open.hpp"
#include "manifest/parse.hpp"
#include "manifest/print.hpp"
#include "manifest/to_index.hpp"
#include "manifest/verify.hpp"

#endif
