#!/usr/bin/env python3
"""Writes the project's signature vectors as MQL5:  vectors.py request-signatures.json OUT"""
import json
import sys


def quoted(text):
    """A literal of MQL5. Each byte of UTF-8 beyond ASCII ends its literal: \\x would take more digits."""
    out = ""
    for character in text:
        if character in '"\\':
            out += "\\" + character
        elif character == "\n":
            out += "\\n"
        elif " " <= character <= "~":
            out += character
        else:
            out += "".join(f'\\x{byte:02X}""' for byte in character.encode())
    return f'"{out}"'


def main(source, target):
    cases = [case for case in json.load(open(source, encoding="utf-8"))["cases"] if "signature_base" in case["request"]]
    lines = [f"#define VECTOR_COUNT {len(cases)}", "struct SVector", "  {",
             "   string name,secret,device,nonce,base,signature,answer_body,answer_digest,answer_input,answer_signature;",
             "   int answer_status;", "  };", "void GetVector(const int index,SVector &v)", "  {"]
    for index, case in enumerate(cases):
        request, answer = case["request"], case.get("response")
        fields = {"name": case["name"], "secret": case["secret"], "device": request["device_id"], "nonce": request["nonce"],
                  "base": request["signature_base"], "signature": request["headers"]["signature"].partition("=:")[2].rstrip(":")}
        headers = (answer or {}).get("headers", {})
        fields |= {"answer_body": (answer or {}).get("body", ""), "answer_digest": headers.get("content-digest", ""),
                   "answer_input": headers.get("signature-input", ""), "answer_signature": headers.get("signature", "")}
        lines.append(f"   if(index=={index})")
        lines.append("     {")
        lines += [f"      v.{name}={quoted(value)};" for name, value in fields.items()]
        lines += [f"      v.answer_status={(answer or {}).get('status', 0)};", "     }"]
    lines += ["  }"]
    open(target, "w", encoding="utf-8").write("\n".join(lines) + "\n")


main(*sys.argv[1:])
