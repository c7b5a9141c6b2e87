// The terminal: its clock, files, WebRequest, account and broker, for tests. A test steers it by environment variables and
// by lines on standard input (see Obey). kill -9 can strike at any point at which something outside the program changes.
#pragma once
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <memory>

#include "language.h"

inline std::string ShimVariable(const char *name, const char *otherwise = "") {
  const char *value = std::getenv(name);
  return value ? value : otherwise;
}

// --- what a test changes while the program runs

struct ShimWorld {
  long clock = std::atol(ShimVariable("SHIM_CLOCK_OFFSET", "0").c_str());
  std::string allowed = ShimVariable("SHIM_ALLOWED_URL");
  bool status1001 = ShimVariable("SHIM_STATUS_1001") != "";
  bool tester = ShimVariable("SHIM_TESTER") != "";
  bool connected = true;
  bool full = false;    // the disk
  bool rejects = false; // the broker
  long login = std::atol(ShimVariable("SHIM_LOGIN", "5012345").c_str());
  std::string server = ShimVariable("SHIM_SERVER", "MetaQuotes-Demo");
  bool stopped = false;
  int reason = 0;
  std::string comment;
  long timer = 0;
  long requests = 0;
  long requestMicroseconds = 0;
};
inline ShimWorld g_world;

inline void Obey(const std::string &line) {
  std::string word = line.substr(0, line.find(' ')), rest = line.size() > word.size() ? line.substr(word.size() + 1) : "";
  if (word == "clock") g_world.clock = std::atol(rest.c_str());
  else if (word == "allow") g_world.allowed = rest;
  else if (word == "status1001") g_world.status1001 = rest == "1";
  else if (word == "connected") g_world.connected = rest == "1";
  else if (word == "full") g_world.full = rest == "1";
  else if (word == "rejects") g_world.rejects = rest == "1";
  else if (word == "login") g_world.login = std::atol(rest.c_str());
  else if (word == "stop") { g_world.stopped = true; g_world.reason = std::atoi(rest.c_str()); }
  else Critical(("the test said: " + line).c_str());
}
// Waits for commands.
inline void ShimListen(long milliseconds) {
  static std::string pending;
  static bool ended = false;
  pollfd in{0, POLLIN, 0};
  if (ended) { usleep(milliseconds * 1000); return; }
  if (::poll(&in, 1, (int)milliseconds) <= 0) return;
  char buffer[4096];
  ssize_t size = read(0, buffer, sizeof buffer);
  if (size <= 0) { ended = true; return; }
  pending.append(buffer, size);
  for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) Obey(pending.substr(0, end));
}

// --- kill -9

inline long g_points = 0;
inline bool ShimDies() {
  static long at = std::atol(ShimVariable("SHIM_KILL_AT", "0").c_str());
  return ++g_points == at;
}
inline void KillPoint() {
  if (ShimDies()) raise(SIGKILL);
}

// --- inputs

template <class T> T ShimInput(const char *name, T otherwise) {
  const char *value = std::getenv((std::string("INPUT_") + name).c_str());
  if (!value) return otherwise;
  if constexpr (std::is_same_v<T, string>) return string(value);
  else if constexpr (std::is_same_v<T, bool>) return !std::strcmp(value, "true");
  else if constexpr (std::is_floating_point_v<T>) return std::atof(value);
  else return (T)std::atol(value);
}

// --- clocks

inline ulong GetMicrosecondCount() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline ulong GetTickCount64() { return GetMicrosecondCount() / 1000; }
inline datetime TimeGMT() { return std::time(nullptr) + g_world.clock; }
inline datetime TimeLocal() { return TimeGMT(); }
inline void Sleep(long milliseconds) { ShimListen(milliseconds); }
inline bool IsStopped() { return g_world.stopped; }

// --- program, terminal, account

enum { TERMINAL_CONNECTED, TERMINAL_BUILD, TERMINAL_NAME, TERMINAL_DATA_PATH, TERMINAL_CPU_NAME, TERMINAL_MEMORY_PHYSICAL };
enum { MQL_TESTER, MQL_PROGRAM_NAME };
enum { ACCOUNT_LOGIN, ACCOUNT_SERVER, ACCOUNT_TRADE_MODE };
enum ENUM_ACCOUNT_TRADE_MODE { ACCOUNT_TRADE_MODE_DEMO, ACCOUNT_TRADE_MODE_CONTEST, ACCOUNT_TRADE_MODE_REAL };
enum { REASON_PROGRAM, REASON_REMOVE, REASON_RECOMPILE, REASON_CHARTCHANGE, REASON_CHARTCLOSE, REASON_PARAMETERS,
  REASON_ACCOUNT, REASON_TEMPLATE, REASON_INITFAILED, REASON_CLOSE };
