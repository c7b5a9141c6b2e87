#!/usr/bin/env python3
"""Rewrites the few forms of MQL5 that C++ does not have, and keeps line numbers:  mql5_to_cpp.py FOLDER OUT FILE...

  uchar a[],b[];            Array<uchar> a,b;
  const uchar &a[]          const Array<uchar> &a
  #property, input group    removed
  input T x=1;              static T x=ShimInput<T>("x",1);
  static T C::Method(       T C::Method(

It refuses what C++ has and MQL5 does not, and what MQL5 has and this client does not use because C++ differs.
"""
import pathlib
import re
import sys

EMPTY = re.compile(r"\[\s*\]")
FORBIDDEN = re.compile(
    r"->|\bauto\b|\bnullptr\b|\bunsigned\b|\bstd::|\b(?:static|reinterpret|const)_cast\b|^\s*#\s*(?:if|elif)\b"
    r"|\bdefined\s*\(|\bfor\s*\([^;)]*[^:]:[^:][^;)]*\)|\[[&=]?\]\s*\(|\bconstexpr\b|\bnoexcept\b|\bthrow\b|\btry\b"
    r"|\bcatch\b|\bgoto\b|\bnew\b|\bdelete\b|\bthis\b|#import|\bGetPointer\b|\boverride\b|\bfinal\b|\bnamespace\b"
    r"|\busing\b|\btypename\b|\b\d+[uUlL]+\b|\bsize_t\b|\bint64_t\b|\bmutable\b|\bdecltype\b")


def blank(text):
    """The text with strings and comments replaced by blanks of the same length."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/',
                  lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.S)


def convert(source, name):
    code = blank(source)
    refused = [f"{name}:{number}: not in the subset of MQL5: {found.group().strip()}"
               for number, line in enumerate(code.split("\n"), 1) for found in FORBIDDEN.finditer(line)]
    if refused:
        raise SystemExit("\n".join(refused))
    lines = []
    for line, plain in zip(source.split("\n"), code.split("\n")):
        if re.match(r"\s*#property\b", plain) or re.match(r"\s*s?input\s+group\b", plain):
            lines.append("")
            continue
        if EMPTY.search(plain):
            line = re.sub(r"(const\s+)?\b([A-Za-z_]\w*)\s*&\s*(\w+)\s*\[\s*\]", r"\1Array<\2> &\3", line)
            line = re.sub(r"^(\s*(?:static\s+)?)([A-Za-z_]\w*)(\s+)((?:\w+\s*\[\s*\]\s*,?\s*)+);",
                          lambda match: f"{match[1]}Array<{match[2]}>{match[3]}{EMPTY.sub('', match[4])};", line)
        line = re.sub(r"^(\s*)s?input\s+(\w+)\s+(\w+)\s*=\s*(.*?);", r'\1static \2 \3=ShimInput<\2>("\3",\4);', line)
        lines.append(line)
    return f'#line 1 "{name}"\n' + "\n".join(lines)


def main(folder, out, files):
    for name in files:
        target = pathlib.Path(out, pathlib.Path(name).relative_to(folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(convert(pathlib.Path(name).read_text(encoding="utf-8"), name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
