// The files of the web console, which the compiler embeds in the program.

struct console_file {
  /// The path below `/console/`.
  const char *name;
  const unsigned char *bytes;
  unsigned long count;
};

/// All files; `count` receives their number.
const struct console_file *console_files(unsigned long *count);
