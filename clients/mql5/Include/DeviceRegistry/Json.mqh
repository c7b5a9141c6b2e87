//+------------------------------------------------------------------+
//|                                                         Json.mqh |
//|  JSON (RFC 8259) without pointers: a reader that keeps tokens    |
//|  over one text, and a writer.                                    |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_JSON_MQH
#define DEVICE_REGISTRY_JSON_MQH

#include <DeviceRegistry/Platform.mqh>

#define DR_JSON_MAX_DEPTH  16
#define DR_JSON_MAX_LENGTH 1048576   // characters
#define DR_JSON_MAX_TOKENS 65536

enum ENUM_JSON_TYPE
  {
   DR_JSON_NONE=0,         // no such value
   DR_JSON_OBJECT,
   DR_JSON_ARRAY,
   DR_JSON_TEXT,
   DR_JSON_NUMBER,
   DR_JSON_TRUE,
   DR_JSON_FALSE,
   DR_JSON_NULL
  };
//+------------------------------------------------------------------+
//| A value. A member of an object is two tokens: name and value.    |
//+------------------------------------------------------------------+
struct SJsonToken
  {
   ENUM_JSON_TYPE    type;
   int               start;      // first character; of a text, the one after the quotation mark
   int               end;        // one after the last character; of a text, the closing quotation mark
   int               next;       // index of the token after this value
  };
