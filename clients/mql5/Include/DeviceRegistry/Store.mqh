//+------------------------------------------------------------------+
//|                                                        Store.mqh |
//|  What a terminal keeps of a device, in the folder DeviceRegistry |
//|  of Terminal\Common\Files:                                       |
//|    code-HASH.id   the device that a code enrolled                |
//|    ID.key         its secret                                     |
//|    ID.state       last poll, clock and trading mode              |
//|    ID.journal     what became of each signal (Journal.mqh)       |
//|    ID.lock        held open by the one program that runs it      |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_STORE_MQH
#define DEVICE_REGISTRY_STORE_MQH

#include <DeviceRegistry/Platform.mqh>
#include <DeviceRegistry/Hmac.mqh>

#define DR_CHECK_DIGITS 16

enum ENUM_DR_MODE
  {
   DR_MODE_NORMAL=0,    // trade
   DR_MODE_CLOSE_ONLY,  // open nothing
   DR_MODE_HALTED       // do nothing with signals
  };
//+------------------------------------------------------------------+
//| The name of a trading mode, as the registry writes it            |
//+------------------------------------------------------------------+
string DrModeName(const ENUM_DR_MODE mode)
  {
   if(mode==DR_MODE_NORMAL)
      return("normal");
   return(mode==DR_MODE_CLOSE_ONLY ? "close_only" : "halted");
  }
//+------------------------------------------------------------------+
//| A trading mode by its name. One that is not known halts: that is |
//| safe.                                                            |
//+------------------------------------------------------------------+
ENUM_DR_MODE DrModeOf(const string name)
  {
   if(name=="normal")
      return(DR_MODE_NORMAL);
   return(name=="close_only" ? DR_MODE_CLOSE_ONLY : DR_MODE_HALTED);
  }
