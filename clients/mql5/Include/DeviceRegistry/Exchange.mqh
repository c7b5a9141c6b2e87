//+------------------------------------------------------------------+
//|                                                     Exchange.mqh |
//|  Signed requests and verified answers (RFC 9421), and the        |
//|  registry's time.                                                |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_EXCHANGE_MQH
#define DEVICE_REGISTRY_EXCHANGE_MQH

#include <DeviceRegistry/Platform.mqh>
#include <DeviceRegistry/Hmac.mqh>
#include <DeviceRegistry/Json.mqh>

#define DR_MAX_ANSWER_BYTES   1048576  // longer answers are ignored
#define DR_MAX_HEADER_LENGTH  65536
#define DR_MAX_HEADER_LINES   100
#define DR_MAX_CORRECTION     86400    // seconds that plain HTTP may correct the clock by
#define DR_CLOCK_TOLERANCE    2        // seconds; a smaller difference of clocks is no reason to try again

enum ENUM_DR_RESULT
  {
   DR_OK=0,             // an answer of the registry, signed
   DR_OFFLINE,          // nothing is sent: not started, no secret yet, or in the Strategy Tester
   DR_NOT_ALLOWED,      // the address is not in the terminal's list
   DR_NETWORK,          // no answer
   DR_REFUSED,          // the registry, or something before it, refuses
   DR_BUSY,             // the registry asks to try again later
   DR_IN_USE,           // another terminal uses the device
   DR_FORGED,           // the answer is not the registry's
   DR_INTERNAL          // the terminal failed, or the answer is not understood
  };
//+------------------------------------------------------------------+
//| How many header fields have a name, in whatever case, and the    |
//| value of the last                                                |
//+------------------------------------------------------------------+
int DrHeaderField(const string headers,const string name,string &value)
  {
   string lines[];
   int count=0;
   int total=StringSplit(headers,(ushort)10,lines);
   for(int i=0; i<total && i<DR_MAX_HEADER_LINES; i++)
     {
      int colon=StringFind(lines[i],":");
      if(colon!=StringLen(name))
         continue;
      string field=StringSubstr(lines[i],0,colon);
      StringToLower(field);
      if(field!=name)
         continue;
      value=StringSubstr(lines[i],colon+1);
      StringReplace(value,"\r","");
      StringTrimLeft(value);
      StringTrimRight(value);
      count++;
     }
   return(count);
  }
