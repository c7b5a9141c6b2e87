//+------------------------------------------------------------------+
//|                                                      Journal.mqh |
//|  What became of each signal, in a file that is only appended to: |
//|    I id expires began magic account check    before the order    |
//|    D id expires status ticket error check    after it            |
//|    A id check                                acknowledged        |
//|  A line is flushed before the method that writes it returns. The |
//|  check is a fingerprint of the line: a line that a crash cut off |
//|  is ignored, because nothing was done yet that depends on it.    |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_JOURNAL_MQH
#define DEVICE_REGISTRY_JOURNAL_MQH

#include <DeviceRegistry/Platform.mqh>
#include <DeviceRegistry/Hmac.mqh>

#define DR_JOURNAL_MAX_ENTRIES 20000
#define DR_JOURNAL_SPARE_LINES 2000     // lines that are not needed any more, before the file is rewritten
#define DR_JOURNAL_KEEP        600      // seconds that an acknowledged signal is kept after it expires
#define DR_JOURNAL_KEEP_OPEN   604800   // seconds that one is kept that the registry never took an acknowledgement of
#define DR_LINE_CHECK          8        // hexadecimal digits
#define DR_MAX_TICKET          64       // characters that the registry accepts
#define DR_MAX_ERROR           400

enum ENUM_ENTRY_STATE
  {
   DR_ENTRY_INTENT=0,      // the order may have been sent
   DR_ENTRY_DONE,          // it is known what became of it; the registry does not know yet
   DR_ENTRY_ACKED          // the registry knows
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
struct SJournalEntry
  {
   string            id;
   ENUM_ENTRY_STATE  state;
   bool              is_earlier;    // read from the file, or left: nobody will report what became of the intent
   long              expires;       // seconds since 1970, by the registry's clock
   long              began;
   long              magic;
   string            account;
   string            status;        // placed, failed or skipped
   string            ticket;
   string            error;
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
class CSignalJournal
  {
private:
   string            m_file;
   int               m_handle;
   bool              m_is_damaged;     // lines within the file are unreadable
   bool              m_is_behind;      // the file lacks lines, because a write failed
   int               m_lines;
   SJournalEntry     m_entries[];      // in the order of their ids
   int               m_count;
   int               m_pending;        // entries that are done and not acknowledged
   int               m_open;           // intents of an earlier run, or left

   int               Place(const string id) const;
   int               Insert(const string id);
   string            IntentLine(const SJournalEntry &entry) const;
   string            DoneLine(const SJournalEntry &entry) const;
   string            AckedLine(const SJournalEntry &entry) const;
   string            Checked(const string line) const;
   bool              Append(const string lines,const int count);
   bool              ReadLine(const string line);
   bool              Rewrite(void);
   bool              OpenForAppending(void);
   void              Recount(void);

public:
                     CSignalJournal(void) : m_file(""),m_handle(INVALID_HANDLE),m_is_damaged(false),m_is_behind(false),m_lines(0),
                                            m_count(0),m_pending(0),m_open(0) {}
                    ~CSignalJournal(void) { Close(); }
   //--- reads the file and opens it; false if it cannot be read or written
   bool              Open(const string file);
   void              Close(void);
   bool              IsOpen(void) const { return(m_handle!=INVALID_HANDLE); }
   //--- whether signals may be traded: the file is sound and written
   bool              IsUsable(void) const { return(IsOpen() && !m_is_damaged && !m_is_behind); }
   bool              IsDamaged(void) const { return(m_is_damaged); }
   //--- writes what could not be written before, and shortens a long file
   void              Maintain(const long now);
   int               Count(void) const { return(m_count); }
   //--- whether there are intents whose outcome the account must show
   bool              HasOpenIntents(void) const { return(m_open>0); }
   //--- whether the registry knows what became of every signal
   bool              IsSettled(void) const;
   //--- outcomes that the registry does not know yet
   int               Unacknowledged(void) const { return(m_pending); }
   bool              Get(const int index,SJournalEntry &entry) const;
   //--- the index of a signal; -1 if it is not known
   int               Find(const string id) const;
   //--- true: the order may be sent
   bool              Intent(const string id,const long expires,const long began,const long magic,const string account);
   //--- false if it is not on disk; it is acknowledged nevertheless
   bool              Done(const string id,const long expires,const string status,const string ticket,const string error);
   bool              Acked(const string &ids[]);
   //--- an intent whose outcome the account must show
   void              Leave(const string id);
  };
//+------------------------------------------------------------------+
//| Where an id is, or belongs                                       |
//+------------------------------------------------------------------+
int CSignalJournal::Place(const string id) const
  {
   int low=0,high=m_count;
   while(low<high)
     {
      int middle=(low+high)/2;
      if(StringCompare(m_entries[middle].id,id)<0)
         low=middle+1;
      else
         high=middle;
     }
   return(low);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CSignalJournal::Find(const string id) const
  {
   int at=Place(id);
   return(at<m_count && m_entries[at].id==id ? at : -1);
  }
//+------------------------------------------------------------------+
//| A new entry; -1 if there are too many                            |
//+------------------------------------------------------------------+
int CSignalJournal::Insert(const string id)
  {
   if(m_count>=DR_JOURNAL_MAX_ENTRIES)
      return(-1);
   if(m_count>=ArraySize(m_entries) && ArrayResize(m_entries,m_count+64+m_count/2)<=m_count)
      return(-1);
   int at=Place(id);
   for(int i=m_count; i>at; i--)
      m_entries[i]=m_entries[i-1];
   m_count++;
   m_entries[at].id=id;
   m_entries[at].state=DR_ENTRY_INTENT;
   m_entries[at].is_earlier=false;
   m_entries[at].expires=0;
   m_entries[at].began=0;
   m_entries[at].magic=0;
   m_entries[at].account="";
   m_entries[at].status="";
   m_entries[at].ticket="";
   m_entries[at].error="";
   return(at);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Get(const int index,SJournalEntry &entry) const
  {
   if(index<0 || index>=m_count)
      return(false);
   entry=m_entries[index];
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::IsSettled(void) const
  {
   for(int i=0; i<m_count; i++)
      if(m_entries[i].state!=DR_ENTRY_ACKED)
         return(false);
   return(true);
  }
//+------------------------------------------------------------------+
//| Texts are written in hexadecimal, so that a line has no spaces   |
//| but those between its parts                                      |
//+------------------------------------------------------------------+
string DrHexText(const string text)
  {
   uchar bytes[];
   DrUtf8(text,bytes);
   return("x"+DrHex(bytes));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool DrFromHexText(const string hex,string &text)
  {
   uchar bytes[];
   if(StringSubstr(hex,0,1)!="x" || !DrFromHex(DrPart(hex,1,StringLen(hex)-1),bytes))
      return(false);
   text=DrText(bytes);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CSignalJournal::Checked(const string line) const
  {
   return(line+" "+DrFingerprint(line,DR_LINE_CHECK)+"\n");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CSignalJournal::IntentLine(const SJournalEntry &entry) const
  {
   return(Checked("I "+entry.id+" "+IntegerToString(entry.expires)+" "+IntegerToString(entry.began)+" "+
                  IntegerToString(entry.magic)+" "+DrHexText(entry.account)));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CSignalJournal::DoneLine(const SJournalEntry &entry) const
  {
   return(Checked("D "+entry.id+" "+IntegerToString(entry.expires)+" "+entry.status+" "+DrHexText(entry.ticket)+" "+
                  DrHexText(entry.error)));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CSignalJournal::AckedLine(const SJournalEntry &entry) const
  {
   return(Checked("A "+entry.id+" "+IntegerToString(entry.expires)));
  }
//+------------------------------------------------------------------+
//| One line of the file; false if it is not a whole line            |
//+------------------------------------------------------------------+
bool CSignalJournal::ReadLine(const string line)
  {
   string parts[];
   int length=StringLen(line)-DR_LINE_CHECK-1;
   if(length<40)
      return(false);
   string body=StringSubstr(line,0,length);
   if(line!=body+" "+DrFingerprint(body,DR_LINE_CHECK))
      return(false);
   int count=StringSplit(body,' ',parts);
   if(count<3 || !DrIsUuid(parts[1]))
      return(false);
   int at=Find(parts[1]);
   if(at<0)
      at=Insert(parts[1]);
   if(at<0)
      return(false);
   m_entries[at].is_earlier=true;
   m_entries[at].expires=StringToInteger(parts[2]);
   if(parts[0]=="I" && count==6)
     {
      m_entries[at].began=StringToInteger(parts[3]);
      m_entries[at].magic=StringToInteger(parts[4]);
      return(DrFromHexText(parts[5],m_entries[at].account));
     }
   if(parts[0]=="D" && count==6)
     {
      m_entries[at].state=DR_ENTRY_DONE;
      m_entries[at].status=parts[3];
      return(DrFromHexText(parts[4],m_entries[at].ticket) && DrFromHexText(parts[5],m_entries[at].error));
     }
   m_entries[at].state=DR_ENTRY_ACKED;
   return(parts[0]=="A" && count==3);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Open(const string file)
  {
   Close();
   m_file=file;
   uchar bytes[];
   string lines[];
   bool found=DrReadFile(file,bytes);
//--- a crash while the file was replaced may have left the new file alone
   if(!found)
     {
      if(FileIsExist(file,FILE_COMMON))
         return(false);
      if(!DrReadFile(file+".new",bytes))
         ArrayResize(bytes,0);
     }
//--- a power failure may leave zero bytes at the end of a file; within it they are a damage
   bool zero=false;
   for(int i=0; i<ArraySize(bytes); i++)
     {
      if(zero && bytes[i]!=0)
         m_is_damaged=true;
      zero=zero || bytes[i]==0;
     }
   bool cut=zero || !found;
   int total=StringSplit(DrText(bytes),(ushort)10,lines);
   for(int i=0; i<total; i++)
     {
      bool last=i==total-1;
      if(last && lines[i]=="")
         continue;
      if(last)
         cut=true;                     // without a line end: a crash cut it off
      else
         if(!ReadLine(lines[i]))
            m_is_damaged=true;
      m_lines++;
     }
   Recount();
   if(m_is_damaged)
      return(OpenForAppending());      // unchanged, so that it can be examined
   return(cut ? Rewrite() : OpenForAppending());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignalJournal::Close(void)
  {
   if(IsOpen())
      FileClose(m_handle);
   m_handle=INVALID_HANDLE;
   m_is_damaged=false;
   m_is_behind=false;
   m_lines=0;
   m_count=0;
   m_pending=0;
   m_open=0;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignalJournal::Recount(void)
  {
   m_pending=0;
   m_open=0;
   for(int i=0; i<m_count; i++)
     {
      if(m_entries[i].state==DR_ENTRY_DONE)
         m_pending++;
      if(m_entries[i].state==DR_ENTRY_INTENT && m_entries[i].is_earlier)
         m_open++;
     }
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::OpenForAppending(void)
  {
   m_handle=FileOpen(m_file,FILE_READ|FILE_WRITE|FILE_BIN|FILE_COMMON|FILE_SHARE_READ);
   return(IsOpen() && FileSeek(m_handle,0,SEEK_END));
  }
//+------------------------------------------------------------------+
//| Replaces the file by one without the lines that are not needed   |
//+------------------------------------------------------------------+
bool CSignalJournal::Rewrite(void)
  {
   string text="";
   uchar bytes[];
   for(int i=0; i<m_count; i++)
     {
      if(m_entries[i].state==DR_ENTRY_INTENT)
         text+=IntentLine(m_entries[i]);
      if(m_entries[i].state==DR_ENTRY_DONE)
         text+=DoneLine(m_entries[i]);
      if(m_entries[i].state==DR_ENTRY_ACKED)
         text+=AckedLine(m_entries[i]);
     }
   if(IsOpen())
      FileClose(m_handle);
   m_handle=INVALID_HANDLE;
   DrUtf8(text,bytes);
   bool replaced=DrReplaceFile(m_file,bytes);
   if(replaced)
      m_lines=m_count;
   m_is_behind=!replaced;
   return(OpenForAppending() && replaced);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Append(const string lines,const int count)
  {
   uchar bytes[];
   DrUtf8(lines,bytes);
   int size=ArraySize(bytes);
   ResetLastError();
   bool written=IsOpen() && !m_is_behind && (int)FileWriteArray(m_handle,bytes,0,size)==size;
   if(written)
     {
      FileFlush(m_handle);
      written=GetLastError()==0;       // FileFlush returns nothing
     }
   if(written)
      m_lines+=count;
   else
      m_is_behind=true;
   return(written);
  }
//+------------------------------------------------------------------+
//| A signal is needed until it has expired: after that the registry |
//| does not send it any more                                        |
//+------------------------------------------------------------------+
void CSignalJournal::Maintain(const long now)
  {
   if(m_is_damaged || (m_handle==INVALID_HANDLE && m_file==""))
      return;
   if(!m_is_behind && m_lines<=m_count+DR_JOURNAL_SPARE_LINES && m_count<DR_JOURNAL_MAX_ENTRIES/2)
      return;
   int kept=0;
   for(int i=0; i<m_count; i++)
     {
      long keep=m_entries[i].state==DR_ENTRY_ACKED ? DR_JOURNAL_KEEP : DR_JOURNAL_KEEP_OPEN;
      if(m_entries[i].expires+keep<now)
         continue;
      if(kept!=i)
         m_entries[kept]=m_entries[i];
      kept++;
     }
   m_count=kept;
   Recount();
   if(m_is_behind || m_lines>m_count+DR_JOURNAL_SPARE_LINES/2)
      Rewrite();
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Intent(const string id,const long expires,const long began,const long magic,const string account)
  {
   if(!IsUsable() || !DrIsUuid(id) || Find(id)>=0)
      return(false);
   int at=Insert(id);
   if(at<0)
      return(false);
   m_entries[at].expires=expires;
   m_entries[at].began=began;
   m_entries[at].magic=magic;
   m_entries[at].account=account;
   if(Append(IntentLine(m_entries[at]),1))
      return(true);
//--- no order will be sent
   for(int i=at; i<m_count-1; i++)
      m_entries[i]=m_entries[i+1];
   m_count--;
   return(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Done(const string id,const long expires,const string status,const string ticket,const string error)
  {
   if(!DrIsUuid(id))
      return(false);
   int at=Find(id);
   if(at<0)
      at=Insert(id);
   if(at<0 || m_entries[at].state!=DR_ENTRY_INTENT)
      return(false);
   if(m_entries[at].is_earlier)
      m_open--;
   m_entries[at].state=DR_ENTRY_DONE;
   m_pending++;
   if(m_entries[at].expires==0)
      m_entries[at].expires=expires;
   m_entries[at].status=status;
   m_entries[at].ticket=DrOneLine(ticket,DR_MAX_TICKET);
   m_entries[at].error=DrOneLine(error,DR_MAX_ERROR);
   return(Append(DoneLine(m_entries[at]),1));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CSignalJournal::Leave(const string id)
  {
   int at=Find(id);
   if(at>=0)
      m_entries[at].is_earlier=true;
   Recount();
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CSignalJournal::Acked(const string &ids[])
  {
   string lines="";
   int count=0;
   for(int i=0; i<ArraySize(ids); i++)
     {
      int at=Find(ids[i]);
      if(at<0 || m_entries[at].state!=DR_ENTRY_DONE)
         continue;
      m_entries[at].state=DR_ENTRY_ACKED;
      m_pending--;
      lines+=AckedLine(m_entries[at]);
      count++;
     }
   return(count==0 || Append(lines,count));
  }

#endif
//+------------------------------------------------------------------+
