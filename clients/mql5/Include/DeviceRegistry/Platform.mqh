//+------------------------------------------------------------------+
//|                                                     Platform.mqh |
//|  What differs between MetaTrader 5 and 4, files that survive a   |
//|  crash, and the texts for the errors of WebRequest.              |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_PLATFORM_MQH
#define DEVICE_REGISTRY_PLATFORM_MQH

#define DR_VERSION        "0.1.0"
#define DR_FOLDER         "DeviceRegistry\\"   // under Terminal\Common\Files
#define DR_MAX_FILE_BYTES 16777216             // of a file that is read

//+------------------------------------------------------------------+
//| Milliseconds of a monotonic clock                                |
//+------------------------------------------------------------------+
ulong DrTicks(void)
  {
#ifdef __MQL4__
   return(GetMicrosecondCount()/1000);
#else
   return(GetTickCount64());
#endif
  }
//+------------------------------------------------------------------+
//| A part of a text. In MQL4 a length of 0 means "to the end".      |
//+------------------------------------------------------------------+
string DrPart(const string text,const int from,const int length)
  {
   if(length<=0 || from>=StringLen(text))
      return("");
   return(StringSubstr(text,from,length));
  }
//+------------------------------------------------------------------+
//| A decimal number at a place of a text; -1 if it is not           |
//+------------------------------------------------------------------+
long DrDigits(const string text,const int from,const int count)
  {
   long value=0;
   for(int i=from; i<from+count; i++)
     {
      ushort c=i<StringLen(text) ? StringGetCharacter(text,i) : (ushort)0;
      if(c<'0' || c>'9')
         return(-1);
      value=value*10+((long)c-'0');
     }
   return(value);
  }
//+------------------------------------------------------------------+
//| Reads a time of the registry, 2026-11-29T10:40:00.000Z (RFC      |
//| 3339), as milliseconds since 1970; false if it is not one        |
//+------------------------------------------------------------------+
bool DrParseTime(const string text,long &milliseconds)
  {
   int length=StringLen(text);
   if(length<20 || length>30 || StringSubstr(text,length-1,1)!="Z")
      return(false);
   string marks=StringSubstr(text,4,1)+StringSubstr(text,7,1)+StringSubstr(text,10,1)+StringSubstr(text,13,1)+StringSubstr(text,16,1);
   long year=DrDigits(text,0,4),month=DrDigits(text,5,2),day=DrDigits(text,8,2);
   long hour=DrDigits(text,11,2),minute=DrDigits(text,14,2),second=DrDigits(text,17,2);
   if(marks!="--T::" || year<1970 || month<1 || month>12 || day<1 || day>31 || hour<0 || hour>23 || minute<0 || minute>59 ||
      second<0 || second>60)
      return(false);
   long fraction=0;
   if(length>20)
     {
      fraction=length==24 && StringSubstr(text,19,1)=="." ? DrDigits(text,20,3) : -1;
      if(fraction<0)
         return(false);
     }
//--- days since 1970 in the Gregorian calendar, with years that begin in March
   long years=month<3 ? year-1 : year;
   long months=month<3 ? month+9 : month-3;
   long days=365*years+years/4-years/100+years/400+(153*months+2)/5+day-1-719468;
   milliseconds=(((days*24+hour)*60+minute)*60+second)*1000+fraction;
   return(true);
  }
//+------------------------------------------------------------------+
//| A text for people, on one line and not longer than a limit       |
//+------------------------------------------------------------------+
string DrOneLine(const string text,const int limit)
  {
   string line="";
   int length=StringLen(text)<limit ? StringLen(text) : limit;
   for(int i=0; i<length; i++)
     {
      ushort c=StringGetCharacter(text,i);
      line+=c<' ' || c==127 ? " " : ShortToString(c);
     }
   return(line);
  }
