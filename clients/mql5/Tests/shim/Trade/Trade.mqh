// The methods of CTrade that the demo uses. An order that is placed is a line in the file SHIM_BROKER.
#pragma once
enum { TRADE_RETCODE_PLACED = 10008, TRADE_RETCODE_DONE = 10009, TRADE_RETCODE_DONE_PARTIAL = 10010, TRADE_RETCODE_TIMEOUT = 10012,
  TRADE_RETCODE_CONNECTION = 10031, TRADE_RETCODE_NO_MONEY = 10019 };
class CTrade {
  ulong magic = 0, order = 0;
  uint code = 0;
  bool place(const char *side, double volume, const string &symbol, const string &comment) {
    if (g_world.rejects) { code = TRADE_RETCODE_NO_MONEY; order = 0; return false; }
    KillPoint();
    std::string path = ShimVariable("SHIM_BROKER", "/nonexistent");
    int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0600);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) Critical("SHIM_BROKER");
    order = 1 + ShimOrders(true).size() + ShimOrders(false).size();
    std::string line = ShimJoin((long)order, " ", (long)magic, " ", comment, " ", symbol, " ", side, " ", volume, "\n");
    if (write(descriptor, line.data(), line.size()) != (ssize_t)line.size()) Critical("write");
    close(descriptor);
    code = TRADE_RETCODE_DONE;
    KillPoint();
    if (std::to_string(order) == ShimVariable("SHIM_KILL_ORDER")) raise(SIGKILL);
    return true;
  }
public:
  void SetExpertMagicNumber(ulong value) { magic = value; }
  bool Buy(double volume, const string &symbol, double, double, double, const string &comment) { return place("buy", volume, symbol, comment); }
  bool Sell(double volume, const string &symbol, double, double, double, const string &comment) { return place("sell", volume, symbol, comment); }
  bool PositionClose(ulong ticket) { order = ticket; code = TRADE_RETCODE_DONE; return true; }
  uint ResultRetcode() const { return code; }
  ulong ResultOrder() const { return order; }
  string ResultRetcodeDescription() const { return code == TRADE_RETCODE_NO_MONEY ? "not enough money \xC3\xA4\xE2\x82\xAC" : "done"; }
};
