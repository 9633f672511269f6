// SPDX-License-Identifier: MIT
// The manifest room: JSON to manifest and back, manifest to index, stores that open through theirs. What needs nlohmann/json
// is included alone: json.hpp, and the graph (manifest/graph_link.hpp).
#ifndef STET_MANIFEST_HPP
#define STET_MANIFEST_HPP

#include "manifest/check.hpp"
#include "manifest/content_digest.hpp"
#include "manifest/json_text.hpp"
#include "manifest/manifest.hpp"
#include "manifest/open.hpp"
#include "manifest/parse.hpp"
#include "manifest/print.hpp"
#include "manifest/shards.hpp"
#include "manifest/slice_of.hpp"
#include "manifest/to_index.hpp"
#include "manifest/verify.hpp"

#endif
