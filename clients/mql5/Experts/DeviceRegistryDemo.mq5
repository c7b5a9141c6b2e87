//+------------------------------------------------------------------+
//|                                           DeviceRegistryDemo.mq5 |
//|  Trades the signals that the device registry sends to this       |
//|  device. For demo accounts: copy it, and write your own rules.   |
//+------------------------------------------------------------------+
#property copyright "Apache License 2.0"
#property version   "1.00"
#property description "Trades the signals of a device registry. For demo accounts."
#property strict

#include <DeviceRegistry/DeviceRegistry.mqh>
#include <DeviceRegistry/Trader.mqh>

input string InpUrl="https://registry.example.com"; // Address of the registry
input string InpCode="";                            // Enrolment code (or the secret of the device below)
input string InpDevice="";                          // Id of the device; needed with a secret only
input long   InpMagic=20261129;                     // Magic number of the orders
input double InpMaxVolume=0.1;                      // Largest volume of one order, in lots
input int    InpGrace=900;                          // Seconds of silence after which nothing is opened
input bool   InpTakeOver=false;                     // Take the device over from another terminal when it starts
input int    InpTimer=500;                          // Milliseconds between timer events
input int    InpReconcile=10000;                    // Milliseconds to wait for the account's history after a restart

CDeviceRegistry registry;
CSignalTrader   trader;
//+------------------------------------------------------------------+
//| A missing address in the terminal's list, a wrong clock or a     |
//| registry that is down are no reasons to fail: OnTimer tries again|
//+------------------------------------------------------------------+
int OnInit(void)
  {
   trader.Init(InpMagic,InpMaxVolume);
   registry.Grace(InpGrace);
   registry.ReconcileWait(InpReconcile);
   registry.Program("DeviceRegistryDemo","1.00",Symbol());
   if(!registry.Init(InpUrl,InpDevice,InpCode,InpMagic))
     {
      Alert(registry.StatusText());
      return(INIT_PARAMETERS_INCORRECT);
     }
   if(InpTakeOver)
      registry.TakeOver();
   EventSetMillisecondTimer(InpTimer);
   return(INIT_SUCCEEDED);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnDeinit(const int reason)
  {
   EventKillTimer();
   registry.Deinit(reason);
   Comment("");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTimer(void)
  {
   registry.OnTimer();
   trader.Trade(registry);
   Comment("Device registry: "+registry.StatusText()+(registry.CanOpen() ? "" : " - opens nothing"));
  }
//+------------------------------------------------------------------+