enum { INIT_SUCCEEDED = 0, INIT_FAILED = 1, INIT_PARAMETERS_INCORRECT = 2 };

inline long TerminalInfoInteger(int what) {
  return what == TERMINAL_CONNECTED ? g_world.connected : what == TERMINAL_BUILD ? 5200 : 16384;
}
inline string TerminalInfoString(int what) {
  if (what == TERMINAL_NAME) return "MetaTrader 5";
  return string("C:\\Users\\trader\\" + ShimVariable("SHIM_TERMINAL", "one") + (what == TERMINAL_CPU_NAME ? " cpu" : ""));
}
inline long MQLInfoInteger(int) { return g_world.tester; }
inline string MQLInfoString(int) { return "DeviceRegistryDemo"; }
inline long AccountInfoInteger(int what) { return what == ACCOUNT_LOGIN ? g_world.login : (long)ACCOUNT_TRADE_MODE_DEMO; }
inline string AccountInfoString(int) { return string(g_world.server); }
inline long ChartID() { return 131; }
inline const string _Symbol("EURUSD");
inline string Symbol() { return _Symbol; }
inline void Comment(const string &text) {
  if (text.utf8() == g_world.comment) return;
  g_world.comment = text.utf8();
  Print("Comment: ", text);
}
inline bool EventSetTimer(int seconds) { g_world.timer = seconds * 1000L; return true; }
inline bool EventSetMillisecondTimer(int milliseconds) { g_world.timer = milliseconds; return true; }
inline void EventKillTimer() { g_world.timer = 0; }

// --- temporary global variables: they last as long as the terminal, which may outlive the program. SHIM_SESSION names the
// folder of one run of the terminal.

inline std::string ShimGlobalFile(const string &name) { return ShimVariable("SHIM_SESSION", "/nonexistent") + "/" + name.utf8(); }
inline std::map<std::string, double> g_globals;
inline bool GlobalVariableCheck(const string &name) {
  return g_globals.count(name.utf8()) || access(ShimGlobalFile(name).c_str(), F_OK) == 0;
}
inline bool GlobalVariableTemp(const string &) { return true; }
inline datetime GlobalVariableSet(const string &name, double value) {
  g_globals[name.utf8()] = value;
  if (FILE *file = std::fopen(ShimGlobalFile(name).c_str(), "w")) {
    std::fprintf(file, "%.17g", value);
    std::fclose(file);
  }
  return TimeLocal();
}
inline double GlobalVariableGet(const string &name) {
  if (g_globals.count(name.utf8())) return g_globals[name.utf8()];
  double value = 0;
  if (FILE *file = std::fopen(ShimGlobalFile(name).c_str(), "r")) {
    if (std::fscanf(file, "%lf", &value) != 1) value = 0;
    std::fclose(file);
  }
  return value;
}

// --- files of the common folder, SHIM_COMMON. Writes reach the disk with FileFlush and FileClose.

const int INVALID_HANDLE = -1;
enum { FILE_READ = 1, FILE_WRITE = 2, FILE_BIN = 4, FILE_COMMON = 4096, FILE_SHARE_READ = 128, FILE_SHARE_WRITE = 256,
  FILE_REWRITE = 512 };
enum ENUM_FILE_POSITION { SEEK_BEGIN = 0, SEEK_CURRENT = 1, SEEK_THE_END = 2 };

