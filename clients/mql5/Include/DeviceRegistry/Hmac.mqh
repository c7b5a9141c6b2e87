//+------------------------------------------------------------------+
//|                                                         Hmac.mqh |
//|  SHA-256, HMAC (RFC 2104), base64 and hexadecimal on the         |
//|  terminal's CryptEncode, and the keys of a device.               |
//|  CryptEncode ignores the key of CRYPT_HASH_SHA256: it is a bare  |
//|  hash, and HMAC is two of them.                                  |
//+------------------------------------------------------------------+
#ifndef DEVICE_REGISTRY_HMAC_MQH
#define DEVICE_REGISTRY_HMAC_MQH

#include <DeviceRegistry/Platform.mqh>

#define DR_HASH_BLOCK  64     // bytes of a block of SHA-256
#define DR_HASH_BYTES  32     // bytes of a digest
#define DR_SECRET_SIZE 64     // characters of a secret

//+------------------------------------------------------------------+
//| The UTF-8 bytes of a text, without the terminating zero that     |
//| StringToCharArray copies                                         |
//+------------------------------------------------------------------+
void DrUtf8(const string text,uchar &bytes[])
  {
   ArrayResize(bytes,0);
   if(StringLen(text)==0)
      return;
   int copied=StringToCharArray(text,bytes,0,WHOLE_ARRAY,CP_UTF8);
   if(copied>0 && bytes[copied-1]==0)
      copied--;
   ArrayResize(bytes,copied);
  }
//+------------------------------------------------------------------+
//| The text of UTF-8 bytes, up to the first zero byte               |
//+------------------------------------------------------------------+
string DrText(const uchar &bytes[])
  {
   if(ArraySize(bytes)==0)
      return("");
   return(CharArrayToString(bytes,0,ArraySize(bytes),CP_UTF8));
  }
//+------------------------------------------------------------------+
//| SHA-256; false if the terminal failed                            |
//+------------------------------------------------------------------+
bool DrSha256(const uchar &data[],uchar &digest[])
  {
   uchar none[];
   ArrayResize(none,0);
   return(CryptEncode(CRYPT_HASH_SHA256,data,none,digest)==DR_HASH_BYTES);
  }
//+------------------------------------------------------------------+
//| HMAC-SHA-256; false if the terminal failed                       |
//+------------------------------------------------------------------+
bool DrHmacSha256(const uchar &key[],const uchar &data[],uchar &mac[])
  {
   uchar block[],message[],inner[];
   if(ArraySize(key)>DR_HASH_BLOCK)
     {
      if(!DrSha256(key,block))
         return(false);
     }
   else
     {
      ArrayResize(block,ArraySize(key));
      for(int i=0; i<ArraySize(key); i++)
         block[i]=key[i];
     }
   int used=ArraySize(block);
   ArrayResize(block,DR_HASH_BLOCK);
   for(int i=used; i<DR_HASH_BLOCK; i++)
      block[i]=0;

   int size=ArraySize(data);
   ArrayResize(message,DR_HASH_BLOCK+size);
   for(int i=0; i<DR_HASH_BLOCK; i++)
      message[i]=(uchar)(block[i]^0x36);
   for(int i=0; i<size; i++)
      message[DR_HASH_BLOCK+i]=data[i];
   bool hashed=DrSha256(message,inner);

   ArrayResize(message,DR_HASH_BLOCK+DR_HASH_BYTES);
   for(int i=0; i<DR_HASH_BLOCK; i++)
      message[i]=(uchar)(block[i]^0x5c);
   for(int i=0; hashed && i<DR_HASH_BYTES; i++)
      message[DR_HASH_BLOCK+i]=inner[i];
   hashed=hashed && DrSha256(message,mac);
   DrWipe(block);
   DrWipe(message);
   return(hashed);
  }
//+------------------------------------------------------------------+
//| Base64 on one line; empty if the terminal failed                 |
//+------------------------------------------------------------------+
string DrBase64(const uchar &data[])
  {
   uchar none[],text[];
   ArrayResize(none,0);
   if(CryptEncode(CRYPT_BASE64,data,none,text)<=0)
      return("");
   string encoded=DrText(text);
   StringReplace(encoded,"\r","");
   StringReplace(encoded,"\n","");
   return(encoded);
  }
//+------------------------------------------------------------------+
//| Lower-case hexadecimal                                           |
//+------------------------------------------------------------------+
string DrHex(const uchar &data[])
  {
   string digits="0123456789abcdef";
   string text="";
   for(int i=0; i<ArraySize(data); i++)
      text+=StringSubstr(digits,data[i]/16,1)+StringSubstr(digits,data[i]%16,1);
   return(text);
  }
