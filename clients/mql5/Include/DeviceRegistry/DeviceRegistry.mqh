//+------------------------------------------------------------------+
//|                                               DeviceRegistry.mqh |
//|  A device of the device registry, for Expert Advisors: polls for |
//|  signals, and acknowledges what became of them. A signal is      |
//|  traded at most once, over crashes, restarts and moves.          |
//|                                                                  |
//|  In the EA:                                                      |
//|    OnInit    registry.Init(url,id,code,magic); EventSetTimer(1)  |
//|    OnTimer   registry.OnTimer();                                 |
//|              while(registry.NextSignal(signal))                  |
//|                 if(registry.Begin(signal))                       |
//|                    ... send the order with registry.Tag(signal)  |
//|                    in its comment, then Placed or Failed         |
//|    OnDeinit  registry.Deinit(reason)                             |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_MQH
#define DEVICE_REGISTRY_MQH

#include <DeviceRegistry/Platform.mqh>
#include <DeviceRegistry/Exchange.mqh>
#include <DeviceRegistry/Store.mqh>
#include <DeviceRegistry/Journal.mqh>

#define DR_PATH_DEVICE         "/api/v1/device"
#define DR_PATH_ENROL          "/api/v1/device/enrol"
#define DR_PATH_CONTEXT        "/api/v1/device/context"
#define DR_PATH_POLL           "/api/v1/device/poll"
#define DR_PATH_ACK            "/api/v1/device/ack"
#define DR_PATH_RELEASE        "/api/v1/device/release"
#define DR_MAX_SIGNALS         10       // of one poll
#define DR_MAX_OLD_SIGNALS     50       // of one poll after a takeover, so that old signals do not hide new ones
#define DR_MAX_ACKS            40       // of one request: below 64 KiB with the longest texts
#define DR_MAX_CANCELLED       1000
//--- times in milliseconds
#define DR_TIMEOUT             3000
#define DR_POLL_INTERVAL       1000     // unless the registry names another
#define DR_MIN_POLL_INTERVAL   250
#define DR_MAX_POLL_INTERVAL   60000
#define DR_FRESH               10000    // how long after a poll its signals may be traded
#define DR_LOCK_INTERVAL       2000
#define DR_LIST_INTERVAL       10000    // while the address is not in the list of the terminal
#define DR_IN_USE_INTERVAL     5000
#define DR_REFUSED_INTERVAL    30000    // after a refusal that the registry signed
#define DR_UNSIGNED_INTERVAL   60000    // after the third refusal in a row that nobody signed
#define DR_UNSIGNED_QUICK      2        // refusals before that
#define DR_RELEASE_TIMEOUT     1000     // within the 2.5 s of OnDeinit
#define DR_RECONCILE_WAIT      10000    // connected for so long: positions and history are complete
//--- the Swift client's RetryPolicy
#define DR_FIRST_PAUSE         250
#define DR_MAX_PAUSE           30000
#define DR_MAX_RETRY_AFTER     120      // seconds
#define DR_STATE_TOLERANCE     5        // seconds that the clock's offset may change by before it is stored
#define DR_STATE_INTERVAL      10       // seconds after which the time of the last poll is stored again
#define DR_CUSTODY_TOLERANCE   15       // seconds that the registry's record of the last poll may be later than ours
#define DR_CUSTODY_UNKNOWN     (-1)     // it begins with the next poll that succeeds
#define DR_CUSTODY_MARGIN      60       // seconds in which the former terminal may report what it did
#define DR_GRACE               900      // seconds

