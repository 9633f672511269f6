# SPDX-License-Identifier: MIT
# Makes remote.html of index.html, the page that opens URLs: cmake -D FROM=index.html -D TO=remote.html -P remote_page.cmake
# It differs in its policy, which allows connections, and in what it promises.
cmake_minimum_required(VERSION 3.25)
file(READ "${FROM}" text)
foreach(change IN ITEMS
    "<html lang=\"en\">|<html lang=\"en\" data-connects>"
    "no connection of any kind. -->|connections to the servers of URLs. -->"
    "default-src 'none'@|default-src 'none'@ connect-src https: http:@"
    "This page reads only the parts that you look at, sends nothing, and its policy forbids it every connection.|This page reads only the parts that you look at. Of a model at a URL it asks the URL's server for those, and connects to nothing else."
    "Nothing leaves this computer.|Only the server of the URL is asked.")
  string(REPLACE "@" ";" change "${change}")
  string(FIND "${change}" "|" at)
  math(EXPR behind "${at} + 1")
  string(SUBSTRING "${change}" 0 ${at} before)
  string(SUBSTRING "${change}" ${behind} -1 after)
  string(FIND "${text}" "${before}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${FROM} does not contain: ${before}")
  endif()
  string(REPLACE "${before}" "${after}" text "${text}")
endforeach()
file(WRITE "${TO}" "${text}")
