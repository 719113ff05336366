#include "common/packed.h"
#include "wavenet/wavenet.h"
#include "wavenet/weights.h"

namespace edgekit {

namespace {

// Bytes of the layers, of the head, and of a slot of a ring.
struct Bytes {
  std::uint64_t layers, head, slot;
};

Bytes bytes_i8(std::uint64_t layers, std::uint64_t channels, std::uint64_t hidden, std::uint64_t classes) {
  const std::uint64_t outputs = 2 * channels;
  return {layers * outputs * (3 * channels + 6 * 4), hidden * (channels + 8) + classes * (hidden + 8), channels + 4};
}

Bytes bytes_float(std::uint64_t layers, std::uint64_t channels, std::uint64_t hidden, std::uint64_t classes,
                  std::uint64_t weight) {
  const std::uint64_t outputs = 2 * channels;
  return {layers * outputs * (3 * channels * weight + 2 * 4),
          hidden * (channels * weight + 4) + classes * (hidden * weight + 4), 4 * channels};
}

template <class Params>
void check_numbers(const Params& p, const Checker& checker) {
  checker.in_range(p.layer_count, 1, kMaxLayers, "layer_count");
  checker.in_range(p.channels, 16, kMaxChannels, "channels");
  checker.require(p.channels % 16 == 0, "channels in multiples of 16");
  checker.in_range(p.hidden, kPairOutputs, kMaxHidden, "hidden");
  checker.require(p.hidden % kPairOutputs == 0, "hidden in multiples of 32");
  checker.in_range(p.classes, 1, kMaxClasses, "classes");
  checker.in_range(p.levels, 1, kMaxCount, "levels");
  checker.in_range(p.start, 0, p.levels - 1, "start");
  checker.in_range(p.steps, 1, kMaxCount, "steps");
  checker.in_range(p.given, 0, p.steps, "given");
  checker.require(p.code_bytes == 4 || p.code_bytes == 8, "code_bytes 4 or 8");
}

// The slots of all rings.
template <class Params>
std::uint64_t check_dilations(const Params& p, const Checker& checker) {
  checker.reads(p.dilations, 4ull * p.layer_count, "dilations", Overread::no, 4);
  checker.require(p.dilations.space == kConstants && checker.constants, "dilations in the constants");
  const auto* dilations = reinterpret_cast<const std::int32_t*>(checker.constants + p.dilations.offset);
  std::uint64_t slots = 0;
  for (int layer = 0; layer < p.layer_count; ++layer) {
    checker.in_range(dilations[layer], 1, kMaxCount, "a dilation");
    slots += static_cast<std::uint64_t>(dilations[layer]);
  }
  return slots;
}

template <class Params>
void check_user_tensors(const Params& p, const Checker& checker) {
  const std::uint64_t steps = p.steps, stacked = 4ull * p.layer_count * p.channels;
  if (p.given || !Checker::absent(p.codes))
    checker.reads(p.codes, static_cast<std::uint64_t>(p.given) * p.code_bytes, "codes", Overread::no, 4);
  if (!Checker::absent(p.seed)) checker.reads(p.seed, 8, "seed", Overread::no, 4);
  if (!Checker::absent(p.temperature)) checker.reads(p.temperature, 4, "temperature", Overread::no, 4);
  if (!Checker::absent(p.past)) checker.reads_if_bound(p.past, stacked, "past", 4);
  if (!Checker::absent(p.push)) checker.writes_if_bound(p.push, stacked, "push", 4);
  checker.require(p.steps == 1 || (Checker::absent(p.past) && Checker::absent(p.push)),
                  "past and push of one step only");
  checker.require(!Checker::absent(p.logits) || !Checker::absent(p.samples), "logits or samples");
  if (!Checker::absent(p.logits)) checker.writes(p.logits, steps * p.classes * 4, "logits", 4);
  if (!Checker::absent(p.samples)) checker.writes(p.samples, steps * p.code_bytes, "samples", 4);
}

template <class Params>
void check_memory(const Params& p, const Checker& checker, const Bytes& bytes) {
  checker.reads(p.embedding, 4ull * p.levels * p.channels, "embedding", Overread::no, 64);
  checker.reads(p.layers, bytes.layers, "layers", Overread::no, 64);
  checker.reads(p.head, bytes.head, "head", Overread::no, 64);
  checker.require(p.state.space == kState, "state in the state memory");  // zeros at first, and kept between calls
  checker.writes(p.state, 64 + check_dilations(p, checker) * bytes.slot, "state", 64);
  check_user_tensors(p, checker);
}

}  // namespace

void check(const WavenetI8& p, const Checker& checker) {
  check_numbers(p, checker);
  check_memory(p, checker, bytes_i8(p.layer_count, p.channels, p.hidden, padded_classes(p.classes)));
}

void check(const WavenetF32& p, const Checker& checker) {
  check_numbers(p, checker);
  check_memory(p, checker, bytes_float(p.layer_count, p.channels, p.hidden, padded_classes(p.classes), 4));
}

void check(const WavenetBf16& p, const Checker& checker) {
  check_numbers(p, checker);
  check_memory(p, checker, bytes_float(p.layer_count, p.channels, p.hidden, padded_classes(p.classes), 2));
}

}  // namespace edgekit
