import FoundationEssentials
import Glibc
import Server

let status = await CommandLineInterface.run(
  Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
// exit() would wait for libuv's threads, and one of them may be waiting for a resolver that does not answer.
fflush(nil)
_exit(status)
