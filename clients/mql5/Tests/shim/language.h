// The part of the MQL5 language and its string, array and cryptography functions that the client uses, on C++17 and
// OpenSSL, for tests. It behaves as MetaQuotes' reference says, and where that is silent, in the way that finds mistakes:
// new array elements hold rubbish, an index out of range ends the program.
#pragma once
#include <openssl/evp.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#define __MQL5__ 1
#define DR_SHIM 1
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef long datetime;
typedef unsigned int color;

const int WHOLE_ARRAY = -1;
const uint CP_ACP = 0, CP_UTF8 = 65001;
enum ENUM_CRYPT_METHOD { CRYPT_BASE64, CRYPT_HASH_SHA256 };

inline int g_last_error = 0;
inline int GetLastError() { return g_last_error; }
inline void ResetLastError() { g_last_error = 0; }

// What the terminal calls a critical error: it ends the program.
[[noreturn]] inline void Critical(const char *what) {
  std::fprintf(stderr, "critical error: %s\n", what);
  std::abort();
}

// A dynamic array. MQL5 passes arrays by reference only.
template <class T> class Array {
  struct Cell { T value; };  // std::vector<bool> has no references
  std::vector<Cell> cells;

public:
  Array() {}
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;
  T &operator[](long index) {
    if (index < 0 || index >= (long)cells.size()) Critical("array out of range");
    return cells[index].value;
  }
  const T &operator[](long index) const { return const_cast<Array &>(*this)[index]; }
  int size() const { return (int)cells.size(); }
  void resize(int count) {
    int old = size();
    cells.resize(count);
    if constexpr (std::is_trivially_copyable_v<T>)
      for (int i = old; i < count; i++) std::memset(&cells[i].value, 0xA5, sizeof(T));
  }
  template <class I> void assign(I first, I last) {
    cells.clear();
    for (; first != last; ++first) cells.push_back(Cell{(T)*first});
  }
  std::string bytes() const {
    std::string out;
    out.reserve(cells.size());
    for (const Cell &cell : cells) out += (char)cell.value;
    return out;
  }
};
template <class T> int ArraySize(const Array<T> &a) { return a.size(); }
template <class T> int ArrayResize(Array<T> &a, int count, int = 0) {
  a.resize(count);
  return count;
}

// UTF-16. NULL is not "".
class string {
  std::u16string text;
  bool null = false;

public:
  string() : null(true) {}
  string(const char *utf8) {
    if (utf8) text = decode(utf8, std::strlen(utf8));
    else null = true;
  }
  string(const std::string &utf8) : text(decode(utf8.data(), utf8.size())) {}
  explicit string(const std::u16string &units) : text(units) {}
  static std::u16string decode(const char *bytes, size_t size) {
    std::u16string out;
    for (size_t i = 0; i < size;) {
      uchar first = bytes[i];
      int more = first < 0x80 ? 0 : first < 0xC2 ? -1 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : -1;
      if (more < 0 || i + more >= size) {
        out += u'\uFFFD';
        i++;
        continue;
      }
      uint code = more == 0 ? first : first & (0x3F >> more);
      for (int j = 1; j <= more; j++) code = code << 6 | (bytes[i + j] & 0x3F);
      i += more + 1;
      if (code >= 0x10000) {
        code -= 0x10000;
        out += (char16_t)(0xD800 + (code >> 10));
        out += (char16_t)(0xDC00 + (code & 0x3FF));
      } else {
        out += (char16_t)code;
      }
    }
    return out;
  }
  std::string utf8() const {
    std::string out;
    for (size_t i = 0; i < text.size(); i++) {
      uint c = text[i];
      if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size() && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000)
        c = 0x10000 + ((c - 0xD800) << 10) + (text[++i] - 0xDC00);
      if (c < 0x80) {
        out += (char)c;
      } else if (c < 0x800) {
        out += (char)(0xC0 | c >> 6);
        out += (char)(0x80 | (c & 63));
      } else if (c < 0x10000) {
        out += (char)(0xE0 | c >> 12);
        out += (char)(0x80 | (c >> 6 & 63));
        out += (char)(0x80 | (c & 63));
      } else {
        out += (char)(0xF0 | c >> 18);
        out += (char)(0x80 | (c >> 12 & 63));
        out += (char)(0x80 | (c >> 6 & 63));
        out += (char)(0x80 | (c & 63));
      }
    }
    return out;
  }
  std::u16string &units() { return text; }
  const std::u16string &units() const { return text; }
  string &operator+=(const string &other) {
    text += other.text;
    null = false;
    return *this;
  }
  friend string operator+(string a, const string &b) {
    a += b;
    return a;
  }
  friend bool operator==(const string &a, const string &b) { return a.text == b.text && a.null == b.null; }
  friend bool operator!=(const string &a, const string &b) { return !(a == b); }
};

