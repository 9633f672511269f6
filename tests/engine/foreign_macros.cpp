// SPDX-License-Identifier: MIT
// Every header after the macros that take plain words from everybody: those of <windows.h>, Unreal's CoreMinimal.h and Apple's
// AssertMacros.h.

// What comes from elsewhere copes with the real ones, or has to be included before.
#include "standard_headers.hpp"

#if defined(_WIN32)
#include <windows.h>
#endif

#undef min
#undef max
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))

#if !defined(_WIN32)
// rpcndr.h, windef.h, objbase.h
#define small char
#define hyper __int64
#define near
#define far
#define pascal __stdcall
#define cdecl __cdecl
#define interface struct
#define IN
#define OUT
#define OPTIONAL
#define CONST const
#define VOID void
#define STRICT 1
// minwindef.h, winnt.h, wingdi.h, winerror.h, winuser.h
#define TRUE 1
#define FALSE 0
#define BOOL int
#define ERROR 0
#define NO_ERROR 0L
#define DELETE (0x00010000L)
#define READ_CONTROL (0x00020000L)
#define ABSOLUTE 1
#define RELATIVE 2
#define TRANSPARENT 1
#define OPAQUE 2
#define PASSTHROUGH 19
#define ERROR_SUCCESS 0L
#define IGNORE 0
#define INFINITE 0xFFFFFFFF
#define DOMAIN 1
#define OVERFLOW 3
#define UNDERFLOW 4
#define REG_NONE 0
#define MB_OK 0
#define Yield()
#define MemoryBarrier __faststorefence
// Functions in two widths.
#define GetObject GetObjectW
#define GetMessage GetMessageW
#define GetClassName GetClassNameW
#define GetCurrentTime() GetTickCount()
#define GetTempPath GetTempPathW
#define GetFullPathName GetFullPathNameW
#define CreateFile CreateFileW
#define CreateFileMapping CreateFileMappingW
#define CreateDirectory CreateDirectoryW
#define CreateWindow CreateWindowW
#define CreateEvent CreateEventW
#define CreateMutex CreateMutexW
#define CopyFile CopyFileW
#define MoveFile MoveFileW
#define MoveFileEx MoveFileExW
#define DeleteFile DeleteFileW
#define ReplaceFile ReplaceFileW
#define FindFirstFile FindFirstFileW
#define FindNextFile FindNextFileW
#define LoadLibrary LoadLibraryW
#define LoadImage LoadImageW
#define SendMessage SendMessageW
#define DrawText DrawTextW
#define FindText FindTextW
#define ReportEvent ReportEventW
#define SetPort SetPortW
#define StartDoc StartDocW
#define AddJob AddJobW
#define GetProp GetPropW
#define StrDup StrDupW
#endif

// Unreal: Misc/AssertionMacros.h, Misc/Build.h, CoreMacros.h. Any use is an error, even one with the right number of arguments.
#define STET_TEST_TAKEN(...) (this_word_is_a_macro_elsewhere(#__VA_ARGS__))
#define check(expr) STET_TEST_TAKEN(expr)
#define checkf(expr, format, ...) STET_TEST_TAKEN(expr)
#define checkSlow(expr) STET_TEST_TAKEN(expr)
#define checkCode(code) STET_TEST_TAKEN(code)
#define checkNoEntry() STET_TEST_TAKEN()
#define verify(expr) STET_TEST_TAKEN(expr)
#define verifyf(expr, format, ...) STET_TEST_TAKEN(expr)
#define verifySlow(expr) STET_TEST_TAKEN(expr)
#define ensure(expr) STET_TEST_TAKEN(expr)
#define ensureMsgf(expr, format, ...) STET_TEST_TAKEN(expr)
#define ensureAlways(expr) STET_TEST_TAKEN(expr)
#define unimplemented() STET_TEST_TAKEN()
#define TEXT(x) L##x
#define PI (3.1415926535897932f)
#define MAX_FLT (3.402823466e+38F)
#define PURE_VIRTUAL(func, ...) STET_TEST_TAKEN(func)
#define LOCTEXT(key, text) STET_TEST_TAKEN(key)
#define UE_LOG(category, verbosity, format, ...) STET_TEST_TAKEN(category)
// Apple: the names without prefix of AssertMacros.h that Unreal has not.
#define check_noerr(error) STET_TEST_TAKEN(error)
#define check_string(assertion, message) STET_TEST_TAKEN(assertion)
#define verify_noerr(error) STET_TEST_TAKEN(error)
#define verify_string(assertion, message) STET_TEST_TAKEN(assertion)
#define verify_action(assertion, action) STET_TEST_TAKEN(assertion)
#define require(assertion, label) STET_TEST_TAKEN(assertion)
#define require_noerr(error, label) STET_TEST_TAKEN(error)
#define require_action(assertion, label, action) STET_TEST_TAKEN(assertion)
#define require_string(assertion, label, message) STET_TEST_TAKEN(assertion)
#define nrequire(assertion, label) STET_TEST_TAKEN(assertion)
#define ncheck(assertion) STET_TEST_TAKEN(assertion)
#define nverify(assertion) STET_TEST_TAKEN(assertion)
#define debug_string(message) STET_TEST_TAKEN(message)

#include "all_headers.hpp"

// Templates are read in full only where they are used.
int use_templates();
int use_templates() {
  float values[4] = {1, 2, 3, 4};
  stet::writer out;
  out.add("values", values, {4});
  const auto file = out.save_to_memory();
  if (!file) return 1;
  const auto store = stet::open(std::span<const std::byte>(*file));
  if (!store) return 1;
  stet::variable_list variables;
  (void)variables.add("values", values, {4});
  return stet::restore(*store, variables) && store->view<float, 4>("values") && stet::open_any("none") ? 0 : 1;
}