struct ShimFile {
  int descriptor;
  std::string path, unwritten;
  bool isWritable;
};
inline std::map<int, ShimFile> g_files;
inline std::string ShimPath(const string &name) {
  std::string path = name.utf8();
  for (char &c : path) if (c == '\\') c = '/';
  return ShimVariable("SHIM_COMMON", "/nonexistent") + "/" + path;
}
inline int FileOpen(const string &name, int flags) {
  if (!(flags & FILE_COMMON) || !(flags & FILE_BIN)) Critical("only binary files of the common folder");
  std::string path = ShimPath(name);
  bool writes = flags & FILE_WRITE;
  if (writes) mkdir(path.substr(0, path.rfind('/')).c_str(), 0700);
  int mode = !writes ? O_RDONLY : flags & FILE_READ ? O_RDWR | O_CREAT : O_WRONLY | O_CREAT | O_TRUNC;
  if (writes && g_world.full && access(path.c_str(), F_OK) != 0) { g_last_error = 5004; return INVALID_HANDLE; }
  if (writes) KillPoint();
  int descriptor = open(path.c_str(), mode | O_CLOEXEC, 0600);
  bool shared = flags & (FILE_SHARE_READ | FILE_SHARE_WRITE);
  if (descriptor >= 0 && !shared && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    descriptor = -1;
  }
  if (descriptor < 0) { g_last_error = 5004; return INVALID_HANDLE; }
  static int last = 0;
  g_files[++last] = ShimFile{descriptor, path, "", writes};
  return last;
}
inline ShimFile &ShimOpened(int handle) {
  if (!g_files.count(handle)) Critical("a file that is not open");
  return g_files[handle];
}
inline void FileFlush(int handle) {
  ShimFile &file = ShimOpened(handle);
  if (file.unwritten.empty()) return;
  if (g_world.full) { g_last_error = 5026; file.unwritten.clear(); return; }
  KillPoint();
  if (ShimDies()) {  // after a part of it
    if (write(file.descriptor, file.unwritten.data(), file.unwritten.size() / 2) < 0) Critical("write");
    raise(SIGKILL);
  }
  if (write(file.descriptor, file.unwritten.data(), file.unwritten.size()) != (ssize_t)file.unwritten.size()) Critical("write");
  file.unwritten.clear();
  KillPoint();
}
inline void FileClose(int handle) {
  FileFlush(handle);
  close(ShimOpened(handle).descriptor);
  g_files.erase(handle);
}
inline ulong FileSize(int handle) {
  struct stat status;
  fstat(ShimOpened(handle).descriptor, &status);
  return status.st_size;
}
inline bool FileSeek(int handle, long offset, ENUM_FILE_POSITION origin) {
  return lseek(ShimOpened(handle).descriptor, offset, origin == SEEK_BEGIN ? SEEK_SET : origin == SEEK_CURRENT ? 1 : 2) >= 0;
}
#undef SEEK_END
#define SEEK_END SEEK_THE_END
inline uint FileReadArray(int handle, Array<uchar> &a, int start, int count) {
  std::vector<uchar> bytes(count);
  ssize_t size = read(ShimOpened(handle).descriptor, bytes.data(), count);
  if (start != 0 || size < 0) return 0;
  a.assign(bytes.begin(), bytes.begin() + size);
  return (uint)size;
}
inline uint FileWriteArray(int handle, const Array<uchar> &a, int start, int count) {
  ShimFile &file = ShimOpened(handle);
  if (start != 0 || count != ArraySize(a) || !file.isWritable) Critical("FileWriteArray");
  file.unwritten += a.bytes();
  return (uint)count;
}
inline bool FileIsExist(const string &name, int) { return access(ShimPath(name).c_str(), F_OK) == 0; }
inline bool FileDelete(const string &name, int) { return unlink(ShimPath(name).c_str()) == 0; }
// Not in one step, and never over an open file: that is the most that Windows promises.
inline bool FileMove(const string &from, int, const string &to, int flags) {
  std::string target = ShimPath(to);
  for (auto &file : g_files) if (file.second.path == target) { g_last_error = 5004; return false; }
  if (access(target.c_str(), F_OK) == 0 && !(flags & FILE_REWRITE)) { g_last_error = 5019; return false; }
  if (g_world.full) { g_last_error = 5026; return false; }
  KillPoint();
  unlink(target.c_str());
  KillPoint();
  bool moved = rename(ShimPath(from).c_str(), target.c_str()) == 0;
  KillPoint();
  return moved;
}

// --- WebRequest on libcurl, with the terminal's own fields, redirects and errors

inline int WebRequest(const string &method, const string &url, const string &headers, int timeout, const Array<char> &data,
    Array<char> &result, string &response) {
  struct Clock {
    ulong start = GetMicrosecondCount();
    ~Clock() { g_world.requests++; g_world.requestMicroseconds += GetMicrosecondCount() - start; }
  } clock;
  std::string address = url.utf8(), verb = method.utf8(), lines = headers.utf8(), body = data.bytes(), content, head;
  size_t path = address.find('/', 8);
  if (g_world.allowed != address.substr(0, path)) { g_last_error = 4014; return -1; }
  if (address.size() > 1024) { g_last_error = 5200; return -1; }
  for (char c : lines) if ((c < ' ' && c != '\r' && c != '\n') || c == 127) Critical("a control character in a header");
  KillPoint();
  static CURL *curl = curl_easy_init();
  curl_easy_reset(curl);
  curl_slist *list = nullptr;
  bool typed = false;
  for (size_t at = 0; at < lines.size();) {
    size_t end = lines.find("\r\n", at);
    if (end == std::string::npos) end = lines.size();
    std::string line = lines.substr(at, end - at);
    at = end + 2;
    if (line.empty()) continue;
    typed = typed || !strncasecmp(line.c_str(), "content-type:", 13);
    list = curl_slist_append(list, line.c_str());
  }
  for (const char *line : {"Accept-Language: en", "Expect:"}) list = curl_slist_append(list, line);
  if (!typed && !body.empty()) list = curl_slist_append(list, "Content-Type: application/x-www-form-urlencoded");
  auto write = +[](char *bytes, size_t, size_t size, void *to) -> size_t { ((std::string *)to)->append(bytes, size); return size; };
  auto header = +[](char *bytes, size_t, size_t size, void *to) -> size_t {
    std::string line(bytes, size), &text = *(std::string *)to;
    if (!line.compare(0, 5, "HTTP/")) text.clear();
    else if (line != "\r\n") text += line;
    return size;
  };
  curl_easy_setopt(curl, CURLOPT_URL, address.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, verb.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "MetaTrader 5 Terminal/5.5200 (Windows NT 10.0; Win64; x64)");
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  if (!body.empty()) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.size());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &content);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
  CURLcode code = curl_easy_perform(curl);
  long status = -1;
  if (code == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_slist_free_all(list);
  KillPoint();
  if (g_world.status1001) { g_last_error = 5203; return 1001; }
  if (code != CURLE_OK) {
    g_last_error = code == CURLE_OPERATION_TIMEDOUT ? 5202 : code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ? 5201 : 5203;
    return -1;
  }
  result.assign(content.begin(), content.end());
  response = string(head);
  return (int)status;
}