inline int StringLen(const string &s) { return (int)s.units().size(); }
inline ushort StringGetCharacter(const string &s, int at) { return at >= 0 && at < StringLen(s) ? (ushort)s.units()[at] : 0; }
inline string ShortToString(ushort c) { return string(std::u16string(c == 0 ? 0 : 1, (char16_t)c)); }
inline int StringFind(const string &s, const string &what, int from = 0) {
  auto at = s.units().find(what.units(), from);
  return at == std::u16string::npos ? -1 : (int)at;
}
inline string StringSubstr(const string &s, int from, int count = -1) {
  if (from < 0 || from >= StringLen(s)) return string("");
  return string(s.units().substr(from, count < 0 ? std::u16string::npos : count));
}
inline int StringReplace(string &s, const string &what, const string &with) {
  int count = 0;
  for (size_t at = 0; (at = s.units().find(what.units(), at)) != std::u16string::npos; at += with.units().size(), count++)
    s.units().replace(at, what.units().size(), with.units());
  return count;
}
inline bool StringToLower(string &s) {
  for (auto &c : s.units()) if (c >= 'A' && c <= 'Z') c += 32;
  return true;
}
inline bool StringToUpper(string &s) {
  for (auto &c : s.units()) if (c >= 'a' && c <= 'z') c -= 32;
  return true;
}
inline bool IsShimSpace(char16_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
inline int StringTrimLeft(string &s) {
  int count = 0;
  while (count < StringLen(s) && IsShimSpace(s.units()[count])) count++;
  s.units().erase(0, count);
  return count;
}
inline int StringTrimRight(string &s) {
  int count = 0;
  for (; !s.units().empty() && IsShimSpace(s.units().back()); count++) s.units().pop_back();
  return count;
}
inline int StringSplit(const string &s, ushort separator, Array<string> &parts) {
  int count = 1;
  for (char16_t c : s.units()) if (c == separator) count++;
  if (s.units().empty()) count = 0;
  parts.resize(count);
  size_t from = 0;
  for (int i = 0; i < count; i++) {
    size_t to = s.units().find((char16_t)separator, from);
    parts[i] = string(s.units().substr(from, to == std::u16string::npos ? to : to - from));
    from = to + 1;
  }
  return count;
}
inline int StringCompare(const string &a, const string &b, bool = true) {
  int order = a.units().compare(b.units());
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}
inline string IntegerToString(long value) { return string(std::to_string(value)); }
inline long StringToInteger(const string &s) { return std::strtol(s.utf8().c_str(), nullptr, 10); }
inline double StringToDouble(const string &s) { return std::strtod(s.utf8().c_str(), nullptr); }
inline string DoubleToString(double value, int digits = 8) {
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return string(buffer);
}

// Copies the terminating zero too, unless a count is given; never shrinks the array.
template <class C> int StringToCharArray(const string &text, Array<C> &a, int start = 0, int count = -1, uint page = CP_ACP) {
  std::string bytes = text.utf8();
  if (page != CP_UTF8)
    for (char &c : bytes) if ((uchar)c >= 0x80) c = '?';
  int size = count < 0 ? (int)bytes.size() + 1 : std::min(count, (int)bytes.size());
  if (ArraySize(a) < start + size) ArrayResize(a, start + size);
  for (int i = 0; i < size; i++) a[start + i] = (C)bytes.c_str()[i];
  return size;
}
// Ends at the first zero byte.
template <class C> string CharArrayToString(const Array<C> &a, int start = 0, int count = -1, uint = CP_ACP) {
  std::string bytes;
  int end = count < 0 ? ArraySize(a) : std::min(start + count, ArraySize(a));
  for (int i = start; i < end && a[i] != 0; i++) bytes += (char)a[i];
  return string(bytes);
}

inline void ShimWrite(std::string &out, const string &value) { out += value.utf8(); }
inline void ShimWrite(std::string &out, const char *value) { out += value; }
inline void ShimWrite(std::string &out, bool value) { out += value ? "true" : "false"; }
template <class T> std::enable_if_t<std::is_arithmetic_v<T>> ShimWrite(std::string &out, T value) { out += std::to_string(value); }
template <class... A> std::string ShimJoin(const A &...values) {
  std::string out;
  (ShimWrite(out, values), ...);
  return out;
}
template <class... A> void Print(const A &...values) {
  std::printf("%s\n", ShimJoin(values...).c_str());
  std::fflush(stdout);
}
template <class... A> void Alert(const A &...values) { Print("Alert: ", string(ShimJoin(values...))); }

inline int CryptEncode(ENUM_CRYPT_METHOD method, const Array<uchar> &data, const Array<uchar> &, Array<uchar> &result) {
  if ((const void *)&data == (const void *)&result) Critical("CryptEncode with one array as input and output");
  std::string bytes = data.bytes();
  if (method == CRYPT_HASH_SHA256) {
    uchar digest[32];
    uint size = 0;
    EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
    result.assign(digest, digest + 32);
    return 32;
  }
  if (method == CRYPT_BASE64) {
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    int size = EVP_EncodeBlock((uchar *)text.data(), (const uchar *)bytes.data(), (int)bytes.size());
    result.assign(text.begin(), text.begin() + size);
    return size;
  }
  g_last_error = 4003;  // ERR_INVALID_PARAMETER
  return 0;
}
