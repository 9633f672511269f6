# SPDX-License-Identifier: MIT
# Prepares a header for Doxygen (reference.cmake). Lines stay lines, so that warnings have the right line number.
# Users write stet::store: the inline namespace is left out.
s/stet::inline STET_NAMESPACE/stet/
# Special member functions that the compiler makes are no declarations of their own.
s/^ .*) *\(const \)\?\(noexcept\)\? = \(default\|delete\);//
# Moving and the members of iterators mean the same everywhere.
s/^ *\(constexpr \)\?\([a-z_]*\)(\2&& other) noexcept/\/** Takes over what `other` holds. *\/ &/
s/^ *\(constexpr \)\?\([a-z_]*\)& operator=(\2&& other) noexcept/\/** Takes over what `other` holds. *\/ &/
s/^ *using \(value_type\|difference_type\|element_type\) = .*/\/** As in the standard library. *\/ &/
# Cost, lifetime, threads, source and further errors are paragraphs of their own.
s/^\( *\/\/\/ \)\(Cost\|Errors\|Lifetime\|Threads\|Source\): /\1@par \2 \\ilinebr /
s/^\( *\/\/\/ \)or an error of /\1@par Further errors \\ilinebr Those of /