// --- the broker: a file with one line for each order, SHIM_BROKER. Every second order is still a position, the others are
// in the history alone.

enum { POSITION_MAGIC, POSITION_COMMENT, POSITION_IDENTIFIER, POSITION_SYMBOL };
enum { ORDER_MAGIC, ORDER_COMMENT, ORDER_STATE };
enum { DEAL_MAGIC, DEAL_COMMENT, DEAL_ORDER };
enum ENUM_ORDER_STATE { ORDER_STATE_FILLED, ORDER_STATE_REJECTED };
struct ShimOrder { long ticket, magic; std::string comment, symbol; };
inline std::vector<ShimOrder> ShimOrders(bool positions) {
  std::vector<ShimOrder> orders;
  if (FILE *file = std::fopen(ShimVariable("SHIM_BROKER", "/nonexistent").c_str(), "r")) {
    char comment[64], symbol[64];
    long ticket, magic;
    while (std::fscanf(file, "%ld %ld %63s %63s%*[^\n]", &ticket, &magic, comment, symbol) == 4)
      if ((ticket % 2 == 0) == positions) orders.push_back(ShimOrder{ticket, magic, comment, symbol});
    std::fclose(file);
  }
  return orders;
}
inline std::vector<ShimOrder> g_positions, g_history;
inline ShimOrder g_selected;
inline int PositionsTotal() { g_positions = ShimOrders(true); return (int)g_positions.size(); }
inline ulong PositionGetTicket(int index) { g_selected = g_positions[index]; return g_selected.ticket; }
inline long PositionGetInteger(int what) { return what == POSITION_MAGIC ? g_selected.magic : g_selected.ticket; }
inline string PositionGetString(int what) { return string(what == POSITION_SYMBOL ? g_selected.symbol : g_selected.comment); }
inline int OrdersTotal() { return 0; }
inline ulong OrderGetTicket(int) { return 0; }
inline long OrderGetInteger(int) { return 0; }
inline string OrderGetString(int) { return ""; }
inline bool HistorySelect(datetime, datetime) { g_history = ShimOrders(false); return true; }
inline int HistoryOrdersTotal() { return 0; }
inline ulong HistoryOrderGetTicket(int) { return 0; }
inline long HistoryOrderGetInteger(ulong, int) { return 0; }
inline string HistoryOrderGetString(ulong, int) { return ""; }
inline int HistoryDealsTotal() { return (int)g_history.size(); }
inline ulong HistoryDealGetTicket(int index) { return index + 1; }
inline long HistoryDealGetInteger(ulong deal, int what) { const ShimOrder &o = g_history[deal - 1]; return what == DEAL_MAGIC ? o.magic : o.ticket; }
inline string HistoryDealGetString(ulong deal, int) { return string(g_history[deal - 1].comment); }

// --- the program's run

template <class Init, class Timer, class End> int ShimRunExpert(Init init, Timer timer, End end) {
  int code = init();
  std::printf("OnInit: %d\n", code);
  std::fflush(stdout);
  if (code != INIT_SUCCEEDED) return code;
  ulong own = 0;
  long polls = 0;
  while (!g_world.stopped) {
    ShimListen(g_world.timer > 0 ? g_world.timer : 1000);
    if (g_world.stopped) break;
    long requests = g_world.requests, spent = g_world.requestMicroseconds;
    ulong start = GetMicrosecondCount();
    timer();
    if (g_world.requests > requests) {
      own += GetMicrosecondCount() - start - (g_world.requestMicroseconds - spent);
      polls++;
    }
  }
  end(g_world.reason);
  std::printf("OnTimer: %.3f ms beside WebRequest, in %ld events with a request\n", polls ? own / 1000.0 / polls : 0, polls);
  return 0;
}
