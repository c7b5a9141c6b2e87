import Glibc

// `device-registry events` and `device-registry webhooks` have parsed the arguments and pass them by position.
await exit(OwnerProgram.run(Array(CommandLine.arguments.dropFirst())))