//+------------------------------------------------------------------+
//| A signal. The payload is a JSON object, as the owner sent it.    |
//+------------------------------------------------------------------+
struct SRegistrySignal
  {
   string            id;
   string            payload;
   datetime          created_at;    // UTC
   datetime          expires_at;    // UTC
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
class CDeviceRegistry
  {
private:
   //--- settings
   int               m_timeout;
   int               m_wait;           // seconds of a long poll
   int               m_grace;          // seconds
   bool              m_allows_insecure_http;
   string            m_device_name;
   string            m_program;
   string            m_program_version;
   string            m_symbol;
   string            m_code;
   string            m_code_key;       // Idempotency-Key of its use
   long              m_magic;
   int               m_reconcile_wait;
   //--- parts
   CSignedExchange   m_exchange;
   CDeviceStore      m_store;
   CSignalJournal    m_journal;
   string            m_id;             // empty until the device is enrolled
   //--- where it is
   bool              m_is_started;     // Init was called, and its arguments are well-formed
   bool              m_is_running;     // locked, and the journal is open
   ENUM_DR_RESULT    m_result;
   string            m_text;
   string            m_printed;
   bool              m_has_alerted;
   //--- schedule
   int               m_failures;       // in a row
   int               m_refusals;       // that nobody signed, in a row
   ulong             m_next_attempt;
   ulong             m_next_poll;
   ulong             m_next_lock;
   ulong             m_poll_interval;
   ulong             m_random;
   int               m_acks_at_once;
   //--- lease
   string            m_instance;
   bool              m_takes_over;     // asked to, if another terminal has the device
   bool              m_sees_holder;    // the last poll was refused because one has
   bool              m_has_lease;      // the last poll was answered with signals, or none
   bool              m_is_blocked;     // the last answer that the registry signed was a refusal
   bool              m_has_polled;
   ulong             m_poll_ticks;     // of the last poll that succeeded
   long              m_poll_gmt;
   bool              m_is_identified;  // whether another terminal had the device is decided
   bool              m_was_elsewhere;  // it had, or may have had: m_state.custody begins with the next poll
   string            m_holder_since;   // what the registry said of another terminal that has the device
   ulong             m_connected_since;
   //--- context
   string            m_account_sent;   // "login@server"; empty until it is sent
   ulong             m_next_context;
   //--- trading mode
   SDeviceState      m_state;
   SDeviceState      m_stored;         // what the file has
   bool              m_confirms_mode;  // a poll or an acknowledgement was answered with it
   //--- signals of the last poll that have no entry in the journal
   SRegistrySignal   m_queue[];
   bool              m_is_offered[];   // given to the EA
   int               m_queue_count;
   string            m_cancelled[];

   void              Reset(void);
   void              Explain(const ENUM_DR_RESULT result,const string text);
   ulong             Random(const ulong bound);
   ulong             Pause(const int failures,const long retry_after);
   bool              Run(const string id,const string secret);
   bool              TakeLock(void);
   void              DrawInstance(void);
   void              Step(void);
   void              Enrol(void);
   void              Poll(void);
   void              Acknowledge(void);
   void              SendContext(void);
   void              Reconcile(void);
   void              Release(const int timeout);
   void              Settle(const ENUM_DR_RESULT result);
   string            RefusalText(void);
   int               PendingAcks(void) const;
   void              ReadPoll(const ulong duration);
   void              ReadSignal(const int token,const SRegistrySignal &earlier[],const bool &offered[],const int count);
   void              ReadMode(void);
   void              ForgetState(SDeviceState &state) const;
   void              KeepState(const bool always);
   void              Identify(void);
   void              NoteHolder(void);
   bool              IsFresh(void) const;
   bool              IsCancelled(const string id) const;
   int               Queued(const string id) const;
   void              Unqueue(const string id);
   bool              Report(const SRegistrySignal &signal,const string status,const string ticket,const string error);

public:
                     CDeviceRegistry(void);
   //--- settings; before Init
   void              Timeout(const int milliseconds);             // of one request; 500 to 60000
   void              Wait(const int seconds);                     // long polls, for services; 0 to 25
   void              Grace(const int seconds);                    // silence of the registry after which CanOpen is false
   void              AllowInsecureHttp(const bool allow) { m_allows_insecure_http=allow; }
   void              Program(const string name,const string version,const string symbol);
   void              DeviceName(const string name) { m_device_name=name; }
   void              ReconcileWait(const int milliseconds) { m_reconcile_wait=milliseconds; }
   //--- sends nothing; false if an argument is malformed, and StatusText says which. `credential` is an enrolment code,
   //--- or the secret of `device`, or empty if the secret is stored already. With a code, `device` may be empty.
   bool              Init(const string url,const string device,const string credential,const long magic);
   void              Deinit(const int reason);
   //--- sends at most one request
   void              OnTimer(void);
   //--- a signal that was not given out before
   bool              NextSignal(SRegistrySignal &signal);
   //--- whether the signal may be traded now; then it is noted on disk, and must be reported with one of the next three
   bool              Begin(const SRegistrySignal &signal);
   //--- false if it could not be written to disk; it is reported nevertheless
   bool              Placed(const SRegistrySignal &signal,const ulong ticket);
   bool              Failed(const SRegistrySignal &signal,const string error);
   bool              Skipped(const SRegistrySignal &signal,const string reason);
   //--- the broker did not say whether the order was executed: the account is searched for it, and the outcome reported
   void              Uncertain(const SRegistrySignal &signal);
   //--- a text for the order's comment, by which the trade is found after a crash; 18 characters
   string            Tag(const SRegistrySignal &signal) const { return(TagOf(signal.id)); }
   static string     TagOf(const string id);
   //--- whether the EA may open positions. Managing and closing them is never forbidden.
   bool              CanOpen(void) const;
   ENUM_DR_MODE      Mode(void) const { return(m_state.mode); }
   string            ModeReason(void) const { return(m_state.mode_reason); }
   //--- takes the device over, if another terminal has it when this one polls next
   void              TakeOver(void) { m_takes_over=true; m_next_poll=0; m_next_attempt=0; }
   ENUM_DR_RESULT    LastResult(void) const { return(m_result); }
   string            StatusText(void) const { return(m_text); }
   string            DeviceId(void) const { return(m_id); }
   string            Instance(void) const { return(m_instance); }
   //--- the registry's time minus this computer's, in seconds
   long              ClockOffset(void) const { return(m_exchange.ClockOffset()); }
   //--- the registry's time, UTC
   datetime          Now(void) const { return((datetime)m_exchange.Now()); }
   //--- milliseconds since the registry last answered a poll
   ulong             Silence(void) const;
   //--- outcomes that the registry does not know yet
   int               Unreported(void) const { return(PendingAcks()); }
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
CDeviceRegistry::CDeviceRegistry(void) : m_timeout(DR_TIMEOUT),m_wait(0),m_grace(DR_GRACE),m_allows_insecure_http(false),
                                         m_device_name(""),m_program(""),m_program_version(""),m_symbol(""),m_code(""),m_code_key(""),m_magic(0),
                                         m_reconcile_wait(DR_RECONCILE_WAIT),m_id(""),m_random(0),m_instance(""),m_queue_count(0)
  {
   Reset();
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Reset(void)
  {
   m_is_started=false;
   m_is_running=false;
   m_result=DR_OFFLINE;
   m_text="not started";
   m_printed="";
   m_has_alerted=false;
   m_failures=0;
   m_refusals=0;
   m_next_attempt=0;
   m_next_poll=0;
   m_next_lock=0;
   m_poll_interval=DR_POLL_INTERVAL;
   m_acks_at_once=DR_MAX_ACKS;
   m_takes_over=false;
   m_sees_holder=false;
   m_has_lease=false;
   m_is_blocked=false;
   m_has_polled=false;
   m_poll_ticks=0;
   m_poll_gmt=0;
   m_is_identified=false;
   m_was_elsewhere=false;
   m_holder_since="";
   m_connected_since=0;
   m_account_sent="";
   m_next_context=0;
   ForgetState(m_state);
   ForgetState(m_stored);
   m_confirms_mode=false;
   m_queue_count=0;
   ArrayResize(m_cancelled,0);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Timeout(const int milliseconds)
  {
   m_timeout=milliseconds<500 ? 500 : (milliseconds>60000 ? 60000 : milliseconds);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Wait(const int seconds)
  {
   m_wait=seconds<0 ? 0 : (seconds>25 ? 25 : seconds);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Grace(const int seconds)
  {
   m_grace=seconds<1 ? 1 : seconds;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Program(const string name,const string version,const string symbol)
  {
   m_program=name;
   m_program_version=version;
   m_symbol=symbol;
  }
//+------------------------------------------------------------------+
//| A change of the state is printed once                            |
//+------------------------------------------------------------------+
void CDeviceRegistry::Explain(const ENUM_DR_RESULT result,const string text)
  {
   m_result=result;
   m_text=text;
   if(m_printed!=text)
      Print("Device registry: ",text,result==DR_REFUSED || result==DR_BUSY ? " [request "+m_exchange.RequestId()+"]" : "");
   m_printed=text;
  }
//+------------------------------------------------------------------+
//| A number below a bound, to spread attempts (xorshift)            |
//+------------------------------------------------------------------+
ulong CDeviceRegistry::Random(const ulong bound)
  {
   if(m_random==0)
      m_random=(GetMicrosecondCount()+DrTicks()*1000003+(ulong)TimeLocal())*2654435761+(ulong)ChartID()+1;
   m_random^=m_random<<13;
   m_random^=m_random>>7;
   m_random^=m_random<<17;
   return(bound==0 ? 0 : m_random%bound);
  }
//+------------------------------------------------------------------+
//| The pause after a number of failures in a row. Half of it is     |
//| random, so that terminals that failed together do not return     |
//| together; for the same reason it is added to Retry-After.        |
//+------------------------------------------------------------------+
ulong CDeviceRegistry::Pause(const int failures,const long retry_after)
  {
   ulong longest=DR_FIRST_PAUSE;
   for(int i=1; i<failures && longest<DR_MAX_PAUSE; i++)
      longest*=2;
   if(longest>DR_MAX_PAUSE)
      longest=DR_MAX_PAUSE;
   long required=retry_after>DR_MAX_RETRY_AFTER ? DR_MAX_RETRY_AFTER : retry_after;
   return((ulong)required*1000+longest-longest/2+Random(longest/2+1));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Init(const string url,const string device,const string credential,const long magic)
  {
   m_journal.Close();
   m_store.Close();
   m_exchange.ForgetDevice();
   Reset();
   m_id="";
   m_code="";
   m_code_key=DrFingerprint(IntegerToString((long)TimeLocal())+"/"+IntegerToString((long)GetMicrosecondCount())+"/"+
                            IntegerToString((long)DrTicks())+"/"+IntegerToString(ChartID())+"/"+DrMachine(),32);
   m_magic=magic;
   if(m_program=="")
      m_program=MQLInfoString(MQL_PROGRAM_NAME);
   string reason="",secret="",id=device,text=credential;
   StringTrimLeft(id);
   StringTrimRight(id);
   StringToLower(id);
   StringTrimLeft(text);
   StringTrimRight(text);
   if(!m_exchange.SetUrl(url,m_allows_insecure_http,reason))
     {
      Explain(DR_OFFLINE,reason);
      return(false);
     }
   if(id!="" && !DrIsUuid(id))
     {
      Explain(DR_OFFLINE,"the device's id must be a UUID, as the owner sees it");
      return(false);
     }
   if(DrIsTester())
     {
      m_is_started=true;
      Explain(DR_OFFLINE,"the Strategy Tester sends nothing");
      return(true);
     }
   if(DrIsHex(text,DR_SECRET_SIZE))
     {
      if(id=="")
        {
         Explain(DR_OFFLINE,"a secret needs the device's id; or use an enrolment code");
         return(false);
        }
      //--- a stored secret may be newer: it replaces the one of an input that is still there from an earlier time
      if(!m_store.LoadSecret(id,secret))
        {
         secret=text;
         if(!m_store.SaveSecret(id,secret,""))
            Print("Device registry: cannot store the secret in the common folder of the terminals");
        }
     }
   else
     {
      if(text!="" && StringLen(text)>100)
        {
         Explain(DR_OFFLINE,"the enrolment code is too long; copy it again");
         return(false);
        }
      string found="";
      if(text!="" && m_store.FindCode(text,found))
         id=found;
      else
         if(text!="")
           {
            m_code=text;
            id="";
           }
      if(m_code=="" && (id=="" || !m_store.LoadSecret(id,secret)))
        {
         Explain(DR_OFFLINE,"an enrolment code is needed; ask the owner of the device for one");
         return(false);
        }
     }
   m_is_started=true;
   if(m_code!="")
     {
      Explain(DR_OFFLINE,"not enrolled yet");
      return(true);
     }
   if(!Run(id,secret))
     {
      m_is_started=false;
      Explain(DR_INTERNAL,"the terminal cannot compute SHA-256");
      return(false);
     }
   return(true);
  }
//+------------------------------------------------------------------+
//| Begins as a device whose secret is known                         |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Run(const string id,const string secret)
  {
   if(!m_exchange.SetDevice(id,secret))
      return(false);
   m_id=id;
   DrawInstance();
   TakeLock();
   return(true);
  }
//+------------------------------------------------------------------+
//| Only the holder of the lock reads and writes journal and state   |
//+------------------------------------------------------------------+
bool CDeviceRegistry::TakeLock(void)
  {
   m_next_lock=DrTicks()+DR_LOCK_INTERVAL;
   if(!m_store.Lock(m_id))
     {
      Explain(DR_IN_USE,"another chart or terminal of this Windows user runs this device; remove the EA there, or enrol this one as "
              "another device");
      return(false);
     }
   if(!m_journal.Open(m_store.JournalFile()))
     {
      m_store.Close();
      Explain(DR_INTERNAL,"cannot write the journal in the common folder of the terminals; check free space and access rights");
      return(false);
     }
   m_store.LoadState(m_state);
   m_stored=m_state;
   m_was_elsewhere=m_state.custody==DR_CUSTODY_UNKNOWN;
   m_exchange.SetClockOffset(m_state.offset);
   m_is_running=true;
   Explain(DR_OFFLINE,"starting");
   return(true);
  }
//+------------------------------------------------------------------+
//| The instance is drawn once in a run of the terminal, and kept in |
//| its memory: an EA that starts again continues its lease, and a   |
//| copied folder does not.                                          |
//+------------------------------------------------------------------+
void CDeviceRegistry::DrawInstance(void)
  {
   string name="DeviceRegistry."+m_id;
   if(!GlobalVariableCheck(name))
     {
      GlobalVariableTemp(name);
      string text=DrFingerprint(m_exchange.RandomText("draw/"+IntegerToString((long)TimeLocal())+"/"+
                                IntegerToString((long)DrTicks())+"/"+IntegerToString((long)GetMicrosecondCount())+"/"+
                                IntegerToString(ChartID())),12);
      double drawn=0;
      for(int i=0; i<StringLen(text); i++)
         drawn=drawn*16+DrHexDigit(StringGetCharacter(text,i));
      GlobalVariableSet(name,drawn);
     }
   m_instance=m_exchange.RandomText("instance/"+IntegerToString((long)GlobalVariableGet(name))+"/"+DrMachine());
  }
//+------------------------------------------------------------------+
//| The journal is on disk already. What removes the EA also gives   |
//| the device up, unless the registry lacks an outcome; what starts |
//| the EA again at once does not.                                   |
//+------------------------------------------------------------------+
void CDeviceRegistry::Deinit(const int reason)
  {
   bool leaves=reason==REASON_REMOVE || reason==REASON_CHARTCLOSE || reason==REASON_CLOSE || reason==REASON_PROGRAM;
   if(m_is_running && m_has_lease)
      KeepState(true);
   if(leaves && m_is_running && m_has_lease && m_journal.IsSettled())
      Release(DR_RELEASE_TIMEOUT);
   m_journal.Close();
   m_store.Close();
   m_exchange.ForgetDevice();
   m_is_running=false;
   m_is_started=false;
   m_has_lease=false;
   m_queue_count=0;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::OnTimer(void)
  {
   if(!m_is_started || DrIsTester())
      return;
   if(!m_is_running && m_code=="")
     {
      if(DrTicks()<m_next_lock || !TakeLock())
         return;
     }
   if(m_is_running)
     {
      m_journal.Maintain(m_exchange.Now());
      Reconcile();
     }
   if(DrTicks()>=m_next_attempt)
      Step();
  }
//+------------------------------------------------------------------+
//| The one request of this timer event                              |
//+------------------------------------------------------------------+
void CDeviceRegistry::Step(void)
  {
   if(m_code!="")
     {
      Enrol();
      return;
     }
   if(PendingAcks()>0)
     {
      Acknowledge();
      return;
     }
   if(!m_is_identified)
     {
      Identify();
      return;
     }
   string account=DrAccount();
   if(AccountInfoInteger(ACCOUNT_LOGIN)!=0 && account!=m_account_sent && DrTicks()>=m_next_context)
     {
      SendContext();
      return;
     }
   if(DrTicks()>=m_next_poll)
      Poll();
  }
//+------------------------------------------------------------------+
//| When to try again, and what to say                               |
//+------------------------------------------------------------------+
void CDeviceRegistry::Settle(const ENUM_DR_RESULT result)
  {
   ulong pause=0;
   if(result==DR_OK)
     {
      m_failures=0;
      m_refusals=0;
      m_next_attempt=0;
      return;
     }
   m_failures++;
   bool is_signed=m_exchange.IsSigned();
   if(is_signed && (result==DR_REFUSED || result==DR_IN_USE))
     {
      m_is_blocked=true;
      m_has_lease=false;
      m_queue_count=0;                 // another terminal may get them
     }
   m_refusals=result==DR_REFUSED && !is_signed ? m_refusals+1 : 0;
   string text="";
   switch(result)
     {
      case DR_NOT_ALLOWED:
         pause=DR_LIST_INTERVAL;
         text="add "+m_exchange.Origin()+" to Tools > Options > Expert Advisors > Allow WebRequest (and use an EA, a script or a "
              "service: indicators may not call)";
         break;
      case DR_NETWORK:
         pause=Pause(m_failures,0);
         text=DrNetworkText(m_exchange.Error());
         break;
      case DR_FORGED:
         pause=Pause(m_failures,0);
         text="the answer (status "+IntegerToString(m_exchange.Status())+") is not signed by the registry and is ignored; check the "
              "address, and that no proxy or antivirus program changes answers";
         break;
      case DR_BUSY:
         pause=Pause(m_failures,m_exchange.RetryAfter());
         text="the registry asks to try again later: "+RefusalText();
         break;
      case DR_IN_USE:
         pause=m_takes_over ? 0 : DR_IN_USE_INTERVAL;
         text=RefusalText();
         break;
      case DR_REFUSED:
         if(m_exchange.ShouldTryAgain())
            pause=0;
         else
            if(is_signed)
               pause=DR_REFUSED_INTERVAL;
            else
               pause=m_refusals>DR_UNSIGNED_QUICK ? DR_UNSIGNED_INTERVAL : Pause(m_failures,m_exchange.RetryAfter());
         text=RefusalText();
         break;
      default:
         pause=Pause(m_failures,0);
         text="the terminal failed, or the registry's answer is not understood; update the library";
         break;
     }
   if(m_exchange.ShouldTryAgain())
      pause=0;
   m_next_attempt=DrTicks()+pause;
   if(result==DR_NOT_ALLOWED && !m_has_alerted)
     {
      m_has_alerted=true;
      Alert("Device registry: ",text);
     }
   Explain(result,text);
  }
//+------------------------------------------------------------------+
//| What a refusal means, and what to do about it                    |
//+------------------------------------------------------------------+
string CDeviceRegistry::RefusalText(void)
  {
   string kind=m_exchange.Kind();
   string text="",value="";
   if(kind=="")
      text="status "+IntegerToString(m_exchange.Status())+" without a problem of the registry: check the address, or a proxy answered";
   if(kind=="signature-invalid" || kind=="signature-missing")
      text="unknown device or wrong secret; if the owner made a new secret, ask for an enrolment code";
   if(kind=="enrolment-invalid")
      text="the enrolment code is wrong, used or expired; ask the owner for another one";
   if(kind=="secret-already-shown")
     {
      m_exchange.m_json.GetText("device_id",value);
      text="the code was used, but the answer with the secret was lost; ask the owner for a code of the device "+DrOneLine(value,36);
     }
   if(kind=="clock-skew")
      text="the clock of this computer is wrong; it is corrected when the registry confirms its time";
   if(m_exchange.IsSigned() || kind=="enrolment-invalid")
     {
      if(kind=="device-revoked")
         text="the device is revoked; ask its owner for an enrolment code of another device";
      if(kind=="device-suspended")
        {
         text="the device is suspended";
         if(m_exchange.m_json.GetText("until",value))
            text+=" until "+DrOneLine(value,30);
        }
      if(kind=="device-expired")
         text="the device has expired; ask its owner to extend it";
      if(kind=="client-suspended")
         text="the owner's account at the registry is suspended";
      if(kind=="account-not-bound")
         text="the owner allows this device for another trading account only, not for "+DrAccount();
      if(kind=="device-in-use")
        {
         text="another terminal uses this device";
         if(m_exchange.m_json.GetText("last_poll",value))
            text+=", last at "+DrOneLine(value,30);
         text+="; stop the EA there, or take the device over";
        }
      if(m_exchange.m_json.GetText("reason",value) && value!="")
         text+=" ("+DrOneLine(value,200)+")";
     }
   if(text=="")
      text=kind+": "+m_exchange.Detail();
   return(text);
  }
//+------------------------------------------------------------------+
//| The answer cannot be signed, because there is no key yet. So a   |
//| code is sent only where TLS protects it, or on this machine.     |
//+------------------------------------------------------------------+
void CDeviceRegistry::Enrol(void)
  {
   if(!m_exchange.IsPrivate())
     {
      m_next_attempt=DrTicks()+DR_UNSIGNED_INTERVAL;
      Explain(DR_OFFLINE,"an enrolment code is only sent over https");
      return;
     }
   CJsonWriter body;
   body.BeginObject();
   body.TextMember("code",m_code);
   if(m_device_name!="")
      body.TextMember("device_name",m_device_name);
   body.EndObject();
   ENUM_DR_RESULT result=m_exchange.SendUnsigned("POST",DR_PATH_ENROL,body.Result(),m_code_key,m_timeout);
   string id="",secret="";
   if(result==DR_OK && (!m_exchange.m_json.GetText("id",id) || !m_exchange.m_json.GetText("secret",secret) || !DrIsUuid(id) ||
                        !DrIsHex(secret,DR_SECRET_SIZE)))
      result=DR_FORGED;
   Settle(result);
   if(result!=DR_OK)
      return;
   if(!m_store.SaveSecret(id,secret,m_code))
      Print("Device registry: cannot store the secret in the common folder of the terminals; enrol again after a restart");
   m_exchange.m_json.Clear();
   m_code="";
   Run(id,secret);
  }
//+------------------------------------------------------------------+
//| Tells the registry where the device runs                         |
//+------------------------------------------------------------------+
void CDeviceRegistry::SendContext(void)
  {
   long trade_mode=AccountInfoInteger(ACCOUNT_TRADE_MODE);
   string account=DrAccount();
   CJsonWriter body;
   body.BeginObject();
   body.Name("account");
   body.BeginObject();
   body.TextMember("login",IntegerToString(AccountInfoInteger(ACCOUNT_LOGIN)));
   body.TextMember("server",AccountInfoString(ACCOUNT_SERVER));
   body.TextMember("mode",trade_mode==(long)ACCOUNT_TRADE_MODE_DEMO ? "demo" : (trade_mode==(long)ACCOUNT_TRADE_MODE_CONTEST ?
                   "contest" : "real"));
   body.EndObject();
   body.Name("terminal");
   body.BeginObject();
   body.TextMember("name",TerminalInfoString(TERMINAL_NAME));
   body.TextMember("build",IntegerToString(TerminalInfoInteger(TERMINAL_BUILD)));
   body.EndObject();
   body.Name("program");
   body.BeginObject();
   body.TextMember("name",m_program);
   body.TextMember("version",m_program_version!="" ? m_program_version : DR_VERSION);
   if(m_symbol!="")
      body.TextMember("symbol",m_symbol);
   body.TextMember("magic",IntegerToString(m_magic));
   body.EndObject();
   body.EndObject();
   ENUM_DR_RESULT result=m_exchange.Send("PUT",DR_PATH_CONTEXT,"",body.Result(),m_timeout);
   if(result==DR_OK)
      m_account_sent=account;
//--- signals do not wait for it: whether they need it, the registry decides
   if(result==DR_REFUSED && !m_exchange.ShouldTryAgain())
     {
      m_next_context=DrTicks()+DR_UNSIGNED_INTERVAL;
      result=DR_OK;
     }
   Settle(result);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Release(const int timeout)
  {
   CJsonWriter body;
   body.BeginObject();
   body.TextMember("instance",m_instance);
   body.EndObject();
   m_exchange.Send("POST",DR_PATH_RELEASE,"",body.Result(),timeout);
   m_has_lease=false;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CDeviceRegistry::PendingAcks(void) const
  {
   return(m_journal.Unacknowledged());
  }
//+------------------------------------------------------------------+
//| An acknowledgement may be repeated: the first one counts         |
//+------------------------------------------------------------------+
void CDeviceRegistry::Acknowledge(void)
  {
   CJsonWriter body;
   string sent[];
   SJournalEntry entry;
   int count=0;
   ArrayResize(sent,m_acks_at_once);
   body.BeginObject();
   body.Name("acks");
   body.BeginArray();
   for(int i=0; i<m_journal.Count() && count<m_acks_at_once; i++)
     {
      if(!m_journal.Get(i,entry) || entry.state!=DR_ENTRY_DONE)
         continue;
      body.BeginObject();
      body.TextMember("signal_id",entry.id);
      body.TextMember("status",entry.status);
      if(entry.ticket!="")
         body.TextMember("broker_ticket",entry.ticket);
      if(entry.error!="")
         body.TextMember("error",entry.error);
      body.EndObject();
      sent[count]=entry.id;
      count++;
     }
   body.EndArray();
   body.EndObject();
   ArrayResize(sent,count);
   ENUM_DR_RESULT result=m_exchange.Send("POST",DR_PATH_ACK,"",body.Result(),m_timeout);
   if(result==DR_OK)
     {
      string known[];
      int size=0;
      ArrayResize(known,count);
      for(int list=0; list<2; list++)
        {
         int ids=m_exchange.m_json.Member(0,list==0 ? "acked" : "unknown");
         for(int token=m_exchange.m_json.First(ids); token>=0 && size<count; token=m_exchange.m_json.Next(ids,token))
           {
            string id="";
            if(m_exchange.m_json.Text(token,id))
              {
               known[size]=id;
               size++;
              }
           }
        }
      ArrayResize(known,size);
      m_journal.Acked(known);
      m_acks_at_once=DR_MAX_ACKS;
      ReadMode();
      if(size==0)
         result=DR_INTERNAL;
     }
//--- one acknowledgement that the registry does not accept must not hold back the others
   if(result==DR_REFUSED && m_exchange.IsSigned() && (m_exchange.Status()==400 || m_exchange.Status()==413))
     {
      if(count==1)
        {
         Print("Device registry: the registry refuses the acknowledgement of ",sent[0],": ",RefusalText());
         m_journal.Acked(sent);
        }
      m_acks_at_once=1;
      result=DR_OK;
     }
   Settle(result);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Poll(void)
  {
//--- the first one does not wait, so that the state is known
   int wait=m_has_polled && !m_is_blocked ? m_wait : 0;
   int most=m_exchange.Now()<=m_state.custody/1000+2*DR_CUSTODY_MARGIN ? DR_MAX_OLD_SIGNALS : DR_MAX_SIGNALS;
   string query="?wait="+IntegerToString(wait)+"&max="+IntegerToString(most)+"&instance="+m_instance;
   if(m_confirms_mode && m_state.mode_version>0)
      query+="&mode_version="+IntegerToString(m_state.mode_version);
   bool takes=m_takes_over && m_sees_holder;
   if(takes)
      query+="&takeover=1";
//--- noted before the registry knows, in case the program ends before it has read the answer
   m_was_elsewhere=m_was_elsewhere || takes;
   if(m_state.instance!=m_instance || (m_was_elsewhere && m_state.custody!=DR_CUSTODY_UNKNOWN))
     {
      m_state.instance=m_instance;
      if(m_was_elsewhere)
         m_state.custody=DR_CUSTODY_UNKNOWN;
      KeepState(true);
     }
   ENUM_DR_RESULT result=m_exchange.Send("GET",DR_PATH_POLL,query,"",wait*1000+m_timeout);
   if(result==DR_OK && m_exchange.m_json.Type(m_exchange.m_json.Member(0,"signals"))!=DR_JSON_ARRAY)
      result=DR_INTERNAL;
   if(result==DR_OK)
      ReadPoll(m_exchange.Duration());
   else
     {
      if(result==DR_IN_USE)
         NoteHolder();
      if(m_exchange.IsSigned() && m_exchange.Kind()=="account-not-bound")
         m_account_sent="";
     }
   Settle(result);
   if(result==DR_OK)
      Explain(DR_OK,m_state.mode==DR_MODE_NORMAL ? "connected" : "connected; trading mode "+DrModeName(m_state.mode)+
              (m_state.mode_reason=="" ? "" : " ("+m_state.mode_reason+")"));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::ReadPoll(const ulong duration)
  {
   ulong now=DrTicks();
   ulong transit=duration<(ulong)m_timeout ? duration : (ulong)m_timeout;
   m_poll_ticks=now-transit;
   m_poll_gmt=(long)TimeGMT()-(long)(transit/1000);
   m_has_polled=true;
   m_has_lease=true;
   m_is_blocked=false;
   if(m_was_elsewhere)
     {
      string time="";
      if(!m_exchange.m_json.GetText("server_time",time) || !DrParseTime(time,m_state.custody))
         m_state.custody=(m_exchange.Now()+1)*1000;
     }
   m_takes_over=false;
   m_sees_holder=false;
   m_was_elsewhere=false;
   m_holder_since="";
   m_state.last_poll=m_exchange.Now();
   ReadMode();

   string id="";
   int list=m_exchange.m_json.Member(0,"cancelled");
   int count=0;
   ArrayResize(m_cancelled,0);
   for(int token=m_exchange.m_json.First(list); token>=0 && count<DR_MAX_CANCELLED; token=m_exchange.m_json.Next(list,token))
     {
      if(!m_exchange.m_json.Text(token,id))
         continue;
      ArrayResize(m_cancelled,count+1);
      m_cancelled[count]=id;
      count++;
     }

   SRegistrySignal earlier[];
   bool offered[];
   int size=m_queue_count;
   ArrayResize(earlier,size);
   ArrayResize(offered,size);
   for(int i=0; i<size; i++)
     {
      earlier[i]=m_queue[i];
      offered[i]=m_is_offered[i];
     }
   m_queue_count=0;
   list=m_exchange.m_json.Member(0,"signals");
   for(int token=m_exchange.m_json.First(list); token>=0; token=m_exchange.m_json.Next(list,token))
      ReadSignal(token,earlier,offered,size);

   long interval=DR_POLL_INTERVAL;
   m_exchange.m_json.GetInteger("next_poll_ms",interval);
   if(interval<DR_MIN_POLL_INTERVAL)
      interval=DR_MIN_POLL_INTERVAL;
   if(interval>DR_MAX_POLL_INTERVAL)
      interval=DR_MAX_POLL_INTERVAL;
   if(m_queue_count>0 && interval>DR_POLL_INTERVAL)
      interval=DR_POLL_INTERVAL;       // signals may be traded only while polls succeed
   m_poll_interval=(ulong)interval;
   if(m_exchange.RetryAfter()>0)
      m_next_poll=now+Pause(1,m_exchange.RetryAfter());
   else
      m_next_poll=m_wait>0 ? now : now-duration+m_poll_interval;
   KeepState(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::ReadSignal(const int token,const SRegistrySignal &earlier[],const bool &offered[],const int count)
  {
   string id="",created="",expires="";
   long created_at=0,expires_at=0;
   if(!m_exchange.m_json.Text(m_exchange.m_json.Member(token,"id"),id) || !DrIsUuid(id) || m_journal.Find(id)>=0 ||
      IsCancelled(id) || m_queue_count>=DR_MAX_SIGNALS)
      return;
   int payload=m_exchange.m_json.Member(token,"payload");
   if(!m_exchange.m_json.Text(m_exchange.m_json.Member(token,"created_at"),created) || !DrParseTime(created,created_at) ||
      !m_exchange.m_json.Text(m_exchange.m_json.Member(token,"expires_at"),expires) || !DrParseTime(expires,expires_at) ||
      m_exchange.m_json.Type(payload)!=DR_JSON_OBJECT)
     {
      //--- otherwise the registry would send it again and again
      Print("Device registry: signal ",id," cannot be read");
      m_journal.Done(id,m_exchange.Now(),"failed","","this version of the client cannot read the signal");
      return;
     }
//--- the former terminal may have traded it, and is given time to say so
   if(created_at<=m_state.custody)
     {
      if(m_exchange.Now()>m_state.custody/1000+DR_CUSTODY_MARGIN)
         m_journal.Done(id,expires_at/1000,"skipped","","sent before this terminal had the device");
      return;
     }
   if(m_queue_count>=ArraySize(m_queue))
     {
      ArrayResize(m_queue,m_queue_count+1);
      ArrayResize(m_is_offered,m_queue_count+1);
     }
   m_queue[m_queue_count].id=id;
   m_queue[m_queue_count].payload=m_exchange.m_json.Raw(payload);
   m_queue[m_queue_count].created_at=(datetime)(created_at/1000);
   m_queue[m_queue_count].expires_at=(datetime)(expires_at/1000);
   m_is_offered[m_queue_count]=false;
   for(int i=0; i<count; i++)
      if(earlier[i].id==id)
         m_is_offered[m_queue_count]=offered[i];
   m_queue_count++;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::ReadMode(void)
  {
   int object=m_exchange.m_json.Member(0,"trading_mode");
   string name="",reason="";
   long version=0;
   if(!m_exchange.m_json.Text(m_exchange.m_json.Member(object,"mode"),name) ||
      !m_exchange.m_json.Integer(m_exchange.m_json.Member(object,"version"),version))
      return;
   m_exchange.m_json.Text(m_exchange.m_json.Member(object,"reason"),reason);
   ENUM_DR_MODE mode=DrModeOf(name);
   if(mode!=m_state.mode)
      Print("Device registry: trading mode ",DrModeName(mode)," ",DrOneLine(reason,200));
   m_state.mode=mode;
   m_state.mode_version=version;
   m_state.mode_reason=DrOneLine(reason,200);
   m_confirms_mode=true;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::ForgetState(SDeviceState &state) const
  {
   state.offset=0;
   state.instance="";
   state.last_poll=0;
   state.custody=0;
   state.mode=DR_MODE_NORMAL;
   state.mode_version=0;
   state.mode_reason="";
  }
//+------------------------------------------------------------------+
//| Stores what signed answers changed                               |
//+------------------------------------------------------------------+
void CDeviceRegistry::KeepState(const bool always)
  {
   m_state.offset=m_exchange.ClockOffset();
   long difference=m_state.offset-m_stored.offset;
   bool same=m_stored.mode==m_state.mode && m_stored.mode_version==m_state.mode_version &&
             m_stored.mode_reason==m_state.mode_reason && m_stored.instance==m_state.instance &&
             m_stored.custody==m_state.custody && m_state.last_poll-m_stored.last_poll<DR_STATE_INTERVAL &&
             difference>=-DR_STATE_TOLERANCE && difference<=DR_STATE_TOLERANCE;
   if(same && !always)
      return;
   if(m_store.SaveState(m_state))
      m_stored=m_state;
  }
//+------------------------------------------------------------------+
//| Whether another terminal had the device since this one polled    |
//| last. If it had, or if that is not known, it may have traded     |
//| what was sent until now and have ended before it could report    |
//| that. So this terminal trades only what is sent after its first  |
//| poll.                                                            |
//+------------------------------------------------------------------+
void CDeviceRegistry::Identify(void)
  {
   ENUM_DR_RESULT result=m_exchange.Send("GET",DR_PATH_DEVICE,"","",m_timeout);
   if(result==DR_OK)
     {
      string polled="",instance="";
      long last_poll=0;
      int holder=m_exchange.m_json.Member(0,"instance");
      bool never=!m_exchange.m_json.GetText("last_poll",polled) || !DrParseTime(polled,last_poll);
      bool same=m_state.instance!="" && m_exchange.m_json.Text(m_exchange.m_json.Member(holder,"id"),instance) &&
                instance==m_state.instance;
      m_was_elsewhere=m_was_elsewhere || (!never && !same && last_poll/1000>m_state.last_poll+DR_CUSTODY_TOLERANCE);
      m_is_identified=true;
     }
   Settle(result);
  }
//+------------------------------------------------------------------+
//| Another terminal has the device. After a restart it is this one, |
//| as it was before, until its lease ends.                          |
//+------------------------------------------------------------------+
void CDeviceRegistry::NoteHolder(void)
  {
   string since="";
   m_exchange.m_json.GetText("since",since);
   if(m_has_lease || (m_holder_since!="" && since!=m_holder_since))
      m_was_elsewhere=true;
   m_holder_since=since;
   m_sees_holder=true;
  }
//+------------------------------------------------------------------+
//| By the monotonic clock and by the computer's, whichever ran      |
//| further: the former may stop while the computer sleeps           |
//+------------------------------------------------------------------+
ulong CDeviceRegistry::Silence(void) const
  {
   ulong ticks=DrTicks()-m_poll_ticks;
   long seconds=(long)TimeGMT()-m_poll_gmt-1;     // whole seconds
   return(seconds>0 && (ulong)seconds*1000>ticks ? (ulong)seconds*1000 : ticks);
  }
//+------------------------------------------------------------------+
//| Whether this terminal certainly has the device now: another one  |
//| gets it only when this one has not polled for much longer        |
//+------------------------------------------------------------------+
bool CDeviceRegistry::IsFresh(void) const
  {
   return(m_has_lease && !m_is_blocked && Silence()<=DR_FRESH);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::IsCancelled(const string id) const
  {
   for(int i=0; i<ArraySize(m_cancelled); i++)
      if(m_cancelled[i]==id)
         return(true);
   return(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CDeviceRegistry::Queued(const string id) const
  {
   for(int i=0; i<m_queue_count; i++)
      if(m_queue[i].id==id)
         return(i);
   return(-1);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Unqueue(const string id)
  {
   int at=Queued(id);
   if(at<0)
      return;
   for(int i=at; i<m_queue_count-1; i++)
     {
      m_queue[i]=m_queue[i+1];
      m_is_offered[i]=m_is_offered[i+1];
     }
   m_queue_count--;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::NextSignal(SRegistrySignal &signal)
  {
   if(!m_is_running || m_state.mode==DR_MODE_HALTED || !m_journal.IsUsable() || !IsFresh())
      return(false);
   long now=m_exchange.Now();
   for(int i=0; i<m_queue_count; i++)
     {
      if(m_is_offered[i] || (long)m_queue[i].expires_at<=now)
         continue;
      m_is_offered[i]=true;
      signal=m_queue[i];
      return(true);
     }
   return(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Begin(const SRegistrySignal &signal)
  {
   int at=Queued(signal.id);
   if(at<0 || !m_is_running || m_journal.Find(signal.id)>=0)
      return(false);
   if(m_state.mode==DR_MODE_HALTED || !IsFresh())
     {
      m_is_offered[at]=false;          // it is given out again once that has changed
      return(false);
     }
   if((long)m_queue[at].expires_at<=m_exchange.Now())
      return(false);
   if(!m_journal.Intent(signal.id,(long)m_queue[at].expires_at,m_exchange.Now(),m_magic,DrAccount()))
     {
      m_is_offered[at]=false;
      return(false);
     }
   Unqueue(signal.id);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Report(const SRegistrySignal &signal,const string status,const string ticket,const string error)
  {
   if(!m_is_running)
      return(false);
   Unqueue(signal.id);
   return(m_journal.Done(signal.id,(long)signal.expires_at,status,ticket,error));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Placed(const SRegistrySignal &signal,const ulong ticket)
  {
   return(Report(signal,"placed",IntegerToString((long)ticket),""));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Failed(const SRegistrySignal &signal,const string error)
  {
   return(Report(signal,"failed","",error));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceRegistry::Skipped(const SRegistrySignal &signal,const string reason)
  {
   return(Report(signal,"skipped","",reason));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceRegistry::Uncertain(const SRegistrySignal &signal)
  {
   m_journal.Leave(signal.id);
   m_connected_since=0;                // gives the terminal time to learn about the order
  }
//+------------------------------------------------------------------+
//| The last 16 digits of the id, which are random                   |
//+------------------------------------------------------------------+
string CDeviceRegistry::TagOf(const string id)
  {
   string digits=id;
   StringReplace(digits,"-","");
   return("DR"+DrPart(digits,16,16));
  }
//+------------------------------------------------------------------+
//| An intent without an outcome: the terminal ended between the     |
//| two, or the broker did not answer. The account shows whether     |
//| there was an order. Without a trace of one it is not sent again. |
//+------------------------------------------------------------------+
void CDeviceRegistry::Reconcile(void)
  {
   if(!DrIsConnected())
     {
      m_connected_since=0;
      return;
     }
   if(m_connected_since==0)
      m_connected_since=DrTicks();
   if(!m_journal.HasOpenIntents())
      return;
   SJournalEntry entry;
   string ticket="";
   for(int i=0; i<m_journal.Count(); i++)
     {
      if(!m_journal.Get(i,entry) || entry.state!=DR_ENTRY_INTENT || !entry.is_earlier)
         continue;
      bool same=entry.account==DrAccount();
      if(same && DrFindTrade(entry.magic,TagOf(entry.id),(datetime)entry.began,ticket))
        {
         Print("Device registry: found the order of signal ",entry.id," after a restart: ",ticket);
         m_journal.Done(entry.id,entry.expires,"placed",ticket,"");
         continue;
        }
      if(DrTicks()-m_connected_since<(ulong)m_reconcile_wait)
         continue;
      Print("Device registry: no order of signal ",entry.id," was found after a restart; check the account");
      m_journal.Done(entry.id,entry.expires,"failed","","state unknown after a restart; look for "+TagOf(entry.id)+" in account "+
                     entry.account);
     }
  }
//+------------------------------------------------------------------+
//| In the Strategy Tester there is nothing to protect               |
//+------------------------------------------------------------------+
bool CDeviceRegistry::CanOpen(void) const
  {
   if(DrIsTester())
      return(true);
   return(m_is_running && m_journal.IsUsable() && m_has_polled && !m_is_blocked && m_state.mode==DR_MODE_NORMAL &&
          Silence()<=(ulong)m_grace*1000);
  }

#endif
//+------------------------------------------------------------------+
