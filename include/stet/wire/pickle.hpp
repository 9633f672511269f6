// SPDX-License-Identifier: MIT
// Reads Python pickles as data: no name is looked up, nothing is called, nothing is imported.
#ifndef STET_WIRE_PICKLE_HPP
#define STET_WIRE_PICKLE_HPP

#include "pickle/machine.hpp"

// A pickle is a program for a machine with a stack, a memo of numbered values, and marks on the stack:
//
//   N None   88/89 True/False   K J M I integer   8a 8b L long integer   G F float   X 8c 8d V text
//   U T S text of Python 2   B C 8e 96 bytes   ( mark   t ) 85 86 87 tuple   ] l list, a e append
//   } d dict, s u set items   8f 91 set, frozenset, 90 add   c 93 global (module, name)
//   R call of a global with a tuple   i o 81 92 object of a class   b state of the object below
//   Q P persistent id   q r p 94 put into the memo   h j g get from it   0 1 2 drop, drop to the mark, copy
//   80 version   95 frame   . stop
//
// For Python, R, i, o, 81, 92 and b run code of the program's choice. Here each makes a plain value that keeps the name and the
// arguments. What names mean is for the caller.
//
// Source: github.com/python/cpython, Lib/pickle.py and Lib/pickletools.py; PEP 307, 3154, 574.

#endif