//+------------------------------------------------------------------+
//| Whether the program runs in the Strategy Tester, where           |
//| WebRequest does nothing                                          |
//+------------------------------------------------------------------+
bool DrIsTester(void)
  {
   return(MQLInfoInteger(MQL_TESTER)!=0);
  }
//+------------------------------------------------------------------+
//| Whether an error of WebRequest means that the address is not in  |
//| the terminal's list: 4014 in MetaTrader 5, 4060 in MetaTrader 4  |
//+------------------------------------------------------------------+
bool DrIsNotAllowed(const int error)
  {
   return(error==4014 || error==4060);
  }
//+------------------------------------------------------------------+
//| What to do about a WebRequest that got no answer                 |
//+------------------------------------------------------------------+
string DrNetworkText(const int error)
  {
   if(error==5200)
      return("the address is not a URL; write it as https://registry.example.com");
   if(error==5201)
      return("cannot connect; check the address, the internet connection and the firewall");
   if(error==5202)
      return("no answer in time; a firewall or antivirus program may delay it");
   return("no answer (error "+IntegerToString(error)+"); check the internet connection, DNS, the proxy and the firewall, and the "+
          "server's certificate");
  }
//+------------------------------------------------------------------+
//| Overwrites key material                                          |
//+------------------------------------------------------------------+
void DrWipe(uchar &bytes[])
  {
   for(int i=0; i<ArraySize(bytes); i++)
      bytes[i]=0;
  }
//+------------------------------------------------------------------+
//| Reads a file of the common folder; false if there is none, it    |
//| cannot be read or is too long                                    |
//+------------------------------------------------------------------+
bool DrReadFile(const string name,uchar &bytes[])
  {
   ArrayResize(bytes,0);
   if(!FileIsExist(name,FILE_COMMON))
      return(false);
   int handle=FileOpen(name,FILE_READ|FILE_BIN|FILE_COMMON|FILE_SHARE_READ|FILE_SHARE_WRITE);
   if(handle==INVALID_HANDLE)
      return(false);
   int size=(int)FileSize(handle);
   bool read=size>=0 && size<=DR_MAX_FILE_BYTES;
   if(read && size>0)
      read=(int)FileReadArray(handle,bytes,0,size)==size;
   FileClose(handle);
   if(!read)
      ArrayResize(bytes,0);
   return(read);
  }
//+------------------------------------------------------------------+
//| Replaces a file of the common folder. FileMove may remove the    |
//| old file before it renames the new one. So after a crash at any  |
//| moment, the file has complete content; or it is missing, and     |
//| NAME.new has. In that case NAME.new is the only copy.            |
//+------------------------------------------------------------------+
bool DrReplaceFile(const string name,const uchar &bytes[])
  {
   string fresh=name+".new";
   if(!FileIsExist(name,FILE_COMMON) && FileIsExist(fresh,FILE_COMMON) && !FileMove(fresh,FILE_COMMON,name,FILE_COMMON))
      return(false);
   int handle=FileOpen(fresh,FILE_WRITE|FILE_BIN|FILE_COMMON);
   if(handle==INVALID_HANDLE)
      return(false);
   int size=ArraySize(bytes);
   bool written=size==0 || (int)FileWriteArray(handle,bytes,0,size)==size;
   FileFlush(handle);
   FileClose(handle);
//--- FileFlush does not say that the disk is full
   uchar stored[];
   if(written && size>0)
      written=DrReadFile(fresh,stored) && ArraySize(stored)==size;
   DrWipe(stored);
   return(written && FileMove(fresh,FILE_COMMON,name,FILE_COMMON|FILE_REWRITE));
  }
//+------------------------------------------------------------------+
//| Whether the terminal is connected to a trading account           |
//+------------------------------------------------------------------+
bool DrIsConnected(void)
  {
   return(TerminalInfoInteger(TERMINAL_CONNECTED)!=0 && AccountInfoInteger(ACCOUNT_LOGIN)!=0);
  }
