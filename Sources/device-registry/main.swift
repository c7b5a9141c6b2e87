import FoundationEssentials
import Glibc
import Server

let status = await CommandLineInterface.run(
  Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
exit(status)
