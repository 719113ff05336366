// What the NEON kernels share. Everything is static: these files are compiled for more than every CPU has.
//
// The dot products of Armv8.2 take bytes of one sign: levels (u8) less 128 by weights (s8), or levels by weights plus
// 128. Either is one xor, and takes or adds 128 times the sum of the other factors.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace edgekit {

static inline int8x16_t centred(uint8x16_t levels) { return vreinterpretq_s8_u8(veorq_u8(levels, vdupq_n_u8(0x80))); }

static inline uint8x16_t shifted(int8x16_t weights) { return veorq_u8(vreinterpretq_u8_s8(weights), vdupq_n_u8(0x80)); }

// 4 levels, four times.
static inline uint8x16_t four_levels(const std::uint8_t* input) {
  std::uint32_t four;
  std::memcpy(&four, input, 4);
  return vreinterpretq_u8_u32(vdupq_n_u32(four));
}

// `sums` and 128 times the sums of four weights each: what centred levels lack.
static inline int32x4_t with_centre(int32x4_t sums, int8x16_t weights) {
  const int8x16_t half = vdupq_n_s8(64);
  return vdotq_s32(vdotq_s32(sums, weights, half), weights, half);
}

// 16 sums, or values.
struct Sums16 {
  int32x4_t of[4];
};

struct Values16 {
  float32x4_t of[4];
};

static inline Sums16 load_sums(const std::int32_t* from) {
  return {{vld1q_s32(from), vld1q_s32(from + 4), vld1q_s32(from + 8), vld1q_s32(from + 12)}};
}

// Each sum by the scale of its output.
static inline Values16 scaled(const Sums16& sums, const float* scale) {
  Values16 values;
  for (int i = 0; i < 4; ++i) values.of[i] = vmulq_f32(vcvtq_f32_s32(sums.of[i]), vld1q_f32(scale + i * 4));
  return values;
}

// 16 levels less their zero point, as floats.
static inline Values16 values_of(uint8x16_t levels, int zero_point) {
  const int16x8_t zero = vdupq_n_s16(static_cast<std::int16_t>(zero_point));
  const int16x8_t low = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(levels))), zero);
  const int16x8_t high = vsubq_s16(vreinterpretq_s16_u16(vmovl_high_u8(levels)), zero);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}

// clamp(round(value) + zero_point, low, high), ties to even; narrowing saturates, which the clamp cannot tell apart.
static inline uint8x16_t to_levels(const Values16& values, int zero_point, int low, int high) {
  const int16x8_t zero = vdupq_n_s16(static_cast<std::int16_t>(zero_point));
  int16x8_t halves[2];
  for (int i = 0; i < 2; ++i) {
    const int16x4_t first = vqmovn_s32(vcvtnq_s32_f32(values.of[2 * i]));
    halves[i] = vqaddq_s16(vqmovn_high_s32(first, vcvtnq_s32_f32(values.of[2 * i + 1])), zero);
  }
  const uint8x16_t levels = vqmovun_high_s16(vqmovun_s16(halves[0]), halves[1]);
  const uint8x16_t above = vmaxq_u8(levels, vdupq_n_u8(static_cast<std::uint8_t>(low)));
  return vminq_u8(above, vdupq_n_u8(static_cast<std::uint8_t>(high)));
}

// The first `count` of 16 levels, all of them from 16 on.
static inline uint8x16_t load_levels(const std::uint8_t* from, std::int64_t count) {
  if (count >= 16) return vld1q_u8(from);
  std::uint8_t held[16] = {};
  std::memcpy(held, from, static_cast<std::size_t>(count));
  return vld1q_u8(held);
}

static inline void store_levels(std::uint8_t* to, std::int64_t count, uint8x16_t levels) {
  if (count >= 16) return vst1q_u8(to, levels);
  std::uint8_t held[16];
  vst1q_u8(held, levels);
  std::memcpy(to, held, static_cast<std::size_t>(count));
}

static inline void store_values(float* to, std::int64_t count, const Values16& values) {
  float held[16];
  for (int i = 0; i < 4; ++i) vst1q_f32(held + i * 4, values.of[i]);
  std::memcpy(to, held, static_cast<std::size_t>(count < 16 ? count : 16) * 4);
}

}  // namespace edgekit
