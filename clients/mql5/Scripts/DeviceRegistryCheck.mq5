//+------------------------------------------------------------------+
//|                                          DeviceRegistryCheck.mq5 |
//|  "Does it work here?" Run it with the inputs of your EA. It      |
//|  trades nothing, changes nothing and uses up no enrolment code.  |
//|  Each line says ok, or what is wrong and what to do.             |
//+------------------------------------------------------------------+
#property copyright "Apache License 2.0"
#property version   "1.00"
#property script_show_inputs
#property strict

#include <DeviceRegistry/DeviceRegistry.mqh>

input string InpUrl="https://registry.example.com"; // Address of the registry
input string InpCode="";                            // Enrolment code (or the secret of the device below)
input string InpDevice="";                          // Id of the device; needed with a secret only

#define CHECK_TIMEOUT    5000   // milliseconds
#define CHECK_CLOCK_WARN 120    // seconds

int failures=0;
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool Check(const string what,const bool passed,const string otherwise)
  {
   if(passed)
      Print("ok      ",what);
   else
     {
      Print("FAILED  ",what,": ",otherwise);
      failures++;
     }
   return(passed);
  }
//+------------------------------------------------------------------+
//| RFC 4231, case 2                                                 |
//+------------------------------------------------------------------+
bool ComputesHmac(void)
  {
   uchar key[],data[],mac[];
   DrUtf8("Jefe",key);
   DrUtf8("what do ya want for nothing?",data);
   return(DrHmacSha256(key,data,mac) && DrHex(mac)=="5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool WritesFiles(void)
  {
   uchar written[],read[];
   string name=DR_FOLDER;
   name+="check.tmp";
   DrUtf8("written by DeviceRegistryCheck",written);
   bool same=DrReplaceFile(name,written) && DrReadFile(name,read) && DrText(read)==DrText(written);
   FileDelete(name,FILE_COMMON);
   return(same);
  }
//+------------------------------------------------------------------+
//| The secret that an EA with these inputs would use                |
//+------------------------------------------------------------------+
bool FindSecret(string &id,string &secret)
  {
   CDeviceStore store;
   string code=InpCode;
   StringTrimLeft(code);
   StringTrimRight(code);
   id=InpDevice;
   StringTrimLeft(id);
   StringTrimRight(id);
   if(DrIsHex(code,DR_SECRET_SIZE))
     {
      if(!store.LoadSecret(id,secret))
         secret=code;
      return(DrIsUuid(id));
     }
   if(code!="" && !store.FindCode(code,id))
      return(false);
   return(store.LoadSecret(id,secret));
  }
//+------------------------------------------------------------------+
//| What the last unsigned answer says about the way to the registry |
//+------------------------------------------------------------------+
string WhyNotReached(const CSignedExchange &exchange,const ENUM_DR_RESULT result)
  {
   if(result==DR_NOT_ALLOWED)
      return("add "+exchange.Origin()+" to Tools > Options > Expert Advisors > Allow WebRequest for listed URL, exactly so");
   if(result==DR_NETWORK)
      return(DrNetworkText(exchange.Error()));
   return("status "+IntegerToString(exchange.Status())+": this is not the registry, or a proxy is before it; check the address");
  }
//+------------------------------------------------------------------+
//| What a signed request that failed says                           |
//+------------------------------------------------------------------+
string WhyRefused(const CSignedExchange &exchange,const ENUM_DR_RESULT result)
  {
   if(result==DR_FORGED)
      return("the answer is not signed with this secret; a proxy or antivirus program changes answers, or the secret is another one");
   if(exchange.Kind()=="signature-invalid")
      return("unknown device or wrong secret; ask the owner for a new enrolment code");
   if(exchange.Kind()=="clock-skew")
      return("the clock of this computer is wrong; switch on automatic time in Windows");
   if(exchange.Kind()!="")
      return(exchange.Kind()+": "+exchange.Detail()+" [request "+exchange.RequestId()+"]");
   return(WhyNotReached(exchange,result));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int OnStart(void)
  {
   CSignedExchange exchange;
   string reason="",id="",secret="";
   Check("this terminal computes HMAC-SHA-256",ComputesHmac(),"update the terminal");
   Check("files can be written",WritesFiles(),"check free space, and access to Terminal\\Common\\Files");
   bool formed=exchange.SetUrl(InpUrl,false,reason);
   if(!Check("the address is well-formed",formed,reason))
      return(failures);

   ENUM_DR_RESULT result=exchange.SendUnsigned("GET","/healthz","","",CHECK_TIMEOUT);
   bool listed=Check("the address is in the list of the terminal",result!=DR_NOT_ALLOWED,WhyNotReached(exchange,result));
   if(!listed || !Check("the registry answers, and its certificate is trusted",result==DR_OK && exchange.Status()==200,
                        WhyNotReached(exchange,result)))
      return(failures);

   if(!FindSecret(id,secret))
     {
      Check("the device is enrolled",false,"this code was not used here yet: attach the EA to a chart with it, then run this again");
      return(failures);
     }
   Check("the device is enrolled",exchange.SetDevice(id,secret),"the stored secret is damaged; ask the owner for a new code");
   result=exchange.Send("GET",DR_PATH_DEVICE,"","",CHECK_TIMEOUT);
   if(exchange.ShouldTryAgain())
      result=exchange.Send("GET",DR_PATH_DEVICE,"","",CHECK_TIMEOUT);
   if(!Check("the registry accepts the secret, and its answer is authentic",result==DR_OK,WhyRefused(exchange,result)))
      return(failures);
   long offset=exchange.ClockOffset();
   Check("the clock of this computer is right",offset>-CHECK_CLOCK_WARN && offset<CHECK_CLOCK_WARN,
         "it is "+IntegerToString(offset<0 ? -offset : offset)+" s "+(offset<0 ? "ahead" : "slow")+
         "; the EA corrects that, but switch on automatic time in Windows");
   string name="";
   exchange.m_json.GetText("device_name",name);
   Print("        device \"",DrOneLine(name,100),"\" ",id,", round trip ",(long)exchange.Duration()," ms");
   Print(failures==0 ? "Everything works." : "See the lines that begin with FAILED.");
   return(failures);
  }
//+------------------------------------------------------------------+