//+------------------------------------------------------------------+
//| Reads JSON. Values are indexes of tokens; the whole text is 0,   |
//| and -1 is a value that does not exist, which every method takes. |
//+------------------------------------------------------------------+
class CJsonReader
  {
private:
   string            m_text;
   int               m_length;
   int               m_at;
   SJsonToken        m_tokens[];
   int               m_count;

   ushort            Character(const int at) const { return(at<m_length ? StringGetCharacter(m_text,at) : (ushort)0); }
   void              Space(void);
   int               Add(const ENUM_JSON_TYPE type,const int start);
   void              Finish(const int token,const int end);
   bool              Value(const int depth);
   bool              Container(const int depth,const bool object);
   bool              Quoted(void);
   bool              Number(void);
   bool              Digits(void);
   bool              Literal(const string word,const ENUM_JSON_TYPE type);
   int               Hex4(const int at) const;
   bool              IsValue(const int token) const { return(token>=0 && token<m_count); }

public:
                     CJsonReader(void) : m_text(""),m_length(0),m_at(0),m_count(0) {}
   //--- false if the text is not JSON, too long or too deep; then there are no values
   bool              Parse(const string text);
   void              Clear(void);
   ENUM_JSON_TYPE    Type(const int token) const;
   //--- a member's value; -1 if it is missing or given twice
   int               Member(const int object,const string name) const;
   //--- the elements of an array, in order; -1 after the last
   int               First(const int array) const;
   int               Next(const int array,const int element) const;
   //--- the JSON text of a value
   string            Raw(const int token) const;
   //--- false, and an unchanged value, unless it has the type
   bool              Text(const int token,string &value) const;
   bool              Integer(const int token,long &value) const;
   bool              Real(const int token,double &value) const;
   //--- members of the whole text
   bool              GetText(const string name,string &value) const { return(Text(Member(0,name),value)); }
   bool              GetInteger(const string name,long &value) const { return(Integer(Member(0,name),value)); }
   bool              GetReal(const string name,double &value) const { return(Real(Member(0,name),value)); }
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Parse(const string text)
  {
   Clear();
   m_text=text;
   m_length=StringLen(text);
   bool read=m_length<=DR_JSON_MAX_LENGTH;
   if(read)
     {
      Space();
      read=Value(0);
      Space();
     }
   if(read && m_at==m_length)
      return(true);
   Clear();
   return(false);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CJsonReader::Clear(void)
  {
   m_text="";
   m_length=0;
   m_at=0;
   m_count=0;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CJsonReader::Space(void)
  {
   while(m_at<m_length)
     {
      ushort c=StringGetCharacter(m_text,m_at);
      if(c!=' ' && c!='\t' && c!='\r' && c!='\n')
         return;
      m_at++;
     }
  }
//+------------------------------------------------------------------+
//| A new token; -1 if there are too many                            |
//+------------------------------------------------------------------+
int CJsonReader::Add(const ENUM_JSON_TYPE type,const int start)
  {
   if(m_count>=DR_JSON_MAX_TOKENS)
      return(-1);
   if(m_count>=ArraySize(m_tokens) && ArrayResize(m_tokens,m_count+64+m_count/2)<=m_count)
      return(-1);
   m_tokens[m_count].type=type;
   m_tokens[m_count].start=start;
   m_tokens[m_count].end=start;
   m_tokens[m_count].next=m_count+1;
   m_count++;
   return(m_count-1);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CJsonReader::Finish(const int token,const int end)
  {
   m_tokens[token].end=end;
   m_tokens[token].next=m_count;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Value(const int depth)
  {
   ushort c=Character(m_at);
   if(c=='{' || c=='[')
      return(depth<DR_JSON_MAX_DEPTH && Container(depth,c=='{'));
   if(c=='\"')
      return(Quoted());
   if(c=='t')
      return(Literal("true",DR_JSON_TRUE));
   if(c=='f')
      return(Literal("false",DR_JSON_FALSE));
   if(c=='n')
      return(Literal("null",DR_JSON_NULL));
   return(Number());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Container(const int depth,const bool object)
  {
   ushort closing=object ? (ushort)'}' : (ushort)']';
   int token=Add(object ? DR_JSON_OBJECT : DR_JSON_ARRAY,m_at);
   if(token<0)
      return(false);
   m_at++;
   Space();
   bool empty=Character(m_at)==closing;
   while(!empty)
     {
      if(object)
        {
         if(Character(m_at)!='\"' || !Quoted())
            return(false);
         Space();
         if(Character(m_at)!=':')
            return(false);
         m_at++;
         Space();
        }
      if(!Value(depth+1))
         return(false);
      Space();
      ushort c=Character(m_at);
      if(c==closing)
         break;
      if(c!=',')
         return(false);
      m_at++;
      Space();
     }
   m_at++;
   Finish(token,m_at);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Quoted(void)
  {
   int token=Add(DR_JSON_TEXT,m_at+1);
   if(token<0)
      return(false);
   m_at++;
   while(m_at<m_length)
     {
      ushort c=StringGetCharacter(m_text,m_at);
      if(c=='\"')
        {
         Finish(token,m_at);
         m_at++;
         return(true);
        }
      if(c<' ')
         return(false);
      m_at++;
      if(c!='\\')
         continue;
      ushort escaped=Character(m_at);
      m_at++;
      if(escaped=='u')
        {
         if(Hex4(m_at)<0)
            return(false);
         m_at+=4;
        }
      else
         if(escaped==0 || StringFind("\"\\/bfnrt",ShortToString(escaped))<0)
            return(false);
     }
   return(false);
  }
//+------------------------------------------------------------------+
//| Four hexadecimal digits; -1 if they are not                      |
//+------------------------------------------------------------------+
int CJsonReader::Hex4(const int at) const
  {
   int value=0;
   for(int i=0; i<4; i++)
     {
      ushort c=Character(at+i);
      int digit=-1;
      if(c>='0' && c<='9')
         digit=(int)c-'0';
      if(c>='a' && c<='f')
         digit=(int)c-'a'+10;
      if(c>='A' && c<='F')
         digit=(int)c-'A'+10;
      if(digit<0)
         return(-1);
      value=value*16+digit;
     }
   return(value);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Digits(void)
  {
   int start=m_at;
   while(Character(m_at)>='0' && Character(m_at)<='9')
      m_at++;
   return(m_at>start);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Number(void)
  {
   int token=Add(DR_JSON_NUMBER,m_at);
   if(token<0)
      return(false);
   if(Character(m_at)=='-')
      m_at++;
   if(Character(m_at)=='0')
      m_at++;
   else
      if(!Digits())
         return(false);
   if(Character(m_at)=='.')
     {
      m_at++;
      if(!Digits())
         return(false);
     }
   if(Character(m_at)=='e' || Character(m_at)=='E')
     {
      m_at++;
      if(Character(m_at)=='+' || Character(m_at)=='-')
         m_at++;
      if(!Digits())
         return(false);
     }
   Finish(token,m_at);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Literal(const string word,const ENUM_JSON_TYPE type)
  {
   int length=StringLen(word);
   int token=DrPart(m_text,m_at,length)==word ? Add(type,m_at) : -1;
   if(token<0)
      return(false);
   m_at+=length;
   Finish(token,m_at);
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
ENUM_JSON_TYPE CJsonReader::Type(const int token) const
  {
   return(IsValue(token) ? m_tokens[token].type : DR_JSON_NONE);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CJsonReader::Member(const int object,const string name) const
  {
   if(Type(object)!=DR_JSON_OBJECT)
      return(-1);
   int found=-1;
   int at=object+1;
   while(at<m_tokens[object].next)
     {
      string key="";
      int value=at+1;
      if(Text(at,key) && key==name)
        {
         if(found>=0)
            return(-1);
         found=value;
        }
      at=m_tokens[value].next;
     }
   return(found);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CJsonReader::First(const int array) const
  {
   return(Type(array)==DR_JSON_ARRAY && m_tokens[array].next>array+1 ? array+1 : -1);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int CJsonReader::Next(const int array,const int element) const
  {
   if(!IsValue(array) || !IsValue(element))
      return(-1);
   int after=m_tokens[element].next;
   return(after<m_tokens[array].next ? after : -1);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string CJsonReader::Raw(const int token) const
  {
   if(!IsValue(token))
      return("");
   int quotes=m_tokens[token].type==DR_JSON_TEXT ? 1 : 0;
   return(DrPart(m_text,m_tokens[token].start-quotes,m_tokens[token].end-m_tokens[token].start+2*quotes));
  }
//+------------------------------------------------------------------+
//| A text with a zero character, which would end it, is none        |
//+------------------------------------------------------------------+
bool CJsonReader::Text(const int token,string &value) const
  {
   if(Type(token)!=DR_JSON_TEXT)
      return(false);
   int end=m_tokens[token].end;
   int at=m_tokens[token].start;
   string text="";
   while(at<end)
     {
      int escape=StringFind(m_text,"\\",at);
      int plain=escape<0 || escape>end ? end : escape;
      text+=DrPart(m_text,at,plain-at);
      at=plain;
      if(at>=end)
         break;
      ushort c=Character(at+1);
      at+=2;
      switch(c)
        {
         case 'b':
            c=8;
            break;
         case 'f':
            c=12;
            break;
         case 'n':
            c=10;
            break;
         case 'r':
            c=13;
            break;
         case 't':
            c=9;
            break;
         case 'u':
            c=(ushort)Hex4(at);
            at+=4;
            if(c==0)
               return(false);
            break;
         default:
            break;
        }
      text+=ShortToString(c);
     }
   value=text;
   return(true);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CJsonReader::Integer(const int token,long &value) const
  {
   if(Type(token)!=DR_JSON_NUMBER)
      return(false);
   string text=Raw(token);
   if(StringLen(text)>18 || StringFind(text,".")>=0 || StringFind(text,"e")>=0 || StringFind(text,"E")>=0)
      return(false);
   value=StringToInteger(text);
   return(true);
  }
//+------------------------------------------------------------------+
//| A number, or a text that is one: prices are often sent as texts, |
//| which keep their digits                                          |
//+------------------------------------------------------------------+
bool CJsonReader::Real(const int token,double &value) const
  {
   string text="";
   if(Type(token)==DR_JSON_NUMBER)
      text=Raw(token);
   else
     {
      CJsonReader inner;
      if(!Text(token,text) || StringLen(text)>64 || !inner.Parse(text) || inner.Type(0)!=DR_JSON_NUMBER)
         return(false);
     }
   value=StringToDouble(text);
   return(true);
  }
//+------------------------------------------------------------------+
//| Writes JSON. Commas and escapes are written automatically.       |
//+------------------------------------------------------------------+
class CJsonWriter
  {
private:
   string            m_text;
   bool              m_comma;       // whether a value came before in this container

   void              Separate(void);
   string            Escaped(const string text) const;

public:
                     CJsonWriter(void) : m_text(""),m_comma(false) {}
   void              BeginObject(void) { Separate(); m_text+="{"; m_comma=false; }
   void              EndObject(void) { m_text+="}"; m_comma=true; }
   void              BeginArray(void) { Separate(); m_text+="["; m_comma=false; }
   void              EndArray(void) { m_text+="]"; m_comma=true; }
   void              Name(const string name) { Separate(); m_text+=Escaped(name)+":"; m_comma=false; }
   void              Text(const string value) { Separate(); m_text+=Escaped(value); m_comma=true; }
   void              Integer(const long value) { Separate(); m_text+=IntegerToString(value); m_comma=true; }
   void              TextMember(const string name,const string value) { Name(name); Text(value); }
   void              IntegerMember(const string name,const long value) { Name(name); Integer(value); }
   string            Result(void) const { return(m_text); }
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CJsonWriter::Separate(void)
  {
   if(m_comma)
      m_text+=",";
  }
//+------------------------------------------------------------------+
//| Control characters and halves of a surrogate pair, which UTF-8   |
//| cannot hold, become spaces                                       |
//+------------------------------------------------------------------+
string CJsonWriter::Escaped(const string text) const
  {
   string escaped="\"";
   int length=StringLen(text);
   for(int i=0; i<length; i++)
     {
      ushort c=StringGetCharacter(text,i);
      if(c=='\"' || c=='\\')
         escaped+="\\"+ShortToString(c);
      else
         if(c<' ' || (c>=0xDC00 && c<0xE000))
            escaped+=" ";
         else
            if(c>=0xD800 && c<0xDC00)
              {
               ushort low=i+1<length ? StringGetCharacter(text,i+1) : (ushort)0;
               if(low>=0xDC00 && low<0xE000)
                 {
                  escaped+=StringSubstr(text,i,2);
                  i++;
                 }
               else
                  escaped+=" ";
              }
            else
               escaped+=ShortToString(c);
     }
   return(escaped+"\"");
  }

#endif
//+------------------------------------------------------------------+
