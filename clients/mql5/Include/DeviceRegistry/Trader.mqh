//+------------------------------------------------------------------+
//|                                                       Trader.mqh |
//|  An example of trading signals (MetaTrader 5). The registry does |
//|  not read payloads: this form is a convention between the owner  |
//|  who sends signals and the EA.                                   |
//|                                                                  |
//|    {"symbol":"EURUSD","side":"buy","volume":"0.10",              |
//|     "sl":"1.0500","tp":"1.1000"}                                 |
//|                                                                  |
//|  side is buy, sell or close, which closes this EA's positions of |
//|  the symbol. Numbers may be texts. sl and tp may be missing.     |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_TRADER_MQH
#define DEVICE_REGISTRY_TRADER_MQH

#include <Trade/Trade.mqh>
#include <DeviceRegistry/DeviceRegistry.mqh>

enum ENUM_SIGNAL_SIDE
  {
   SIDE_BUY=0,
   SIDE_SELL,
   SIDE_CLOSE
  };
//+------------------------------------------------------------------+
//| A payload of that form                                           |
//+------------------------------------------------------------------+
struct SSignalOrder
  {
   string            symbol;
   ENUM_SIGNAL_SIDE  side;
   double            volume;
   double            sl;
   double            tp;
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
class CSignalTrader
  {
private:
   CTrade            m_trade;
   long              m_magic;
   double            m_max_volume;

   bool              Read(const string payload,SSignalOrder &order,string &error) const;
   void              Handle(CDeviceRegistry &source,const SRegistrySignal &signal);
   bool              Close(const string symbol);

public:
                     CSignalTrader(void) : m_magic(0),m_max_volume(0) {}
   void              Init(const long magic,const double max_volume);
   //--- trades every signal that waits
   void              Trade(CDeviceRegistry &source);
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignalTrader::Init(const long magic,const double max_volume)
  {
   m_magic=magic;
   m_max_volume=max_volume;
   m_trade.SetExpertMagicNumber((ulong)magic);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalTrader::Read(const string payload,SSignalOrder &order,string &error) const
  {
   CJsonReader json;
   string side="";
   order.symbol="";
   order.side=SIDE_CLOSE;
   order.volume=0;
   order.sl=0;
   order.tp=0;
   if(!json.Parse(payload) || !json.GetText("symbol",order.symbol) || !json.GetText("side",side))
     {
      error="the payload needs symbol and side";
      return(false);
     }
   if(side=="close")
      return(true);
   if(side!="buy" && side!="sell")
     {
      error="side must be buy, sell or close";
      return(false);
     }
   order.side=side=="buy" ? SIDE_BUY : SIDE_SELL;
   if(!json.GetReal("volume",order.volume) || order.volume<=0)
     {
      error="volume must be a number above 0";
      return(false);
     }
   if(order.volume>m_max_volume)
     {
      error="volume is above the limit of the EA";
      return(false);
     }
   int sl=json.Member(0,"sl"),tp=json.Member(0,"tp");
   if((sl>=0 && !json.Real(sl,order.sl)) || (tp>=0 && !json.Real(tp,order.tp)))
     {
      error="sl and tp must be prices";
      return(false);
     }
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignalTrader::Trade(CDeviceRegistry &source)
  {
   SRegistrySignal signal;
   for(int i=0; i<DR_MAX_SIGNALS && source.NextSignal(signal); i++)
      Handle(source,signal);
  }
//+------------------------------------------------------------------+
//| Between Begin and Placed or Failed there is the order and        |
//| nothing else                                                     |
//+------------------------------------------------------------------+
void CSignalTrader::Handle(CDeviceRegistry &source,const SRegistrySignal &signal)
  {
   SSignalOrder order;
   string error="";
   if(!Read(signal.payload,order,error))
     {
      source.Failed(signal,error);
      return;
     }
   if(order.side!=SIDE_CLOSE && !source.CanOpen())
     {
      source.Skipped(signal,"may not open positions: "+source.StatusText());
      return;
     }
   if(!source.Begin(signal))
      return;
   if(order.side==SIDE_CLOSE)
     {
      if(Close(order.symbol))
         source.Placed(signal,m_trade.ResultOrder());
      else
         source.Failed(signal,m_trade.ResultRetcodeDescription());
      return;
     }
   if(order.side==SIDE_BUY)
      m_trade.Buy(order.volume,order.symbol,0.0,order.sl,order.tp,source.Tag(signal));
   else
      m_trade.Sell(order.volume,order.symbol,0.0,order.sl,order.tp,source.Tag(signal));
   uint code=m_trade.ResultRetcode();
   if(code==TRADE_RETCODE_DONE || code==TRADE_RETCODE_DONE_PARTIAL || code==TRADE_RETCODE_PLACED)
      source.Placed(signal,m_trade.ResultOrder());
   else
      if(code==TRADE_RETCODE_TIMEOUT || code==TRADE_RETCODE_CONNECTION)
         source.Uncertain(signal);
      else
         source.Failed(signal,m_trade.ResultRetcodeDescription());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalTrader::Close(const string symbol)
  {
   bool closed=true;
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      ulong ticket=PositionGetTicket(i);
      if(ticket==0 || PositionGetInteger(POSITION_MAGIC)!=m_magic || PositionGetString(POSITION_SYMBOL)!=symbol)
         continue;
      if(!m_trade.PositionClose(ticket))
         closed=false;
     }
   return(closed);
  }

#endif
//+------------------------------------------------------------------+
