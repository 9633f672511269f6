// SPDX-License-Identifier: MIT
// The program `stet`: the table of its commands, and the parser of the command line.
#include "commands.hpp"
#include "model.hpp"

#include <stet/vocabulary/version.hpp>

#include <exception>
#include <string>

namespace command {

namespace {

/// An option, and whether a value follows it.
struct option {
  std::string_view name;
  bool takes_value = false;
};

struct entry {
  std::string_view name;
  /// As help shows it.
  std::string_view operands;
  std::size_t operand_count;
  std::string_view summary;
  std::string_view details;
  std::span<const option> options;
  status (*run)(const arguments& given, console& out);
  /// Further lines of its help.
  std::string (*more)() = nullptr;
};

constexpr std::span<const option> no_options;
constexpr option list_options[] = {{"--json"}, {"--slices"}};
constexpr option cat_options[] = {{"--as", true}, {"--dequantize"}};
constexpr option doctor_options[] = {{"--repair", true}};
constexpr option graph_options[] = {{"--json"}, {"--dot"}};
constexpr option convert_options[] = {{"--to", true},     {"--only", true},  {"--skip", true},  {"--names", true},
                                      {"--rename", true}, {"--dtype", true}, {"--dequantize"},  {"--shard-size", true},
                                      {"--drop-aliases"}, {"--deflate"},     {"--layout", true}};

constexpr option patch_options[] = {
    {"--rename", true}, {"--axes", true}, {"--only", true}, {"--skip", true}, {"--strict"}};

constexpr entry commands[] = {
    {"ls", "PATH [--json] [--slices]", 1, "list the tensors",
     "One tensor a line: size, dtype, shape, name, the second names by which programs find it, and for an alias the\n"
     "tensor it shares its bytes with.\n"
     "--json     everything there is to know of each, for programs\n"
     "--slices   of a sharded checkpoint, the pieces of tensors instead: size, dtype, the shard's file and the offset "
     "in it,\n"
     "           start and end in each dimension, name. With --json, both\n",
     list_options, list},
    {"cat", "PATH TENSOR [--as DTYPE | --dequantize]", 2, "write a tensor's bytes to standard output",
     "Row-major and little-endian; of each string its size (8 bytes, little-endian), then its bytes.\n"
     "--as DTYPE     convert each element, for example to float32\n"
     "--dequantize   of a quantized tensor, the numbers that its codes or blocks stand for\n",
     cat_options, cat},
    {"verify", "PATH", 1, "read every byte and say whether it is as it was written",
     "Reads every tensor and compares every checksum that the files have; of a delta those of its bases, too, of a\n"
     "sharded checkpoint those of each shard, and of a folder of checkpoints those of each. Status 1 names what is "
     "damaged, missing or cannot be read.\n",
     no_options, verify},
    {"manifest", "PATH", 1, "print the manifest, as readable JSON", "", no_options, print_manifest},
    {"graph", "PATH [--json | --dot]", 1, "print what the model computes: nodes and signatures",
     "A node a line: name, op, inputs, variables, attributes; ^ marks an input that is only waited for.\n"
     "--json   everything there is to know of each, as in a manifest\n"
     "--dot    a drawing for Graphviz\n",
     graph_options, print_graph},
    {"convert", "IN OUT [--to FORMAT] [OPTION]...", 2, "save a model of any format in another",
     "The format of IN is told by its content, that of OUT by its ending or by --to.\n"
     "--to FORMAT      one of those below; a checkpoint of TensorFlow has a prefix of file names for OUT\n"
     "--only PATTERN   takes the tensors alone whose names match; given several times, those that match one\n"
     "--skip PATTERN   leaves out the tensors whose names match: ? is a character and * characters other than '/',\n"
     "                 ** any characters. Variants, the state of iterators, are left out unless OUT is of format "
     "stet\n"
     "--names WHICH    of tensors with second names (hidden/kernel of /layers/dense/vars/0) in a native file: file\n"
     "                 keeps the name in the file alone, layers the second name alone. By default a tensor keeps "
     "both,\n"
     "                 the second name as an alias\n"
     "--rename FROM=TO gives tensors whose names match the pattern FROM the name TO; $1 ... $9 in it are what the\n"
     "                 wildcards matched. The first that fits counts\n"
     "--dtype DTYPE    converts floating tensors, rounded to nearest: float16, bfloat16, float32 ... For gguf and "
     "stet\n"
     "                 also q8_0 and q4_0, of those with two extents or more whose rows are whole blocks of 32\n"
     "--dequantize     makes float32, or what --dtype says, of quantized blocks\n"
     "--shard-size N   the largest size of a file with tensors: 5GB, 500MB, 2GiB; for stet, safetensors, gguf,\n"
     "                 tensorflow and tfjs. A larger tensor has a file of its own\n"
     "--drop-aliases   of a tensor with several names (tied weights) keeps the first: safetensors notes the others in\n"
     "                 its metadata, gguf does not have them. Without it such a tensor is an error there\n"
     "--deflate        compresses the arrays of npz; they are not in place then\n"
     "--layout LAYOUT  for stet: accelerator gives each tensor of 16 pages or more whole pages of 4096 bytes, which\n"
     "                 Vulkan, CUDA and others import in place; accelerator:16KiB gives them pages of Apple's size\n",
     convert_options, convert, formats_to_save},
    {"patch", "MODEL WEIGHTS OUT [OPTION]...", 3, "put new weights into a copy of a model's file",
     "OUT is MODEL with the values of the tensors that WEIGHTS has by the same names, converted to MODEL's dtypes;\n"
     "where MODEL is quantized, to codes of its own scales. All other bytes stay the same. OUT may be MODEL: programs\n"
     "that have it open keep the old file. MODEL is one file: .tflite, .task, .onnx, .pt, .safetensors, .gguf, .npy,\n"
     ".npz, .keras, .h5, .ptd; an .onnx file may have external data, whose changed files get new names.\n"
     "--rename FROM=TO   weights whose names match the pattern FROM are those of TO in MODEL; as for convert\n"
     "--axes PATTERN=ORDER  tensors of MODEL that match have the axes of the weights in this order: 1,0 transposes.\n"
     "                   TFLite has dense kernels as [out, in], and kernels of convolutions as [out, height, width, "
     "in]:\n"
     "                   1,0 and 3,0,1,2 make them of those of Keras\n"
     "--only PATTERN     replaces the tensors of MODEL alone whose names match; may be given several times\n"
     "--skip PATTERN     does not replace those whose names match\n"
     "--strict           a tensor that only one of both has is an error\n",
     patch_options, patch},
    {"pack", "MANIFEST OUT", 2, "make one file of a manifest and its data",
     "Everything is carried over; tensors are compared with their checksums on the way.\n", no_options, pack},
    {"unpack", "FILE DIR", 2, "make a manifest and raw data of a file",
     "Writes DIR/NAME.json, and the data beside it, for NAME.stet; pack undoes it.\n", no_options, unpack},
    {"compact", "DELTA OUT", 2, "make a whole file of a delta and its base",
     "Of a folder of checkpoints, of the newest. Tensors are compared with their checksums first.\n", no_options,
     compact},
    {"diff", "A B", 2, "compare the tensors of two files",
     "Names, shapes, dtypes and elements, which are the same if their bits are. Tensors are compared that have a name\n"
     "or a second name in common. The relative difference is that of the larger. Graph, state and metadata are not\n"
     "compared.\n",
     no_options, diff},
    {"doctor", "PATH [--repair OUT]", 1, "say what a file is, why it does not open, and what to do",
     "Status 0 if it opens.\n"
     "--repair OUT   writes the repaired file: without bytes after the end (safetensors, stet, zip archives of NumPy "
     "and\n"
     "               Keras), without NUL bytes in the header of safetensors, or an index of the shards that are "
     "there.\n"
     "               PATH stays as it is\n",
     doctor_options, doctor},
};

std::string usage_of(const entry& each) { return std::string(each.name).append(" ").append(each.operands); }

status help(console& out) {
  constexpr std::size_t usage_width = 28;
  out.write("stet looks into files of model weights.\n\n");
  for (const entry& each : commands)
    out.write("  stet ").write(left_aligned(usage_of(each), usage_width)).write("  ").write(each.summary).write("\n");
  out.write("\n  stet ").write(left_aligned("COMMAND -h, --help", usage_width)).write("  more about a command\n");
  out.write(
      "  stet -h, --help | -V, --version\n\n"
      "PATH is a native file (.stet), a manifest (.json) with its data beside it, a folder of checkpoints, a file of\n"
      "safetensors, PyTorch, ONNX, GGUF, NumPy, TFLite or ExecuTorch, or a model of TensorFlow, TensorFlow.js or "
      "Keras:\n"
      "a file, a folder, or what the names of a checkpoint's files begin with. Bases of deltas and shards lie beside "
      "it.\n"
      "Parts that are links are opened in huggingface_hub's cache, and elsewhere with --follow-links. PATH may be a "
      "URL of\n"
      "https or http (--ca-file FILE: whom to trust). Status: 0 done, 1 the file or the answer is bad, 2 wrong use.\n");
  return status::done;
}

status help_about(const entry& each, console& out) {
  out.write("stet ").write(usage_of(each)).write(": ").write(each.summary).write("\n").write(each.details);
  if (each.more != nullptr) out.write(each.more());
  return status::done;
}

const option* find_option(const entry& of, std::string_view name) {
  for (const option& each : of.options) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

/// Takes the arguments apart by what the command expects, and runs it.
status run(const entry& each, std::span<char*> given, console& out) {
  arguments parsed;
  bool are_options_over = false;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string_view argument = given[i];
    // No option begins with a digit, but names of tensors do: "-1.weight".
    const bool is_option = argument.size() > 1 && argument[0] == '-' && !(argument[1] >= '0' && argument[1] <= '9');
    if (are_options_over || !is_option) {
      parsed.operands.push_back(argument);
      continue;
    }
    if (argument == "--") {
      are_options_over = true;
      continue;
    }
    if (argument == "--help" || argument == "-h") return help_about(each, out);
    if (argument == "--follow-links") {
      follows_links = true;
      continue;
    }
    constexpr std::string_view ca_option = "--ca-file";
    if (argument.substr(0, argument.find('=')) == ca_option) {
      if (argument.size() == ca_option.size() && ++i == given.size()) return out.misuse("--ca-file needs a value");
      ca_file = argument.size() == ca_option.size() ? given[i] : argument.substr(ca_option.size() + 1);
      continue;
    }
    const std::size_t equals = argument.find('=');
    const option* const known = find_option(each, argument.substr(0, equals));
    if (known == nullptr || (equals != std::string_view::npos && !known->takes_value)) {
      return out.misuse(std::string(each.name).append(" has no option ").append(argument));
    }
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (known->takes_value) {
      if (++i == given.size()) return out.misuse(std::string(argument).append(" needs a value"));
      value = given[i];
    }
    parsed.options.emplace_back(known->name, value);
  }
  if (parsed.operands.size() != each.operand_count) return out.misuse("usage: stet " + usage_of(each));
  return each.run(parsed, out);
}

status run(std::span<char*> given, console& out) {
  if (given.empty()) return out.misuse("which command?");
  const std::string_view name = given[0];
  if (name == "--help" || name == "-h" || name == "help") return help(out);
  if (name == "--version" || name == "-V") return out.write("stet " STET_VERSION_STRING "\n"), status::done;
  for (const entry& each : commands) {
    if (each.name == name) return run(each, given.subspan(1), out);
  }
  return out.misuse(std::string("there is no command ").append(name));
}

} // namespace

} // namespace command

int main(int argc, char** argv) {
  command::console out;
  command::status outcome = command::status::bad;
  try {
    outcome = command::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0), out);
  } catch (const std::exception&) { // memory or threads are exhausted; the library throws nothing of its own
    outcome = out.fail(argc > 2 ? argv[2] : "", stet::errc::out_of_memory);
  }
  return static_cast<int>(out.finish(outcome));
}