//+------------------------------------------------------------------+
//| The account, as "login@server"                                   |
//+------------------------------------------------------------------+
string DrAccount(void)
  {
   return(IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN))+"@"+AccountInfoString(ACCOUNT_SERVER));
  }
//+------------------------------------------------------------------+
//| What differs between terminals and computers                     |
//+------------------------------------------------------------------+
string DrMachine(void)
  {
   string machine=TerminalInfoString(TERMINAL_DATA_PATH);
#ifndef __MQL4__
   machine+="/"+TerminalInfoString(TERMINAL_CPU_NAME)+"/"+IntegerToString(TerminalInfoInteger(TERMINAL_MEMORY_PHYSICAL));
#endif
   return(machine);
  }
#ifdef __MQL4__
//+------------------------------------------------------------------+
//| Finds a trade by magic number and part of the comment, among     |
//| open and closed orders                                           |
//+------------------------------------------------------------------+
bool DrFindTrade(const long magic,const string tag,const datetime from,string &ticket)
  {
   for(int pool=0; pool<2; pool++)
     {
      int mode=pool==0 ? MODE_TRADES : MODE_HISTORY;
      int total=pool==0 ? OrdersTotal() : OrdersHistoryTotal();
      for(int i=total-1; i>=0; i--)
        {
         if(!OrderSelect(i,SELECT_BY_POS,mode))
            continue;
         if((long)OrderMagicNumber()==magic && StringFind(OrderComment(),tag)>=0)
           {
            ticket=IntegerToString(OrderTicket());
            return(true);
           }
        }
     }
   return(false);
  }
#else
//+------------------------------------------------------------------+
//| Finds a trade by magic number and part of the comment, among     |
//| positions, orders and the history from a day before a time       |
//+------------------------------------------------------------------+
bool DrFindTrade(const long magic,const string tag,const datetime from,string &ticket)
  {
   for(int i=PositionsTotal()-1; i>=0; i--)
     {
      if(PositionGetTicket(i)==0)      // selects it
         continue;
      if(PositionGetInteger(POSITION_MAGIC)==magic && StringFind(PositionGetString(POSITION_COMMENT),tag)>=0)
        {
         ticket=IntegerToString(PositionGetInteger(POSITION_IDENTIFIER));
         return(true);
        }
     }
   for(int i=OrdersTotal()-1; i>=0; i--)
     {
      ulong order=OrderGetTicket(i);   // selects it
      if(order!=0 && OrderGetInteger(ORDER_MAGIC)==magic && StringFind(OrderGetString(ORDER_COMMENT),tag)>=0)
        {
         ticket=IntegerToString((long)order);
         return(true);
        }
     }
//--- the broker's clock may be hours away from ours
   if(!HistorySelect((datetime)((long)from-86400),(datetime)((long)TimeGMT()+2*86400)))
      return(false);
   for(int i=HistoryOrdersTotal()-1; i>=0; i--)
     {
      ulong order=HistoryOrderGetTicket(i);
      if(order==0 || HistoryOrderGetInteger(order,ORDER_MAGIC)!=magic ||
         StringFind(HistoryOrderGetString(order,ORDER_COMMENT),tag)<0 ||
         HistoryOrderGetInteger(order,ORDER_STATE)==(long)ORDER_STATE_REJECTED)
         continue;
      ticket=IntegerToString((long)order);
      return(true);
     }
   for(int i=HistoryDealsTotal()-1; i>=0; i--)
     {
      ulong deal=HistoryDealGetTicket(i);
      if(deal==0 || HistoryDealGetInteger(deal,DEAL_MAGIC)!=magic || StringFind(HistoryDealGetString(deal,DEAL_COMMENT),tag)<0)
         continue;
      ticket=IntegerToString(HistoryDealGetInteger(deal,DEAL_ORDER));
      return(true);
     }
   return(false);
  }
#endif

#endif
//+------------------------------------------------------------------+