//+------------------------------------------------------------------+
//| One device's exchange with the registry                          |
//+------------------------------------------------------------------+
class CSignedExchange
  {
private:
   string            m_origin;         // scheme, host and port
   bool              m_is_private;     // TLS, or this machine: nobody reads or changes what is sent
   string            m_id;
   CDeviceKeys       m_keys;
   //--- for nonces
   string            m_seed;
   ulong             m_counter;
   //--- the clock
   long              m_offset;         // registry's time minus TimeGMT(), in seconds, from an earlier run
   long              m_anchor_time;    // registry's time of the last signed answer; 0 until there is one
   ulong             m_anchor_ticks;   // when it arrived
   long              m_proposed;       // an offset from an unsigned answer
   bool              m_has_proposal;
   bool              m_tries_proposal; // the next request is signed with it
   //--- the last answer
   int               m_status;         // HTTP status; -1 without an answer
   int               m_error;          // of WebRequest
   string            m_headers;
   bool              m_is_signed;
   string            m_kind;           // last part of the problem's type
   string            m_detail;
   string            m_request_id;
   long              m_retry_after;    // seconds; 0 if there is none
   ulong             m_duration;       // milliseconds

   string            Nonce(void);
   bool              Field(const string name,string &value) const;
   void              Forget(void);
   ENUM_DR_RESULT    Exchange(const string method,const string target,const string fields,const uchar &body[],const int timeout,
                              uchar &answer[]);
   ENUM_DR_RESULT    Read(const uchar &answer[]);
   void              ReadProblem(void);
   void              Propose(const long server_time);

public:
   //--- the last answer's JSON; empty if it is not JSON
   CJsonReader       m_json;

                     CSignedExchange(void);
   //--- false, with the reason, unless the URL is scheme, host and port; plain HTTP only to this machine unless allowed
   bool              SetUrl(const string url,const bool allows_insecure_http,string &reason);
   bool              SetDevice(const string id,const string secret);
   void              ForgetDevice(void);
   //--- a signed request; DR_OK only for a success that the registry signed
   ENUM_DR_RESULT    Send(const string method,const string path,const string query,const string body,const int timeout);
   //--- a request without a signature, for enrolment; `key` is its Idempotency-Key, or empty
   ENUM_DR_RESULT    SendUnsigned(const string method,const string path,const string body,const string key,const int timeout);
   //--- whether a list of fields has the registry's signature of this status and body for this nonce; when it was signed
   bool              Verify(const int status,const string headers,const uchar &body[],const string nonce,long &created) const;
   //--- whether another request is worthwhile at once, because an answer named another time
   bool              ShouldTryAgain(void) const { return(m_tries_proposal); }
   //--- the registry's time in seconds since 1970, as well as it is known
   long              Now(void) const;
   long              ClockOffset(void) const { return(Now()-(long)TimeGMT()); }
   void              SetClockOffset(const long offset) { m_offset=offset; }
   bool              HasSignedTime(void) const { return(m_anchor_time>0); }
   //--- random text of 22 characters of A-Z a-z 0-9 - _
   string            RandomText(const string what) const;
   string            Origin(void) const { return(m_origin); }
   bool              IsPrivate(void) const { return(m_is_private); }
   int               Status(void) const { return(m_status); }
   int               Error(void) const { return(m_error); }
   bool              IsSigned(void) const { return(m_is_signed); }
   string            Kind(void) const { return(m_kind); }
   string            Detail(void) const { return(m_detail); }
   string            RequestId(void) const { return(m_request_id); }
   long              RetryAfter(void) const { return(m_retry_after); }
   ulong             Duration(void) const { return(m_duration); }
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
CSignedExchange::CSignedExchange(void) : m_origin(""),m_is_private(false),m_id(""),m_seed(""),m_counter(0),m_offset(0),
                                         m_anchor_time(0),m_anchor_ticks(0),m_proposed(0),m_has_proposal(false),
                                         m_tries_proposal(false),m_status(-1),m_error(0),m_headers(""),m_is_signed(false),
                                         m_kind(""),m_detail(""),m_request_id(""),m_retry_after(0),m_duration(0)
  {
  }
//+------------------------------------------------------------------+
//| The same rules as the Swift client's                             |
//+------------------------------------------------------------------+
bool CSignedExchange::SetUrl(const string url,const bool allows_insecure_http,string &reason)
  {
   string text=url;
   StringTrimLeft(text);
   StringTrimRight(text);
   string lower=text;
   StringToLower(lower);
   bool tls=StringFind(lower,"https://")==0;
   int scheme=tls ? 8 : 7;
   if(!tls && StringFind(lower,"http://")!=0)
     {
      reason="the address must begin with https://";
      return(false);
     }
   if(StringLen(text)>scheme && StringSubstr(text,StringLen(text)-1,1)=="/")
      text=DrPart(text,0,StringLen(text)-1);
   lower=text;
   StringToLower(lower);
   string host=DrPart(lower,scheme,StringLen(lower)-scheme);
   if(host=="" || StringLen(host)>255)
     {
      reason="the address must be like https://registry.example.com";
      return(false);
     }
   for(int i=0; i<StringLen(host); i++)
     {
      ushort c=StringGetCharacter(host,i);
      bool allowed=(c>='a' && c<='z') || (c>='0' && c<='9') || c=='.' || c=='-' || c==':' || c=='[' || c==']' || c=='_';
      if(!allowed)
        {
         reason="the address must have only a scheme, a host and a port, like https://registry.example.com";
         return(false);
        }
     }
   string name=host;
   int colon=StringFind(host,":");
   if(colon>=0 && StringSubstr(host,0,1)!="[")
      name=DrPart(host,0,colon);
   bool loopback=name=="localhost" || name=="127.0.0.1" || StringFind(name,"[::1]")==0;
   if(!tls && !loopback && !allows_insecure_http)
     {
      reason="plain http is only allowed to this machine; use https";
      return(false);
     }
   m_origin=(tls ? "https://" : "http://")+host;
   m_is_private=tls || loopback;
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignedExchange::SetDevice(const string id,const string secret)
  {
   if(!DrIsUuid(id) || !DrIsHex(secret,DR_SECRET_SIZE) || !m_keys.Derive(secret))
      return(false);
   m_id=id;
   m_seed=IntegerToString((long)TimeLocal())+"/"+IntegerToString((long)GetMicrosecondCount())+"/"+IntegerToString((long)DrTicks())+
          "/"+IntegerToString(ChartID())+"/"+TerminalInfoString(TERMINAL_DATA_PATH);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignedExchange::ForgetDevice(void)
  {
   m_id="";
   m_keys.Wipe();
   Forget();
   m_anchor_time=0;
   m_has_proposal=false;
   m_tries_proposal=false;
  }
//+------------------------------------------------------------------+
//| The terminal has no source of secret random numbers. A nonce     |
//| need not be secret, but must never be used twice. Terminals that |
//| start in the same second differ in path, chart and microseconds; |
//| requests of one terminal differ in the counter. The key makes    |
//| nonces unpredictable.                                            |
//+------------------------------------------------------------------+
string CSignedExchange::RandomText(const string what) const
  {
   string text="";
   if(!m_keys.AnswerSignature(what,text))
      return("");
   StringReplace(text,"+","-");
   StringReplace(text,"/","_");
   return(StringSubstr(text,0,22));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CSignedExchange::Nonce(void)
  {
   m_counter++;
   return(RandomText("nonce/"+m_seed+"/"+IntegerToString((long)m_counter)+"/"+IntegerToString((long)GetMicrosecondCount())));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
long CSignedExchange::Now(void) const
  {
   if(m_tries_proposal)
      return((long)TimeGMT()+m_proposed);
   if(m_anchor_time>0)
      return(m_anchor_time+(long)((DrTicks()-m_anchor_ticks)/1000));
   return((long)TimeGMT()+m_offset);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignedExchange::Forget(void)
  {
   m_status=-1;
   m_error=0;
   m_headers="";
   m_is_signed=false;
   m_kind="";
   m_detail="";
   m_request_id="";
   m_retry_after=0;
   m_json.Clear();
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignedExchange::Field(const string name,string &value) const
  {
   return(DrHeaderField(m_headers,name,value)==1);
  }
//+------------------------------------------------------------------+
//| The registry writes its signature in one form, so no other is    |
//| read. Timing reveals nothing of use: the next answer has another |
//| nonce, and so another signature.                                 |
//+------------------------------------------------------------------+
bool CSignedExchange::Verify(const int status,const string headers,const uchar &body[],const string nonce,long &created) const
  {
   string digest="",input_field="",signature="",expected="";
   if(DrHeaderField(headers,"content-digest",digest)!=1 || DrHeaderField(headers,"signature-input",input_field)!=1 ||
      DrHeaderField(headers,"signature",signature)!=1)
      return(false);
   uchar hash[];
   if(!DrSha256(body,hash) || digest!="sha-256=:"+DrBase64(hash)+":")
      return(false);
   string head="sig=(\"@status\" \"content-digest\");created=";
   string tail=";keyid=\""+m_id+"\";nonce=\""+nonce+"\"";
   int length=StringLen(input_field);
   int digits=length-StringLen(head)-StringLen(tail);
   if(digits<1 || digits>12 || StringFind(input_field,head)!=0 || StringSubstr(input_field,length-StringLen(tail))!=tail)
      return(false);
   long time=DrDigits(input_field,StringLen(head),digits);
   string base="\"@status\": "+IntegerToString(status)+"\n\"content-digest\": "+digest+"\n\"@signature-params\": "+
               StringSubstr(input_field,4);
   if(time<0 || !m_keys.AnswerSignature(base,expected) || signature!="sig=:"+expected+":")
      return(false);
   created=time;
   return(true);
  }
//+------------------------------------------------------------------+
//| A correction from an answer that nobody signed. Over TLS, and on |
//| this machine, only the registry writes answers. Without either,  |
//| an attacker could make the terminal sign for a time to come, hold|
//| the request back, and send it then: so only one correction, of a |
//| day at most, is used until a signed answer shows which time the  |
//| registry accepts.                                                |
//+------------------------------------------------------------------+
void CSignedExchange::Propose(const long server_time)
  {
   bool tried=m_tries_proposal;
   m_tries_proposal=false;
   long offset=server_time-(long)TimeGMT();
   long difference=server_time-Now();
   if(tried || (difference>=-DR_CLOCK_TOLERANCE && difference<=DR_CLOCK_TOLERANCE))
      return;
   if(!m_is_private && (m_has_proposal || offset>DR_MAX_CORRECTION || offset<-DR_MAX_CORRECTION))
     {
      m_tries_proposal=m_has_proposal;
      return;
     }
   m_proposed=offset;
   m_has_proposal=true;
   m_tries_proposal=true;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
ENUM_DR_RESULT CSignedExchange::Exchange(const string method,const string target,const string fields,const uchar &body[],
                                         const int timeout,uchar &answer[])
  {
   char data[],result[];
   ArrayResize(answer,0);
   ArrayResize(result,0);
   ArrayResize(data,ArraySize(body));
   for(int i=0; i<ArraySize(body); i++)
      data[i]=(char)body[i];
   Forget();
   ResetLastError();
   ulong start=DrTicks();
   int status=WebRequest(method,m_origin+target,fields,timeout,data,result,m_headers);
   m_error=GetLastError();
   m_duration=DrTicks()-start;
//--- -1, but 1001 and 1003 have been seen too, which are no status of HTTP
   if(status<100 || status>599)
     {
      m_headers="";
      return(DrIsNotAllowed(m_error) ? DR_NOT_ALLOWED : DR_NETWORK);
     }
   m_status=status;
   if(ArraySize(result)>DR_MAX_ANSWER_BYTES || StringLen(m_headers)>DR_MAX_HEADER_LENGTH)
     {
      m_headers="";
      return(DR_FORGED);
     }
   ArrayResize(answer,ArraySize(result));
   for(int i=0; i<ArraySize(result); i++)
      answer[i]=(uchar)result[i];
   return(DR_OK);
  }
//+------------------------------------------------------------------+
//| The members of a problem (RFC 9457) that are used                |
//+------------------------------------------------------------------+
void CSignedExchange::ReadProblem(void)
  {
   string type="",text="";
   if(!m_json.GetText("type",type))
      return;
   int slash=-1;
   for(int at=StringFind(type,"/"); at>=0; at=StringFind(type,"/",at+1))
      slash=at;
   m_kind=DrOneLine(StringSubstr(type,slash+1),64);
   if(m_json.GetText("detail",text) || m_json.GetText("title",text))
      m_detail=DrOneLine(text,300);
   if(m_json.GetText("request_id",text))
      m_request_id=DrOneLine(text,64);
  }
//+------------------------------------------------------------------+
//| Reads the JSON and the fields of an answer that is not a success,|
//| or is verified                                                   |
//+------------------------------------------------------------------+
ENUM_DR_RESULT CSignedExchange::Read(const uchar &answer[])
  {
   string value="";
   if(Field("retry-after",value) && StringLen(value)<=6)
      m_retry_after=DrDigits(value,0,StringLen(value));
   if(m_retry_after<0)
      m_retry_after=0;
   bool success=m_status>=200 && m_status<300;
   if(ArraySize(answer)>0)
      m_json.Parse(DrText(answer));
   if(success)
      return(DR_OK);
   if(Field("content-type",value) && StringFind(value,"application/problem+json")==0)
      ReadProblem();
   if(m_kind=="device-in-use" && m_is_signed)
      return(DR_IN_USE);
   return(m_status==429 || m_status>=500 || m_kind=="replayed" ? DR_BUSY : DR_REFUSED);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
ENUM_DR_RESULT CSignedExchange::Send(const string method,const string path,const string query,const string body,const int timeout)
  {
   uchar bytes[],answer[];
   DrUtf8(body,bytes);
   string covered="\"@method\" \"@path\"";
   string base="\"@method\": "+method+"\n\"@path\": "+path;
   string fields="Accept: application/json\r\n";
   if(query!="")
     {
      covered+=" \"@query\"";
      base+="\n\"@query\": "+query;
     }
   if(ArraySize(bytes)>0)
     {
      uchar hash[];
      if(!DrSha256(bytes,hash))
         return(DR_INTERNAL);
      string digest="sha-256=:"+DrBase64(hash)+":";
      covered+=" \"content-digest\"";
      base+="\n\"content-digest\": "+digest;
      fields+="Content-Type: application/json\r\nContent-Digest: "+digest+"\r\n";
     }
   string nonce=Nonce();
   string signature="";
   string parameters="("+covered+");created="+IntegerToString(Now())+";keyid=\""+m_id+"\";nonce=\""+nonce+"\"";
   base+="\n\"@signature-params\": "+parameters;
   if(StringLen(nonce)!=22 || !m_keys.Proof(base,signature))
      return(DR_INTERNAL);
   fields+="Signature-Input: sig1="+parameters+"\r\nSignature: sig1=:"+signature+":\r\n";

   ENUM_DR_RESULT result=Exchange(method,path+query,fields,bytes,timeout,answer);
   if(result!=DR_OK)
     {
      m_tries_proposal=false;
      return(result);
     }
   long created=0;
   m_is_signed=Verify(m_status,m_headers,answer,nonce,created);
   if(m_is_signed)
     {
      m_anchor_time=created;
      m_anchor_ticks=DrTicks();
      m_has_proposal=false;
      m_tries_proposal=false;
      return(Read(answer));
     }
//--- an answer with a signature that does not verify is ignored, whatever it says; a success needs a signature
   string value="";
   if(DrHeaderField(m_headers,"signature",value)>0 || DrHeaderField(m_headers,"signature-input",value)>0 || (m_status>=200 && m_status<300))
     {
      m_tries_proposal=false;
      return(DR_FORGED);
     }
   result=Read(answer);
   long server_time=0;
   string text="";
   bool has_time=(m_kind=="clock-skew" || m_status==503) && m_json.GetText("server_time",text) && DrParseTime(text,server_time);
   if(has_time)
      Propose(server_time/1000);
   else
      m_tries_proposal=false;
   return(result);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
ENUM_DR_RESULT CSignedExchange::SendUnsigned(const string method,const string path,const string body,const string key,
                                             const int timeout)
  {
   uchar bytes[],answer[];
   DrUtf8(body,bytes);
   string fields="Accept: application/json\r\nContent-Type: application/json\r\n";
   if(key!="")
      fields+="Idempotency-Key: "+key+"\r\n";
   ENUM_DR_RESULT result=Exchange(method,path,fields,bytes,timeout,answer);
   return(result==DR_OK ? Read(answer) : result);
  }

#endif
//+------------------------------------------------------------------+
