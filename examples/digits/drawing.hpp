// SPDX-License-Identifier: MIT
// Draws digits in the terminal, side by side, each with what the network read.
#ifndef DIGITS_DRAWING_HPP
#define DIGITS_DRAWING_HPP

#include "images.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace digits {

/// What the terminal can show.
enum class drawing_style : std::uint8_t {
  ascii, ///< letters and signs of plain ASCII
  blocks ///< Unicode half blocks and shades
};

/// The value of an environment variable; empty where it is not set.
inline std::string_view environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Whether a line written to `stream` can be written over: a terminal, and not one that calls itself dumb.
inline bool can_redraw(std::FILE* stream) noexcept {
#if defined(_WIN32)
  static_cast<void>(stream);
  return false;
#else
  return isatty(fileno(stream)) != 0 && environment("TERM") != "dumb";
#endif
}

/// Blocks for a terminal that has UTF-8, ASCII for all else.
inline drawing_style style_of(std::FILE* stream) noexcept {
  if (!can_redraw(stream)) return drawing_style::ascii;
  // The first of these that is set decides (POSIX.1-2017, Base Definitions, 8.2).
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = environment(name);
    if (locale.empty()) continue;
    const bool is_utf8 =
        locale.find("UTF-8") != std::string_view::npos || locale.find("utf8") != std::string_view::npos;
    return is_utf8 ? drawing_style::blocks : drawing_style::ascii;
  }
  return drawing_style::ascii;
}

/// A digit to draw and the line below it.
struct picture {
  image pixels;
  std::string caption; ///< ASCII, so that its size is its width
};

/// The part of an image that has ink: at most 20 × 20 of MNIST's 28 × 28 pixels. Empty paper has width and
/// height 0.
struct ink_box {
  std::size_t top = image_side, left = image_side;
  std::size_t bottom = 0, right = 0; ///< past the last pixel

  explicit ink_box(const image& pixels) noexcept {
    for (std::size_t at = 0; at < pixel_count; ++at) {
      if (pixels[at] == 0.0f) continue;
      top = (std::min)(top, at / image_side);
      left = (std::min)(left, at % image_side);
      bottom = (std::max)(bottom, at / image_side + 1);
      right = (std::max)(right, at % image_side + 1);
    }
  }
  std::size_t width() const noexcept { return right > left ? right - left : 0; }
  std::size_t height() const noexcept { return bottom > top ? bottom - top : 0; }
};

/// The character for two pixels, one above the other: terminal cells are about twice as high as they are
/// wide.
inline std::string_view cell(float upper, float lower, drawing_style style) noexcept {
  if (style == drawing_style::ascii) {
    constexpr std::string_view ramp = " .:-=+*#%@";
    const float darkest = static_cast<float>(ramp.size() - 1);
    return ramp.substr(static_cast<std::size_t>((upper + lower) / 2.0f * darkest + 0.5f), 1);
  }
  constexpr float dark = 0.4f;
  constexpr std::array<std::string_view, 4> halves = {" ", "▀", "▄", "█"};
  const std::size_t half = (upper >= dark ? 1u : 0u) + (lower >= dark ? 2u : 0u);
  return half == 0 && upper + lower >= dark ? "░" : halves[half];
}

/// The pictures side by side as lines for the terminal, as many of them as fit into `columns`. Each digit
/// stands in the middle above its caption; no line ends in spaces.
inline std::string draw(std::span<const picture> pictures, drawing_style style, std::size_t columns = 80) {
  constexpr std::size_t margin = 2, gap = 3;
  struct place {
    const picture& shown;
    ink_box ink;
    std::size_t width;
  };
  std::vector<place> places;
  std::size_t used = margin, rows = 0;
  for (const picture& shown : pictures) {
    const ink_box ink(shown.pixels);
    const std::size_t width = (std::max)(ink.width(), shown.caption.size());
    if (used + width > columns) break;
    used += width + gap;
    rows = (std::max)(rows, (ink.height() + 1) / 2);
    places.push_back({shown, ink, width});
  }

  std::string text;
  const auto add_line = [&](auto&& content_width, auto&& add_content) {
    std::string line(margin, ' ');
    for (const place& each : places) {
      const std::size_t width = content_width(each), before = (each.width - width) / 2;
      line.append(before, ' ');
      add_content(each, line);
      line.append(each.width - width - before + gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  for (std::size_t row = 0; row < rows; ++row) {
    add_line([](const place& each) { return each.ink.width(); },
             [&](const place& each, std::string& line) {
               const std::size_t above = rows - (each.ink.height() + 1) / 2; // pixels, half of the free ones
               const auto pixel = [&](std::size_t y, std::size_t x) {
                 const bool inside = y >= above && y - above < each.ink.height();
                 return inside ? each.shown.pixels[(each.ink.top + y - above) * image_side + x] : 0.0f;
               };
               for (std::size_t x = each.ink.left; x < each.ink.right; ++x)
                 line += cell(pixel(2 * row, x), pixel(2 * row + 1, x), style);
             });
  }
  add_line([](const place& each) { return each.shown.caption.size(); },
           [](const place& each, std::string& line) { line += each.shown.caption; });
  return text;
}

} // namespace digits

#endif