//+------------------------------------------------------------------+
//| The value of a lower-case hexadecimal digit; -1 for others       |
//+------------------------------------------------------------------+
int DrHexDigit(const ushort character)
  {
   if(character>='0' && character<='9')
      return((int)character-'0');
   if(character>='a' && character<='f')
      return((int)character-'a'+10);
   return(-1);
  }
//+------------------------------------------------------------------+
//| Whether a text is a number of lower-case hexadecimal digits      |
//+------------------------------------------------------------------+
bool DrIsHex(const string text,const int length)
  {
   if(StringLen(text)!=length)
      return(false);
   for(int i=0; i<length; i++)
      if(DrHexDigit(StringGetCharacter(text,i))<0)
         return(false);
   return(true);
  }
//+------------------------------------------------------------------+
//| Reads lower-case hexadecimal; false if it is not                 |
//+------------------------------------------------------------------+
bool DrFromHex(const string text,uchar &bytes[])
  {
   int size=StringLen(text)/2;
   ArrayResize(bytes,0);
   if(!DrIsHex(text,size*2))
      return(false);
   ArrayResize(bytes,size);
   for(int i=0; i<size; i++)
      bytes[i]=(uchar)(DrHexDigit(StringGetCharacter(text,2*i))*16+DrHexDigit(StringGetCharacter(text,2*i+1)));
   return(true);
  }
//+------------------------------------------------------------------+
//| The first hexadecimal digits of a text's SHA-256; empty if the   |
//| terminal failed                                                  |
//+------------------------------------------------------------------+
string DrFingerprint(const string text,const int digits)
  {
   uchar bytes[],digest[];
   DrUtf8(text,bytes);
   if(!DrSha256(bytes,digest))
      return("");
   return(StringSubstr(DrHex(digest),0,digits));
  }
//+------------------------------------------------------------------+
//| Whether a text is a UUID in lower case                           |
//+------------------------------------------------------------------+
bool DrIsUuid(const string text)
  {
   if(StringLen(text)!=36)
      return(false);
   for(int i=0; i<36; i++)
     {
      ushort character=StringGetCharacter(text,i);
      bool dash=i==8 || i==13 || i==18 || i==23;
      if(dash ? character!='-' : DrHexDigit(character)<0)
         return(false);
     }
   return(true);
  }
//+------------------------------------------------------------------+
//| The keys of a device (RFC 5802, section 3). The secret itself is |
//| not kept.                                                        |
//+------------------------------------------------------------------+
class CDeviceKeys
  {
private:
   uchar             m_client_key[];
   uchar             m_stored_key[];
   uchar             m_server_key[];

   bool              Mac(const uchar &key[],const string text,uchar &mac[]) const;

public:
                    ~CDeviceKeys(void) { Wipe(); }
   //--- derives the keys; false if the terminal failed
   bool              Derive(const string secret);
   void              Wipe(void);
   bool              IsDerived(void) const { return(ArraySize(m_server_key)==DR_HASH_BYTES); }
   //--- the signature of a request with this signature base, in base64
   bool              Proof(const string base,string &signature) const;
   //--- the signature that the registry gives an answer with this signature base
   bool              AnswerSignature(const string base,string &signature) const;
  };
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void CDeviceKeys::Wipe(void)
  {
   DrWipe(m_client_key);
   DrWipe(m_stored_key);
   DrWipe(m_server_key);
   ArrayResize(m_client_key,0);
   ArrayResize(m_stored_key,0);
   ArrayResize(m_server_key,0);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceKeys::Mac(const uchar &key[],const string text,uchar &mac[]) const
  {
   uchar data[];
   DrUtf8(text,data);
   return(ArraySize(key)>0 && DrHmacSha256(key,data,mac));
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceKeys::Derive(const string secret)
  {
   uchar key[];
   DrUtf8(secret,key);
   bool derived=Mac(key,"Client Key",m_client_key) && DrSha256(m_client_key,m_stored_key) && Mac(key,"Server Key",m_server_key);
   DrWipe(key);
   if(!derived)
      Wipe();
   return(derived);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceKeys::Proof(const string base,string &signature) const
  {
   uchar mac[];
   if(!Mac(m_stored_key,base,mac))
      return(false);
   for(int i=0; i<DR_HASH_BYTES; i++)
      mac[i]=(uchar)(mac[i]^m_client_key[i]);
   signature=DrBase64(mac);
   return(StringLen(signature)==44);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
bool CDeviceKeys::AnswerSignature(const string base,string &signature) const
  {
   uchar mac[];
   if(!Mac(m_server_key,base,mac))
      return(false);
   signature=DrBase64(mac);
   return(StringLen(signature)==44);
  }

#endif
//+------------------------------------------------------------------+
