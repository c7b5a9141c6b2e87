//+------------------------------------------------------------------+
//|                                                         Unit.mq5 |
//|  Tests of the parts without a registry. It runs on Linux (run.sh)|
//|  and as a script in a terminal.                                  |
//+------------------------------------------------------------------+
#property strict

#include <DeviceRegistry/DeviceRegistry.mqh>
#include <Vectors.mqh>

int failures=0;
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Expect(const string what,const bool passed)
  {
   if(passed)
      return;
   failures++;
   Print("FAILED  ",what);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void ExpectText(const string what,const string got,const string expected)
  {
   Expect(what+": got \""+got+"\", expected \""+expected+"\"",got==expected);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Fill(uchar &bytes[],const int size,const uchar value)
  {
   ArrayResize(bytes,size);
   for(int i=0; i<size; i++)
      bytes[i]=value;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Hmac(const string what,const uchar &key[],const uchar &data[],const string expected)
  {
   uchar mac[];
   Expect(what+" is computed",DrHmacSha256(key,data,mac));
   ExpectText(what,DrPart(DrHex(mac),0,StringLen(expected)),expected);
  }
//+------------------------------------------------------------------+
//| All seven cases                                                  |
//+------------------------------------------------------------------+
void TestRfc4231(void)
  {
   uchar key[],data[];
   Fill(key,20,0x0b);
   DrUtf8("Hi There",data);
   Hmac("RFC 4231 case 1",key,data,"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
   DrUtf8("Jefe",key);
   DrUtf8("what do ya want for nothing?",data);
   Hmac("RFC 4231 case 2",key,data,"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
   Fill(key,20,0xaa);
   Fill(data,50,0xdd);
   Hmac("RFC 4231 case 3",key,data,"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
   ArrayResize(key,25);
   for(int i=0; i<25; i++)
      key[i]=(uchar)(i+1);
   Fill(data,50,0xcd);
   Hmac("RFC 4231 case 4",key,data,"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
   Fill(key,20,0x0c);
   DrUtf8("Test With Truncation",data);
   Hmac("RFC 4231 case 5",key,data,"a3b6167473100ee06e0c796c2955552b");
   Fill(key,131,0xaa);
   DrUtf8("Test Using Larger Than Block-Size Key - Hash Key First",data);
   Hmac("RFC 4231 case 6",key,data,"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
   DrUtf8("This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed "
          "before being used by the HMAC algorithm.",data);
   Hmac("RFC 4231 case 7",key,data,"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestBytes(void)
  {
   uchar bytes[];
   DrUtf8("\xE2\x82\xAC",bytes);
   Expect("the euro sign is 3 bytes, without a zero",ArraySize(bytes)==3);
   DrUtf8("",bytes);
   Expect("an empty text is no bytes",ArraySize(bytes)==0);
   DrUtf8("\xF0\x9F\x98\x80",bytes);
   Expect("an emoji is 4 bytes",ArraySize(bytes)==4 && DrText(bytes)=="\xF0\x9F\x98\x80");
   Expect("hexadecimal is read",DrFromHex("00ff10",bytes) && ArraySize(bytes)==3 && bytes[1]==255 && DrHex(bytes)=="00ff10");
   Expect("upper-case hexadecimal is refused",!DrFromHex("FF",bytes));
   Expect("half a byte is refused",!DrFromHex("abc",bytes));
   Expect("a UUID is one",DrIsUuid("01a20a5b-1476-7edc-b467-b5e73ebe5877"));
   Expect("an upper-case UUID is none",!DrIsUuid("01A20A5B-1476-7edc-b467-b5e73ebe5877"));
   Expect("a path is no UUID",!DrIsUuid("../../../../../../../../../etc/passwd"));
   long time=0;
   Expect("a time is read",DrParseTime("2026-11-29T10:40:07.123Z",time) && time==1795948807123);
   Expect("the first second is read",DrParseTime("1970-01-01T00:00:00.000Z",time) && time==0);
   Expect("a leap day is read",DrParseTime("2028-02-29T23:59:59Z",time) && time==1835481599000);
   Expect("a time without zone is refused",!DrParseTime("2026-11-29T10:40:07.123",time));
   Expect("another fraction is refused",!DrParseTime("2026-11-29T10:40:07.1234Z",time) && !DrParseTime("2026-11-29T10:40:07.xyzZ",time));
   Expect("a word is no time",!DrParseTime("yesterday, at about noon Z",time));
   ExpectText("one line",DrOneLine("a\r\nb\tc",4),"a  b");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestJson(void)
  {
   CJsonReader json;
   string text="";
   long number=0;
   double real=0;
   Expect("an object is read",json.Parse(" {\"a\":[1,-2,{\"b\":\"c\"}],\"d\":{\"e\":null,\"f\":true},\"g\":1.5e2,\"h\":\"0.10\"} "));
   int list=json.Member(0,"a");
   int second=json.Next(list,json.First(list));
   int third=json.Next(list,second);
   Expect("an element is read",json.Integer(second,number) && number==-2);
   Expect("a nested member is read",json.Text(json.Member(third,"b"),text) && text=="c");
   Expect("the list ends",json.Next(list,third)==-1);
   ExpectText("a part is unchanged",json.Raw(json.Member(0,"d")),"{\"e\":null,\"f\":true}");
   Expect("a number is read",json.GetReal("g",real) && real==150.0);
   Expect("a number in a text is read",json.GetReal("h",real) && real==0.10);
   Expect("a fraction is no integer",!json.GetInteger("g",number));
   Expect("a missing member is none",json.Member(0,"z")==-1 && !json.GetText("z",text) && json.Raw(-1)=="");
   Expect("a nested name is not a member of the whole",json.Member(0,"b")==-1);
   Expect("escapes are read",json.Parse("{\"t\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\\ud83d\\ude00\"}") && json.GetText("t",text) &&
          text=="\"\\/\x08\x0C\n\r\t\xE2\x82\xAC\xF0\x9F\x98\x80");
   Expect("a member given twice is none",json.Parse("{\"a\":1,\"a\":2}") && json.Member(0,"a")==-1);
   Expect("an escaped name is the same name",json.Parse("{\"\\u0061\":1}") && json.GetInteger("a",number) && number==1);
   Expect("a zero character is refused",json.Parse("{\"a\":\"x\\u0000y\"}") && !json.GetText("a",text));
   Expect("empty containers are read",json.Parse("{\"a\":[],\"b\":{}}") && json.First(json.Member(0,"a"))==-1);
   string wrong[];
   StringSplit("|{|}|[1,]|{\"a\":}|{\"a\" 1}|{a:1}|[1 2]|\"open|\"\\x\"|\"\\u12g4\"|01|1.|-|+1|.5|1e|tru|nul|[1]]|{\"a\":1,}|NaN|'a'",'|',wrong);
   for(int i=0; i<ArraySize(wrong); i++)
      Expect("not JSON: "+wrong[i],!json.Parse(wrong[i]) && json.Type(0)==DR_JSON_NONE);
   Expect("a line end in a text is refused",!json.Parse("\"a\nb\""));
   string deep="";
   for(int i=0; i<DR_JSON_MAX_DEPTH; i++)
      deep+="[";
   string shallow=deep;
   for(int i=0; i<DR_JSON_MAX_DEPTH; i++)
      shallow+="]";
   Expect("the greatest depth is read",json.Parse(shallow));
   Expect("more depth is refused",!json.Parse("["+shallow+"]"));
   string endless="";
   for(int i=0; i<10; i++)
     {
      endless+=deep;
      deep=deep+deep;
     }
   Expect("endless depth is refused",!json.Parse(endless));

   CJsonWriter writer;
   writer.BeginObject();
   writer.TextMember("a","\"\\\x01\xE2\x82\xAC");
   writer.Name("b");
   writer.BeginArray();
   writer.Integer(1);
   writer.BeginObject();
   writer.EndObject();
   writer.Text(ShortToString(0xD83D));
   writer.EndArray();
   writer.IntegerMember("c",-5);
   writer.EndObject();
   ExpectText("JSON is written",writer.Result(),"{\"a\":\"\\\"\\\\ \xE2\x82\xAC\",\"b\":[1,{},\" \"],\"c\":-5}");
   Expect("what is written is read",json.Parse(writer.Result()));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
string Uuid(const int number)
  {
   string digits="000000000000"+IntegerToString(number);
   return("01a20a5b-1476-7edc-b467-"+StringSubstr(digits,StringLen(digits)-12));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void AppendRaw(const string file,const string text)
  {
   uchar bytes[];
   DrUtf8(text,bytes);
   int handle=FileOpen(file,FILE_READ|FILE_WRITE|FILE_BIN|FILE_COMMON);
   FileSeek(handle,0,SEEK_END);
   FileWriteArray(handle,bytes,0,ArraySize(bytes));
   FileClose(handle);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestJournal(void)
  {
   string file=DR_FOLDER;
   file+="unit.journal";
   FileDelete(file,FILE_COMMON);
   FileDelete(file+".new",FILE_COMMON);
   SJournalEntry entry;
   string ids[];
   long now=1800000000;
     {
      CSignalJournal journal;
      Expect("a new journal opens",journal.Open(file) && journal.IsUsable() && journal.Count()==0);
      Expect("an intent is written",journal.Intent(Uuid(2),now+60,now,7,"1@x"));
      Expect("an intent is written once",!journal.Intent(Uuid(2),now+60,now,7,"1@x"));
      Expect("an intent needs an id",!journal.Intent("../../x",now+60,now,7,"1@x"));
      Expect("an outcome is written",journal.Done(Uuid(2),now+60,"placed","123",""));
      Expect("an outcome is written once",!journal.Done(Uuid(2),now+60,"failed","","x"));
      Expect("an outcome without an intent is written",journal.Done(Uuid(1),now+60,"skipped","","zu wenig \xC3\xA4 \"geld\"\n"));
      Expect("another intent is written",journal.Intent(Uuid(3),now+60,now,7,"1@x"));
      Expect("two outcomes wait",journal.Unacknowledged()==2 && !journal.IsSettled());
     }
     {
      CSignalJournal journal;
      Expect("a journal opens again",journal.Open(file) && journal.Count()==3 && journal.Unacknowledged()==2);
      Expect("the outcome is there",journal.Get(journal.Find(Uuid(2)),entry) && entry.status=="placed" && entry.ticket=="123" &&
             entry.magic==7 && entry.account=="1@x" && entry.began==now);
      Expect("the text is there, on one line",journal.Get(journal.Find(Uuid(1)),entry) && entry.error=="zu wenig \xC3\xA4 \"geld\" ");
      Expect("the intent is an earlier one",journal.Get(journal.Find(Uuid(3)),entry) && entry.state==DR_ENTRY_INTENT && entry.is_earlier);
      ArrayResize(ids,2);
      ids[0]=Uuid(1);
      ids[1]=Uuid(9);
      Expect("an acknowledgement is written",journal.Acked(ids) && journal.Unacknowledged()==1);
     }
   AppendRaw(file,"I "+Uuid(4)+" 18000");
     {
      CSignalJournal journal;
      Expect("a line that was cut off is ignored",journal.Open(file) && journal.IsUsable() && journal.Find(Uuid(4))==-1 &&
             journal.Count()==3);
      Expect("and the next line is sound",journal.Intent(Uuid(5),now+60,now,7,"1@x"));
     }
     {
      CSignalJournal journal;
      Expect("after that",journal.Open(file) && journal.IsUsable() && journal.Count()==4);
      Expect("the acknowledged one stays",journal.Get(journal.Find(Uuid(1)),entry) && entry.state==DR_ENTRY_ACKED);
#ifdef DR_SHIM
      Obey("full 1");
      Expect("a full disk refuses an intent",!journal.Intent(Uuid(6),now+60,now,7,"1@x") && !journal.IsUsable());
      Expect("a full disk: an outcome is reported nevertheless",!journal.Done(Uuid(5),now+60,"placed","5","") &&
             journal.Unacknowledged()==2);
      journal.Maintain(now);
      Expect("a disk that stays full",!journal.IsUsable());
      Obey("full 0");
      journal.Maintain(now);
      Expect("space again",journal.IsUsable());
#else
      journal.Done(Uuid(5),now+60,"placed","5","");
#endif
      Expect("the next intent",journal.Intent(Uuid(7),now+60,now,7,"1@x"));
     }
     {
      CSignalJournal journal;
      Expect("nothing was lost",journal.Open(file) && journal.Count()==5 && journal.Get(journal.Find(Uuid(5)),entry) &&
             entry.state==DR_ENTRY_DONE && journal.Find(Uuid(6))==-1);
     }
   uchar bytes[];
   DrReadFile(file,bytes);
   FileMove(file,FILE_COMMON,file+".new",FILE_COMMON|FILE_REWRITE);
     {
      CSignalJournal journal;
      Expect("a crash while it was replaced",journal.Open(file) && journal.IsUsable() && journal.Count()==5);
     }
   AppendRaw(file,"I "+Uuid(8)+" 18000\nA "+Uuid(1)+" 0 00000000\n");
     {
      CSignalJournal journal;
      Expect("damage within the file stops trading",journal.Open(file) && journal.IsDamaged() && !journal.IsUsable() &&
             !journal.Intent(Uuid(9),now+60,now,7,"1@x"));
     }
   FileDelete(file,FILE_COMMON);
     {
      CSignalJournal journal;
      journal.Open(file);
      ArrayResize(ids,1);
      for(int i=0; i<3000; i++)
        {
         journal.Intent(Uuid(i),now+i,now,7,"1@x");
         journal.Done(Uuid(i),now+i,"placed",IntegerToString(i),"");
         ids[0]=Uuid(i);
         journal.Acked(ids);
         journal.Maintain(now+i);
        }
      Expect("what has expired is forgotten: "+IntegerToString(journal.Count()),journal.Count()<2500 && journal.Find(Uuid(2999))>=0);
      DrReadFile(file,bytes);
      Expect("the file stays short: "+IntegerToString(ArraySize(bytes)),ArraySize(bytes)<700000);
     }
     {
      CSignalJournal journal;
      Expect("a long journal opens",journal.Open(file) && journal.IsUsable() && journal.Find(Uuid(2999))>=0);
      for(int i=10000; i>9000; i--)
         journal.Done(Uuid(i),now,"skipped","","");
      Expect("ids in any order are found",journal.Find(Uuid(9001))>=0 && journal.Find(Uuid(10000))>=0 && journal.Find(Uuid(9000))==-1);
     }
   FileDelete(file,FILE_COMMON);
  }
//+------------------------------------------------------------------+
//| A crash may cut a file off at any byte                           |
//+------------------------------------------------------------------+
void TestCutJournal(void)
  {
   string file=DR_FOLDER;
   file+="cut.journal";
   uchar whole[],part[];
   string ids[];
   SJournalEntry entry;
   FileDelete(file,FILE_COMMON);
   ArrayResize(ids,1);
   ids[0]=Uuid(1);
     {
      CSignalJournal journal;
      journal.Open(file);
      journal.Intent(Uuid(1),1800000000,1800000000,7,"1@x");
      journal.Done(Uuid(1),1800000000,"placed","123","");
      journal.Acked(ids);
      journal.Intent(Uuid(2),1800000000,1800000000,7,"1@x");
     }
   Expect("the journal is there",DrReadFile(file,whole) && ArraySize(whole)>250);
   for(int size=0; size<=ArraySize(whole); size++)
     {
      for(int zeros=0; zeros<2; zeros++)
        {
         ArrayResize(part,size+zeros*5);
         int lines=0;
         for(int i=0; i<size+zeros*5; i++)
           {
            part[i]=i<size ? whole[i] : (uchar)0;
            if(part[i]=='\n')
               lines++;
           }
         DrReplaceFile(file,part);
         CSignalJournal journal;
         string what="cut after "+IntegerToString(size)+" bytes";
         Expect(what,journal.Open(file) && journal.IsUsable());
         int expected=lines<1 ? -1 : (lines<2 ? DR_ENTRY_INTENT : (lines<3 ? DR_ENTRY_DONE : DR_ENTRY_ACKED));
         int state=journal.Get(journal.Find(Uuid(1)),entry) ? (int)entry.state : -1;
         Expect(what+", the first signal",state==expected);
         Expect(what+", the second signal",(journal.Find(Uuid(2))>=0)==(lines==4));
         Expect(what+", the next line",journal.Intent(Uuid(3),1800000000,1800000000,7,"1@x"));
         journal.Close();
         Expect(what+", again",journal.Open(file) && journal.IsUsable() && journal.Find(Uuid(3))>=0);
        }
     }
   FileDelete(file,FILE_COMMON);
  }
//+------------------------------------------------------------------+
//| Any bytes end the reader, and what it reads is JSON              |
//+------------------------------------------------------------------+
void TestJsonOfAnyBytes(void)
  {
   string seed="{\"signals\":[{\"id\":\"a\\u20ac\\n\",\"payload\":{\"v\":-1.5e2,\"t\":[true,false,null]}}],\"n\":0}";
   ulong random=88172645463325252;
   int read=0;
   for(int round=0; round<5000; round++)
     {
      uchar bytes[];
      DrUtf8(seed,bytes);
      for(int change=0; change<1+round%4; change++)
        {
         random^=random<<13;
         random^=random>>7;
         random^=random<<17;
         bytes[(int)(random%(ulong)ArraySize(bytes))]=(uchar)(random>>40);
        }
      CJsonReader json,inner;
      string text="";
      long number=0;
      double real=0;
      if(!json.Parse(DrText(bytes)))
         continue;
      read++;
      int list=json.Member(0,"signals");
      for(int token=json.First(list); token>=0; token=json.Next(list,token))
        {
         json.Text(json.Member(token,"id"),text);
         Expect("a part of JSON is JSON: "+json.Raw(token),inner.Parse(json.Raw(token)));
        }
      json.GetInteger("n",number);
      json.GetReal("n",real);
     }
   Expect("some were JSON: "+IntegerToString(read),read>50 && read<4900);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestStore(void)
  {
   string id=Uuid(77);
   string secret="45c445c445c445c445c445c445c445c445c445c445c445c445c445c445c445c4";
   string found="";
   CDeviceStore store,other;
   FileDelete(DR_FOLDER+id+".key",FILE_COMMON);
   Expect("there is no secret yet",!store.LoadSecret(id,found));
   Expect("a secret is stored",store.SaveSecret(id,secret,"abcd-efgh ijkl") && store.LoadSecret(id,found) && found==secret);
   Expect("the code is found, however it is written",store.FindCode("ABCDEFGHIJKL",found) && found==id);
   Expect("another code is not",!store.FindCode("ABCDEFGHIJKM",found));
   Expect("one program locks the device",store.Lock(id) && store.Lock(id) && !other.Lock(id));
   store.Close();
   Expect("the next one can, after it",other.Lock(id));
   SDeviceState state,read;
   Expect("there is no state yet",!other.LoadState(state) && state.mode==DR_MODE_NORMAL);
   state.offset=-90000;
   state.instance="AbCdEfGhIjKlMnOpQrStUv";
   state.last_poll=1800000000;
   state.custody=17;
   state.mode=DR_MODE_CLOSE_ONLY;
   state.mode_version=3;
   state.mode_reason="news \xE2\x82\xAC";
   Expect("the state is stored",other.SaveState(state) && other.LoadState(read) && read.offset==-90000 && read.custody==17 &&
          read.instance==state.instance && read.mode==DR_MODE_CLOSE_ONLY && read.mode_version==3 && read.mode_reason==state.mode_reason);
   uchar bytes[];
   DrReadFile(DR_FOLDER+id+".key",bytes);
   bytes[3]=(uchar)(bytes[3]=='0' ? '1' : '0');
   DrReplaceFile(DR_FOLDER+id+".key",bytes);
   Expect("a damaged secret is refused",!store.LoadSecret(id,found));
   Expect("an unknown mode halts",DrModeOf("paused")==DR_MODE_HALTED);
   other.Close();
   FileDelete(DR_FOLDER+id+".key",FILE_COMMON);
   FileDelete(DR_FOLDER+id+".state",FILE_COMMON);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestUrls(void)
  {
   CSignedExchange exchange;
   string reason="";
   Expect("https",exchange.SetUrl("https://registry.example.com",false,reason) && exchange.IsPrivate());
   Expect("a final slash, spaces, capitals, a port",exchange.SetUrl(" HTTPS://Registry.Example.com:8443/ ",false,reason) &&
          exchange.Origin()=="https://registry.example.com:8443");
   Expect("plain http to this machine",exchange.SetUrl("http://127.0.0.1:8000",false,reason) && exchange.IsPrivate());
   Expect("plain http elsewhere",!exchange.SetUrl("http://registry.example.com",false,reason));
   Expect("plain http to a name that begins like this machine",!exchange.SetUrl("http://127.0.0.1.example.com",false,reason));
   Expect("plain http elsewhere, allowed",exchange.SetUrl("http://registry.example.com",true,reason) && !exchange.IsPrivate());
   Expect("a path",!exchange.SetUrl("https://registry.example.com/api",false,reason));
   Expect("a user",!exchange.SetUrl("https://user:word@registry.example.com",false,reason));
   Expect("a line end",!exchange.SetUrl("https://registry.example.com\r\nX: y",false,reason));
   Expect("no scheme",!exchange.SetUrl("registry.example.com",false,reason));
   Expect("nothing",!exchange.SetUrl("",false,reason) && !exchange.SetUrl("https://",false,reason));
  }
//+------------------------------------------------------------------+
//| Answers that differ in one thing from one that the registry      |
//| signed                                                           |
//+------------------------------------------------------------------+
void TestAnswers(void)
  {
   CSignedExchange exchange;
   SVector v;
   string plain="";
   uchar body[];
   long created=0;
   GetVector(0,v);
   Expect("the device is set",exchange.SetDevice(v.device,v.secret));
   DrUtf8(v.answer_body,body);
   plain="Content-Digest: "+v.answer_digest+"\r\nSignature-Input: "+v.answer_input+"\r\nSignature: "+v.answer_signature+"\r\n";
   Expect("the registry's answer",exchange.Verify(v.answer_status,plain,body,v.nonce,created) && created>0);
   Expect("another status",!exchange.Verify(v.answer_status+1,plain,body,v.nonce,created));
   Expect("another nonce",!exchange.Verify(v.answer_status,plain,body,v.nonce+"a",created));
   string changed=plain;
   StringToLower(changed);
   Expect("names in lower case",exchange.Verify(v.answer_status,"content-digest:"+v.answer_digest+"\nsignature-input:  "+
          v.answer_input+" \nSIGNATURE: "+v.answer_signature,body,v.nonce,created));
   Expect("values in lower case",!exchange.Verify(v.answer_status,changed,body,v.nonce,created));
   Expect("a field twice",!exchange.Verify(v.answer_status,plain+"signature: "+v.answer_signature+"\r\n",body,v.nonce,created));
   changed=plain;
   StringReplace(changed,"(\"@status\" \"content-digest\")","(\"@status\")");
   Expect("less is covered",!exchange.Verify(v.answer_status,changed,body,v.nonce,created));
   changed=plain;
   StringReplace(changed,";created=",";created=1");
   Expect("another time",!exchange.Verify(v.answer_status,changed,body,v.nonce,created));
   changed=plain;
   StringReplace(changed,"Content-Digest","X-Digest");
   Expect("no digest",!exchange.Verify(v.answer_status,changed,body,v.nonce,created));
   Expect("no fields",!exchange.Verify(v.answer_status,"",body,v.nonce,created));
   body[0]=(uchar)(body[0]^1);
   Expect("another body",!exchange.Verify(v.answer_status,plain,body,v.nonce,created));
   body[0]=(uchar)(body[0]^1);
   ArrayResize(body,ArraySize(body)+1);
   body[ArraySize(body)-1]=0;
   Expect("a zero byte more",!exchange.Verify(v.answer_status,plain,body,v.nonce,created));
   CSignedExchange other;
   other.SetDevice(Uuid(5),v.secret);
   DrUtf8(v.answer_body,body);
   Expect("another device",!other.Verify(v.answer_status,plain,body,v.nonce,created));
   Expect("nonces differ",exchange.RandomText("a")!=exchange.RandomText("b") && StringLen(exchange.RandomText("a"))==22);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void TestVectors(void)
  {
   for(int i=0; i<VECTOR_COUNT; i++)
     {
      SVector v;
      GetVector(i,v);
      CDeviceKeys keys;
      string signature="";
      Expect("keys: "+v.name,keys.Derive(v.secret));
      Expect("request: "+v.name,keys.Proof(v.base,signature));
      ExpectText("request: "+v.name,signature,v.signature);
      if(v.answer_status==0)
         continue;
      CSignedExchange exchange;
      uchar body[];
      long created=0;
      DrUtf8(v.answer_body,body);
      Expect("device: "+v.name,exchange.SetDevice(v.device,v.secret));
      Expect("answer: "+v.name,exchange.Verify(v.answer_status,"Content-Digest: "+v.answer_digest+"\r\nSignature-Input: "+
             v.answer_input+"\r\nSignature: "+v.answer_signature+"\r\n",body,v.nonce,created));
     }
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int OnStart(void)
  {
   TestRfc4231();
   TestVectors();
   TestBytes();
   TestJson();
   TestUrls();
   TestAnswers();
   TestJsonOfAnyBytes();
   TestJournal();
   TestCutJournal();
   TestStore();
   Print(failures==0 ? "All unit tests passed." : IntegerToString(failures)+" unit tests failed.");
   return(failures==0 ? 0 : 1);
  }
//+------------------------------------------------------------------+
