//+------------------------------------------------------------------+
//|                                        DeviceRegistryService.mq5 |
//|  The demo as a service (MetaTrader 5): it has its own thread, so |
//|  it can wait for a signal in a long poll and trade it within     |
//|  milliseconds. A service starts with the terminal, without a     |
//|  chart.                                                          |
//+------------------------------------------------------------------+
#property service
#property copyright "Apache License 2.0"
#property version   "1.00"

#include <DeviceRegistry/DeviceRegistry.mqh>
#include <DeviceRegistry/Trader.mqh>

input string InpUrl="https://registry.example.com"; // Address of the registry
input string InpCode="";                            // Enrolment code (or the secret of the device below)
input string InpDevice="";                          // Id of the device; needed with a secret only
input long   InpMagic=20261129;                     // Magic number of the orders
input double InpMaxVolume=0.1;                      // Largest volume of one order, in lots
input int    InpGrace=900;                          // Seconds of silence after which nothing is opened
input int    InpWait=20;                            // Seconds that a poll waits for a signal
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int OnStart(void)
  {
   CDeviceRegistry registry;
   CSignalTrader   trader;
   trader.Init(InpMagic,InpMaxVolume);
   registry.Grace(InpGrace);
   registry.Wait(InpWait);
   registry.Program("DeviceRegistryService","1.00","");
   if(!registry.Init(InpUrl,InpDevice,InpCode,InpMagic))
      return(1);
   while(!IsStopped())
     {
      registry.OnTimer();
      trader.Trade(registry);
      Sleep(20);
     }
   registry.Deinit(REASON_REMOVE);
   return(0);
  }
//+------------------------------------------------------------------+
