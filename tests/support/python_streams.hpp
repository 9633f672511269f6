// SPDX-License-Identifier: MIT
// The same bytes as Python's zipfile compresses them by its methods 12 (bzip2) and 14 (LZMA).
#ifndef STET_TESTS_SUPPORT_PYTHON_STREAMS_HPP
#define STET_TESTS_SUPPORT_PYTHON_STREAMS_HPP

#include <string>
#include <string_view>

namespace stet_test {

/// Runs of all lengths, all bytes, and a text that repeats:
/// b"".join(bytes([i % 7]) * i for i in range(60)) + bytes(range(256)) * 2 + b"abcabcabcabcabc" * 30
inline std::string python_text() {
  std::string made;
  for (int i = 0; i < 60; ++i) made.append(static_cast<std::size_t>(i), static_cast<char>(i % 7));
  for (int i = 0; i < 512; ++i) made.push_back(static_cast<char>(i));
  for (int i = 0; i < 150; ++i) made.append("abc");
  return made;
}

inline std::string text_of_hex(std::string_view digits) {
  const auto value = [](char each) { return each <= '9' ? each - '0' : each - 'a' + 10; };
  std::string made;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    made.push_back(static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1])));
  return made;
}

inline constexpr std::string_view python_bzip2 =
    "425a68393141592653592d0cb9ab00001dffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc001f810"
    "005554a000000009800098000130980000026000000004c000000000000000000013000000980004980026000260000000000000000000"
    "00000000000000000000000000000000000000d44a81e9a6ff555078a64687a81e899a9e6a9e6868d50000000000000000000000000000"
    "0000000000000000000000498002600026000000000000000000000000000000000000000000000000000000002911298b711aedfb2000"
    "85fe50a5082d658e1cba7abb7000b1b30a4525088b319317320abf86e000cd28012120068d2671b20f1f4162225e100242400d9a2428de"
    "3e6eabe810990421904a10d62521b3b55ead01786c8210cc25086ad121b3f81057850d86410866128444a428d428cc366017c229d09539"
    "0d1c032d05b82c02b02ec19b033405c03180b00bf05505d031c0cd419902c030017a0bc05d031e0c702c030415817a0aa0bc05d82c02b8"
    "30017e0ac0ac0ac0b00c20570570c09c89e27a9f27ea0282a1286a23fa5154651d487f6a4a94a5a98a6a9ca7aa0a8aa4a9aa8aaaacabab"
    "0acab4adab8aeabcafac0afc040402c1617f820402c4204020eb1ac8b2accb3ad0b4ad4b5ad8b6adcb7ae0b8ae4b9ae8baaecbbaf0bcaf"
    "4bdaf8beafcbfb00c0b04c1bfd6118561987621896298b6318d6398f64191649936519565997661996699b6719d6799f681a1689a3691a"
    "5699a76a1a96a9ab6b1ad6b9af6c1b16c9b36d1b56d9b76e1b96e9bb6f1bd6f9bf701c1709c3711c5719c7721c9729cb731cd739cf741d"
    "1749d3751ff3aaeb3aeec3b2ed3b6ee3baef3bef03c2f13c6f23caf33cef43d2f53d6f63ff7b5ee7bdf07c5f27cdf47d5f67ddf87e5fa7"
    "ec5dc914e14240b432e6ac";

inline constexpr std::string_view python_lzma =
    "090405005d00008000000080d4b4b62eae10436d43e27033f8c427c3a09e3f46999f4656beb8baa9c4a3ab89a4d6a9c9c2c9b0ec1f4d5e"
    "cf4dd0f9fbc93ba496d8484f90f629b5c81ddbee50101c60e27ba6334ad3212325bfde4e6555d063d3fbe49c40f6d548361a4290240244"
    "41914dfe5b8686fcdf7cc7c0dbb3fe9f07ac77e167b8776582fa2c80a2eb04e10013e472bdd24645e6956f196a39829206d90f2ac14312"
    "99da65b2c6fde4a95d7c4da40fdc59723c756fd11ec392c3968d2627c4a0201052146bc868a45c01f96ad3c8adf13a901c4fe5aae09c4c"
    "ead4ab01a4a77bab667f53d9b7e4f8345450dc485b98ca4a0f46b8b6099ceb2c4f95d404ffd960a39df2e81081b53194c2c41995b15f7b"
    "dc68694deec318f6381c61b5be9cc20411ba23f366701aaa10f58eb42ab16afc9401970c38ac0297e05ccf1048ed660e04d81b4df39f25"
    "3d8efd299ffb892c2be176b5a9b8462b8310f59743af1834b939e4d33e7f7482fbe80d637bc951ae7824cf673e6e168f46e25287ca0663"
    "7ffe63848a";

} // namespace stet_test

#endif
