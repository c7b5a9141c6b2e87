import Foundation
import Glibc

// `device-registry` starts this program with its own arguments.
signal(SIGPIPE, SIG_DFL)
await exit(
  OwnerProgram.run(Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment))