//+------------------------------------------------------------------+
//| What is remembered over a restart, besides the secret            |
//+------------------------------------------------------------------+
struct SDeviceState
  {
   long              offset;        // registry's time minus TimeGMT(), in seconds
   string            instance;      // of the last poll that succeeded
   long              last_poll;     // when that was, by the registry's clock; 0 if never
   long              custody;       // since when no other terminal got this device's signals, in milliseconds; 0: always, -1: unknown
   ENUM_DR_MODE      mode;
   long              mode_version;  // 0 if none is known
   string            mode_reason;
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
class CDeviceStore
  {
private:
   string            m_id;
   int               m_lock;

   bool              ReadText(const string name,string &text) const;
   bool              WriteText(const string name,const string text) const;
   string            CodeFile(const string code) const;

public:
                     CDeviceStore(void) : m_id(""),m_lock(INVALID_HANDLE) {}
                    ~CDeviceStore(void) { Close(); }
   //--- the device that this code enrolled here; false if there is none
   bool              FindCode(const string code,string &id) const;
   //--- stores a secret, and the code that it was enrolled with, if any
   bool              SaveSecret(const string id,const string secret,const string code) const;
   bool              LoadSecret(const string id,string &secret) const;
   //--- makes this program the only one of this Windows user that runs the device; false while another one does
   bool              Lock(const string id);
   bool              IsLocked(void) const { return(m_lock!=INVALID_HANDLE); }
   void              Close(void);
   bool              LoadState(SDeviceState &state) const;
   bool              SaveState(const SDeviceState &state) const;
   string            JournalFile(void) const { return(DR_FOLDER+m_id+".journal"); }
  };
//+------------------------------------------------------------------+
//| The text of a file whose last line is the fingerprint of the     |
//| rest. A crash may have left the new file instead.                |
//+------------------------------------------------------------------+
bool CDeviceStore::ReadText(const string name,string &text) const
  {
   for(int i=0; i<2; i++)
     {
      uchar bytes[];
      if(!DrReadFile(DR_FOLDER+name+(i==0 ? "" : ".new"),bytes))
         continue;
      string content=DrText(bytes);
      DrWipe(bytes);
      int length=StringLen(content)-DR_CHECK_DIGITS-1;
      if(length<=0)
         continue;
      string body=StringSubstr(content,0,length);
      if(content!=body+DrFingerprint(name+"\n"+body,DR_CHECK_DIGITS)+"\n")
         continue;
      text=body;
      return(true);
     }
   return(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceStore::WriteText(const string name,const string text) const
  {
   uchar bytes[];
   DrUtf8(text+DrFingerprint(name+"\n"+text,DR_CHECK_DIGITS)+"\n",bytes);
   bool written=DrReplaceFile(DR_FOLDER+name,bytes);
   DrWipe(bytes);
   return(written);
  }
//+------------------------------------------------------------------+
//| The name has a part of the code's hash: a file name may be seen. |
//+------------------------------------------------------------------+
string CDeviceStore::CodeFile(const string code) const
  {
   string letters=code;
   StringReplace(letters,"-","");
   StringReplace(letters," ","");
   StringToUpper(letters);
   return("code-"+DrFingerprint("enrolment code/"+letters,DR_CHECK_DIGITS)+".id");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceStore::FindCode(const string code,string &id) const
  {
   string text="";
   if(!ReadText(CodeFile(code),text))
      return(false);
   string found=DrPart(text,0,36);
   if(!DrIsUuid(found))
      return(false);
   id=found;
   return(true);
  }
//+------------------------------------------------------------------+
//| The secret first: a code without a secret would be of no use     |
//+------------------------------------------------------------------+
bool CDeviceStore::SaveSecret(const string id,const string secret,const string code) const
  {
   if(!WriteText(id+".key",secret+"\n"))
      return(false);
   return(code=="" || WriteText(CodeFile(code),id+"\n"));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceStore::LoadSecret(const string id,string &secret) const
  {
   string text="";
   if(!ReadText(id+".key",text) || !DrIsHex(DrPart(text,0,DR_SECRET_SIZE),DR_SECRET_SIZE))
      return(false);
   secret=DrPart(text,0,DR_SECRET_SIZE);
   return(true);
  }
//+------------------------------------------------------------------+
//| A file that is opened without shared access is a lock over all   |
//| charts and terminals of this Windows user, and ends with the     |
//| process                                                          |
//+------------------------------------------------------------------+
bool CDeviceStore::Lock(const string id)
  {
   if(IsLocked() && m_id==id)
      return(true);
   Close();
   m_id=id;
   m_lock=FileOpen(DR_FOLDER+id+".lock",FILE_READ|FILE_WRITE|FILE_BIN|FILE_COMMON);
   return(IsLocked());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceStore::Close(void)
  {
   if(IsLocked())
      FileClose(m_lock);
   m_lock=INVALID_HANDLE;
   m_id="";
  }
//+------------------------------------------------------------------+
//| offset instance last_poll custody mode version reason            |
//+------------------------------------------------------------------+
bool CDeviceStore::LoadState(SDeviceState &state) const
  {
   string text="";
   string parts[];
   uchar reason[];
   state.offset=0;
   state.instance="";
   state.last_poll=0;
   state.custody=0;
   state.mode=DR_MODE_NORMAL;
   state.mode_version=0;
   state.mode_reason="";
   if(!ReadText(m_id+".state",text))
      return(false);
   StringReplace(text,"\n","");
   if(StringSplit(text,' ',parts)!=7 || !DrFromHex(parts[6],reason))
      return(false);
   state.offset=StringToInteger(parts[0]);
   state.instance=parts[1];
   state.last_poll=StringToInteger(parts[2]);
   state.custody=StringToInteger(parts[3]);
   state.mode=DrModeOf(parts[4]);
   state.mode_version=StringToInteger(parts[5]);
   state.mode_reason=DrText(reason);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceStore::SaveState(const SDeviceState &state) const
  {
   uchar reason[];
   DrUtf8(state.mode_reason,reason);
   return(WriteText(m_id+".state",IntegerToString(state.offset)+" "+state.instance+" "+IntegerToString(state.last_poll)+" "+
                    IntegerToString(state.custody)+" "+DrModeName(state.mode)+" "+IntegerToString(state.mode_version)+" "+DrHex(reason)+"\n"));
  }

#endif
//+------------------------------------------------------------------+
