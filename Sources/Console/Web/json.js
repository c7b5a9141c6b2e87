// A strict reader of JSON (RFC 8259) that says where an error is: by line and column.

class Mistake extends Error {
  constructor(message, at) { super(message); this.at = at; }
}

const WORDS = { true: true, false: false, null: null };
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const MAXIMUM_DEPTH = 100;

/**
 * Reads a text. Returns `{kind}` (object, array, text, ...) or `{error: {message, line, column, at}}`. It returns no value: the
 * text itself is sent, so that no number is rounded.
 */
export function checkJSON(text) {
  let at = 0;
  const fail = (message, place = at) => { throw new Mistake(message, place); };
  const blank = () => { while (at < text.length && " \t\r\n".includes(text[at])) at++; };
  const shown = () => (at >= text.length ? "the end" : `“${[...text.slice(at, at + 2)][0]}”`);

  function string() {
    const start = at++;
    for (;;) {
      const character = text[at];
      if (character === undefined || character === "\n") fail("This text has no closing quote", start);
      if (character === '"') { at++; return text.slice(start, at); }
      if (character < " ") fail("A control character must be written as an escape, such as \\t");
      if (character === "\\") {
        const escape = text[at + 1];
        if (escape === "u") {
          if (!/^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) fail("\\u needs four hexadecimal digits");
          at += 6;
        } else if ('"\\/bfnrt'.includes(escape ?? "")) at += 2;
        else fail(`\\${escape ?? ""} is not an escape`);
      } else at++;
    }
  }

  function value(depth) {
    if (depth > MAXIMUM_DEPTH) fail("This is nested too deeply");
    blank();
    const character = text[at];
    if (character === "{") { object(depth); return "object"; }
    if (character === "[") { array(depth); return "array"; }
    if (character === '"') { string(); return "text"; }
    for (const word of Object.keys(WORDS)) if (text.startsWith(word, at)) { at += word.length; return word; }
    NUMBER.lastIndex = at;
    const number = NUMBER.exec(text);
    if (number) {
      at += number[0].length;
      if (/[\d.+]/.test(text[at] ?? "")) fail("This is not a number: no leading zeros, and a digit on both sides of a point");
      return "number";
    }
    if (character === "'") fail("Texts have double quotes");
    if (character === undefined) fail("A value is missing at the end");
    return fail(`A value must be here, not ${shown()}`);
  }

  function object(depth) {
    const names = new Set();
    at++;
    blank();
    if (text[at] === "}") { at++; return; }
    for (;;) {
      blank();
      if (text[at] !== '"') fail(text[at] === "}" ? "Remove the comma before }" : `A name in double quotes must be here, not ${shown()}`);
      const start = at;
      const name = string();
      if (names.has(name)) fail(`${name} occurs twice`, start);
      names.add(name);
      blank();
      if (text[at] !== ":") fail(`A colon must follow the name ${name}, not ${shown()}`);
      at++;
      value(depth + 1);
      blank();
      if (text[at] === "}") { at++; return; }
      if (text[at] !== ",") fail(text[at] === undefined ? "} is missing at the end" : `A comma or } must be here, not ${shown()}`);
      at++;
    }
  }

  function array(depth) {
    at++;
    blank();
    if (text[at] === "]") { at++; return; }
    for (;;) {
      value(depth + 1);
      blank();
      if (text[at] === "]") { at++; return; }
      if (text[at] !== ",") fail(text[at] === undefined ? "] is missing at the end" : `A comma or ] must be here, not ${shown()}`);
      at++;
      blank();
      if (text[at] === "]") fail("Remove the comma before ]");
    }
  }

  try {
    const kind = value(0);
    blank();
    if (at < text.length) fail(`Nothing may follow the value, not even ${shown()}`);
    return { kind };
  } catch (mistake) {
    if (!(mistake instanceof Mistake)) throw mistake;
    const before = text.slice(0, mistake.at);
    return { error: { message: mistake.message, at: mistake.at, line: before.split("\n").length, column: [...before.slice(before.lastIndexOf("\n") + 1)].length + 1 } };
  }
}
